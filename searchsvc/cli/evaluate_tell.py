"""What `searchsvc evaluate --index` prints, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from searchsvc.cli.common import out, print_json, talk
from searchsvc.cli.evaluate_plan import LiveOutcome, LivePlan
from searchsvc.cli.variant_runs import run_paths
from searchsvc.evaluation.change_tables import change_table, cost_table, unknown_token_lines, worth_table
from searchsvc.evaluation.qrels import QrelsFile
from searchsvc.evaluation.report import VariantReport
from searchsvc.evaluation.tables import measure_table, missed_lines, time_table
from searchsvc.evaluation.unjudged import DEPTH, PERSISTENCE, ChangeReport, worth_judging
from searchsvc.evaluation.variants import parse_variants
from searchsvc.terminal import printable

_WORTH = 10
"""How many queries are named as worth judging first."""


def tell_changes(plan: LivePlan, outcome: LiveOutcome, reports: Sequence[ChangeReport], *, json: bool) -> None:
    """Without judgements."""
    worth = worth_judging(reports, plan.queries, _WORTH)
    if json:
        parts = {"rbo_persistence": PERSISTENCE, "judge_first": [each.as_json() for each in worth]}
        print_json(_head(plan, outcome) | parts | {"variants": [each.as_json() for each in reports]})
        return
    console = out()
    console.print(_title(plan, outcome))
    console.print()
    console.print(change_table(reports))
    console.print(
        f"Against {escape(reports[0].name)}, over the first {DEPTH}; changed: the ordered list is another;"
        f" empty: queries that find nothing; RBO: rank-biased overlap, p {PERSISTENCE}, 1 is the same ranking."
    )
    console.print()
    console.print(cost_table(reports))
    for line in [*missed_lines(reports), *unknown_token_lines(reports)]:
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
    plan: LivePlan, qrels: QrelsFile, outcome: LiveOutcome, reports: Sequence[VariantReport], *, json: bool
) -> None:
    """With judgements."""
    shares = {run.variant.name: _unjudged_share(run.rankings, qrels) for run in outcome.runs}
    if json:
        parts = {
            "qrels_file": str(qrels.path),
            "measures": plan.measures,
            "queries_without_judgement": plan.unjudged,
            "judgements": _judgements_json(qrels, outcome),
            "unjudged_at_10": shares,
        }
        print_json(_head(plan, outcome) | parts | {"variants": [each.as_json() for each in reports]})
        return
    console = out()
    console.print(_title(plan, outcome))
    for line in _left_out(plan, qrels, outcome):
        console.print(f"[yellow]{escape(printable(line))}[/]")
    if any(qrels.sources):
        told = ", ".join(f"{count} {source or 'of no named source'}" for source, count in qrels.sources.items())
        console.print(escape(printable(f"judgements: {told}")))
    console.print()
    console.print(measure_table(reports))
    told = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    console.print(escape(f"without judgement among the first 10, counted as not relevant: {told}"))
    console.print()
    console.print(time_table(reports))
    for line in missed_lines(reports):
        console.print(line)


def _head(plan: LivePlan, outcome: LiveOutcome) -> dict[str, Any]:
    return {
        "index": plan.index,
        "queries_file": str(plan.file),
        "queries": len(plan.queries),
        "engine": outcome.info["engine"],
        **outcome.made_by.as_json(),
        "analysis": outcome.info["analysis"],
        "depth": plan.depth,
        "runs": run_paths(plan.variants, plan.runs),
    }


def _title(plan: LivePlan, outcome: LiveOutcome) -> str:
    judged = "" if plan.qrels is None else "judged "
    parts = f"engine {outcome.info['engine']}, {outcome.made_by.words()}"
    return escape(printable(f"{plan.index}: {len(plan.queries)} {judged}queries of {plan.file}; {parts}"))


def _judge_command(plan: LivePlan) -> str:
    """With the variants of this run, unless they are those that judge takes anyway."""
    named = [] if plan.variants == parse_variants(()) else plan.variants
    specs = [part for each in named for part in ("--variant", f"{each.name}:{each.spec}")]
    return shlex.join(["searchsvc", "judge", "--index", plan.index, "--queries", str(plan.file), *specs])


def _changed(reports: Sequence[ChangeReport]) -> int:
    return len({query_id for each in reports for query_id, change in each.changes.items() if change.top_10})


def _unjudged_share(rankings: Mapping[str, Sequence[str]], qrels: QrelsFile) -> float:
    """Of the documents among the first ten of every query, those without a judgement for it."""
    shown = [(query_id, doc_id) for query_id, doc_ids in rankings.items() for doc_id in doc_ids[:DEPTH]]
    return sum(pair not in qrels.lines for pair in shown) / len(shown) if shown else 0.0


def _judgements_json(qrels: QrelsFile, outcome: LiveOutcome) -> dict[str, Any]:
    return {
        "count": len(qrels.lines),
        "sources": qrels.sources,
        "repeated": qrels.repeated,
        "without_grade": qrels.ungraded,
        "unknown_queries": None if qrels.unknown is None else asdict(qrels.unknown),
        "absent_documents": None if outcome.absent is None else asdict(outcome.absent),
    }


def _left_out(plan: LivePlan, qrels: QrelsFile, outcome: LiveOutcome) -> list[str]:
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
    return lines + _absent_lines(plan, qrels, outcome)


def _absent_lines(plan: LivePlan, qrels: QrelsFile, outcome: LiveOutcome) -> list[str]:
    absent = outcome.absent
    if absent is None or not absent.unranked:
        return []
    if absent.problem:
        return [
            f"{absent.unranked} judgements name documents that are in no ranking; whether they are in the index"
            f" could not be found out: {absent.problem}"
        ]
    if not absent.judgements:
        return []
    found = next((doc_ids[0] for run in outcome.runs for doc_ids in run.rankings.values() if doc_ids), None)
    like = "" if found is None else f"; ids there look like {found!r}"
    return [
        f"{absent.judgements} judgements, {absent.relevant} of them relevant, name documents that are not in"
        f" {plan.index}, so that no ranking finds them: {qrels.path} line {absent.first_line} names"
        f" {absent.first!r}{like}"
    ]
