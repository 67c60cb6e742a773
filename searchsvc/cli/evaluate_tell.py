"""What `searchsvc evaluate --index` prints, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from searchsvc.cli.common import out, print_json, talk
from searchsvc.cli.evaluate_figures import Figures, cost_lines, print_figures
from searchsvc.cli.evaluate_plan import IndexPlan, Outputs
from searchsvc.cli.variant_runs import Bench, run_paths
from searchsvc.evaluation.absent import Absent
from searchsvc.evaluation.change_tables import change_table, worth_table
from searchsvc.evaluation.qrels import QrelsFile
from searchsvc.evaluation.tables import NARROW, cost_table
from searchsvc.evaluation.unjudged import DEPTH, PERSISTENCE, ChangeReport, worth_judging
from searchsvc.evaluation.variants import DEFAULT_VARIANTS
from searchsvc.terminal import printable

_WORTH = 10
"""How many queries are named as worth judging first."""


def tell_changes(plan: IndexPlan, bench: Bench, reports: Sequence[ChangeReport], outputs: Outputs) -> None:
    """Without judgements."""
    worth = worth_judging(reports, bench.answered, _WORTH)
    if outputs.json:
        parts = {"rbo_persistence": PERSISTENCE, "judge_first": [each.as_json() for each in worth]}
        print_json(_head(plan, bench, outputs) | parts | {"variants": [each.as_json() for each in reports]})
        return
    console = out()
    console.print(_title(plan, bench))
    console.print()
    console.print(change_table(reports))
    console.print(
        f"Against {escape(reports[0].name)}, over the first {DEPTH}; changed: the ordered list is another;"
        f" empty: queries that find nothing; RBO: rank-biased overlap, p {PERSISTENCE}, 1 is the same ranking."
    )
    console.print()
    console.print(cost_table(reports, narrow=console.width < NARROW))
    for line in cost_lines(reports):
        console.print(line)
    console.print()
    if not reports[1:]:
        console.print("One variant alone: there is nothing to compare.")
    elif not worth:
        console.print("No variant changes the first page of any query.")
    else:
        console.print(f"Worth judging first, of {_changed(reports)} queries that some variant changes:")
        console.print(worth_table(worth))
        talk().print(escape(f"Next:  {_judge_command(plan)}"))


def tell_measures(
    plan: IndexPlan, qrels: QrelsFile, bench: Bench, found: Figures, *, absent: Absent | None, outputs: Outputs
) -> None:
    """With judgements; `absent` is None where the index was not asked for what no ranking holds."""
    shares = {each.variant.name: _unjudged_share(each.rankings, qrels) for each in bench.outcomes.runs()}
    if outputs.json:
        parts = {
            "qrels_file": str(qrels.path),
            "queries_without_judgement": plan.unjudged,
            "judgements": _judgements_json(qrels, absent),
            "unjudged_at_10": shares,
        }
        print_json(_head(plan, bench, outputs) | parts | found.as_json())
        return
    console = out()
    console.print(_title(plan, bench))
    for line in left_out(plan, qrels, bench, absent):
        console.print(f"[yellow]{escape(printable(line))}[/]")
    if any(qrels.sources):
        told = ", ".join(f"{count} {source or 'of no named source'}" for source, count in qrels.sources.items())
        console.print(escape(printable(f"judgements: {told}")))
    told = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    print_figures(console, found, below=[f"without judgement among the first 10, counted as not relevant: {told}"])


def _head(plan: IndexPlan, bench: Bench, outputs: Outputs) -> dict[str, Any]:
    return {
        "index": plan.index,
        "queries_file": str(plan.file),
        **bench.as_json(),
        "serving": plan.comparison.serving,
        "depth": plan.depth,
        "runs": run_paths(plan.comparison.variants, outputs.runs),
    }


def _title(plan: IndexPlan, bench: Bench) -> str:
    judged = "" if plan.qrels is None else "judged "
    return escape(printable(f"{plan.index}: {len(bench.outcomes)} {judged}queries of {plan.file}; {bench.words()}"))


def _judge_command(plan: IndexPlan) -> str:
    """With the variants of this run, unless they are those that judge takes anyway."""
    written = [f"{each.name}:{each.spec}" for each in plan.comparison.variants]
    specs = [] if written == list(DEFAULT_VARIANTS) else [part for each in written for part in ("--variant", each)]
    return shlex.join(["searchsvc", "judge", "--index", plan.index, "--queries", str(plan.file), *specs])


def _changed(reports: Sequence[ChangeReport]) -> int:
    return len({query_id for each in reports for query_id, change in each.changes.items() if change.top_10})


def _unjudged_share(rankings: Mapping[str, Sequence[str]], qrels: QrelsFile) -> float:
    """Of the documents among the first ten of every query, those without a judgement for it."""
    shown = [(query_id, doc_id) for query_id, doc_ids in rankings.items() for doc_id in doc_ids[:DEPTH]]
    return sum(pair not in qrels.lines for pair in shown) / len(shown) if shown else 0.0


def _judgements_json(qrels: QrelsFile, absent: Absent | None) -> dict[str, Any]:
    return {
        "count": len(qrels.lines),
        "sources": qrels.sources,
        "repeated": qrels.repeated,
        "without_grade": qrels.ungraded,
        "unknown_queries": None if qrels.unknown is None else asdict(qrels.unknown),
        "absent_documents": None if absent is None else asdict(absent),
    }


def left_out(plan: IndexPlan, qrels: QrelsFile, bench: Bench, absent: Absent | None) -> list[str]:
    """A line for each kind of query or judgement that does not count as it stands in the files."""
    counted = (
        (plan.unjudged, "queries have no judgement and are left out"),
        (
            qrels.repeated,
            "judgements repeat a query and document judged on another line: the last grade counts,"
            " a person's before a model's",
        ),
        (qrels.ungraded, "records have no grade and are left out"),
    )
    lines = [f"{count} {what}" for count, what in counted if count]
    if (unknown := qrels.unknown) is not None:
        lines.append(
            f"{unknown.judgements} judgements of {unknown.queries} queries that are not in {plan.file} are left out:"
            f" {qrels.path} line {unknown.first_line} names {unknown.first!r}"
        )
    return lines + _absent_lines(plan, qrels, bench, absent)


def _absent_lines(plan: IndexPlan, qrels: QrelsFile, bench: Bench, absent: Absent | None) -> list[str]:
    if absent is None or not absent.unranked:
        return []
    if absent.problem:
        return [
            f"{absent.unranked} judgements name documents that are in no ranking; whether they are in the index"
            f" could not be found out: {absent.problem}"
        ]
    if not absent.judgements:
        return []
    found = next((doc_ids[0] for run in bench.outcomes.runs() for doc_ids in run.rankings.values() if doc_ids), None)
    like = "" if found is None else f"; ids there look like {found!r}"
    return [
        f"{absent.judgements} judgements, {absent.relevant} of them relevant, name documents that are not in"
        f" {plan.index}, so that no ranking finds them: {qrels.path} line {absent.first_line} names"
        f" {absent.first!r}{like}"
    ]
