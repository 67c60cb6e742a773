"""The figures of an evaluation as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from searchsvc.evaluation.collection import Collection, Corpus
from searchsvc.evaluation.comparison import HARM, Difference
from searchsvc.evaluation.extremes import Extreme
from searchsvc.evaluation.grid import Grid
from searchsvc.evaluation.report import RunReport, VariantReport
from searchsvc.terminal import printable

_COMPARED = ("Δ first", "95 % interval", "p", "won/tied/lost", f"lose > {HARM}")
_COST = ("mean ms", "p50 ms", "p95 ms", "LLM calls", "cached", "tokens in", "tokens out", "expanded", "degraded")
_TWO_LINES = frozenset(_COST) | {_COMPARED[-1]}
_TERMS = 12
"""How many terms of an expansion are shown: the heaviest."""


NARROW = 100
"""Columns of a terminal below which the tables of figures are set tight, so that none of their columns is lost."""
_LEAST_NAME = 8
"""Columns that the name of a variant has at least."""


def measure_table(reports: Sequence[VariantReport], *, narrow: bool = False) -> Table:
    """One line for each measure and variant: the mean, and the difference from the baseline."""
    table = plain_table(narrow=narrow)
    table.add_column("measure", overflow="fold")
    table.add_column("variant", overflow="fold", min_width=_LEAST_NAME)
    _add_figures(table, ("mean", *(_COMPARED if len(reports) > 1 else ())), narrow=narrow)
    for measure in reports[0].means:
        for report in reports:
            compared = difference_cells(report.differences.get(measure)) if len(reports) > 1 else ()
            label = measure if report is reports[0] else ""
            table.add_row(label, report.name, f"{report.means[measure]:.4f}", *compared)
    return table


def cost_table(reports: Sequence[RunReport], *, narrow: bool = False) -> Table:
    """One line for each variant: milliseconds of a search, tokens, queries that were expanded or lacked a stage."""
    table = plain_table(narrow=narrow)
    table.add_column("variant", overflow="fold", min_width=_LEAST_NAME)
    _add_figures(table, _COST, narrow=narrow)
    for report in reports:
        times = [f"{milliseconds:.1f}" for milliseconds in report.times().values()]
        spent = report.all_tokens
        tokens = [str(count) for count in (spent.calls, spent.cached, spent.input, spent.output)]
        table.add_row(report.name, *times, *tokens, f"{report.expanded_share:.1%}", str(report.missed_queries))
    return table


def grid_table(found: Grid, *, narrow: bool = False) -> Table:
    """One line for each measure and place of the expansion: what it adds alone, and behind the reranker."""
    table = plain_table(narrow=narrow)
    table.add_column("measure", overflow="fold")
    table.add_column("expansion adds", no_wrap=not narrow)
    _add_figures(table, ("Δ", *_COMPARED[1:]), narrow=narrow)
    for measure, alone in found.alone.items():
        table.add_row(measure, "without reranker", *difference_cells(alone))
        table.add_row("", "behind the reranker", *difference_cells(found.behind[measure]))
    return table


def extreme_table(found: Sequence[Extreme]) -> Table:
    """One line for each query: what it gained or lost, and the terms that the expansion added."""
    table = plain_table()
    for column in ("Δ", "from", "to"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("id", overflow="fold")
    table.add_column("query", overflow="fold", ratio=2, min_width=12)
    table.add_column("expansion", overflow="fold", ratio=3, min_width=20)
    for each in found:
        texts = (escape(printable(text)) for text in (each.query_id, each.query, expansion_words(each)))
        table.add_row(f"{each.gain:+.4f}", f"{each.before:.4f}", f"{each.after:.4f}", *texts)
    return table


def expansion_words(extreme: Extreme) -> str:
    """What expanded the query, or why nothing did."""
    if not extreme.terms:
        return extreme.expansion
    more = len(extreme.terms) - _TERMS
    return f"{extreme.method}: {', '.join(extreme.terms[:_TERMS])}" + (f" and {more} more" if more > 0 else "")


def missed_lines(reports: Sequence[RunReport]) -> list[str]:
    """A line of markup for each stage that queries did without."""
    return [
        f"[yellow]{escape(report.name)}: no {missed.stage} for {missed.queries} of {len(report.took_ms)} queries:"
        f" {missed.reason}[/] {escape(missed.message)}".rstrip()
        for report in reports
        for missed in report.missed
    ]


def late_lines(reports: Sequence[RunReport]) -> list[str]:
    """A line of markup for each variant some of whose expansions came too late for their queries."""
    return [
        f"{escape(report.name)}: the expansions of {late} of {len(report.took_ms)} queries came too late:"
        " those were searched as they are"
        for report in reports
        if (late := report.decisions()["pending"])
    ]


def unknown_token_lines(reports: Sequence[RunReport]) -> list[str]:
    """A line of markup for each variant some of whose tokens are not known."""
    return [
        f"[yellow]{escape(report.name)}: {report.all_tokens.unknown} of {report.all_tokens.calls} LLM calls did not"
        " tell their tokens, which are in no sum[/]"
        for report in reports
        if report.all_tokens.unknown
    ]


def recorded_lines(reports: Sequence[RunReport]) -> list[str]:
    """A line of markup for each variant that replays answers whose tokens were recorded."""
    return [
        f"{escape(report.name)}: what it replays took {report.all_tokens.recorded:,} tokens when it was recorded"
        for report in reports
        if report.all_tokens.recorded
    ]


def left_out_lines(collection: Collection, corpus: Corpus, without_candidates: int) -> list[str]:
    """A line of markup for each kind of query or judgement that does not count as it stands in the files."""
    counted = (
        (collection.unjudged, "queries have no judgement and are left out"),
        (collection.orphaned, "judged queries are not in the collection and are left out"),
        (collection.repeated, "judgements repeat a query and document judged before: the last grade counts"),
        (
            corpus.lacking,
            f"judgements, {corpus.lacking_relevant} of them relevant, name documents that are not in the corpus:"
            " no ranking finds them",
        ),
        (without_candidates, "queries have no candidate list and count 0"),
    )
    return [f"[yellow]{count} {what}[/]" for count, what in counted if count]


def plain_table(*, narrow: bool = False) -> Table:
    """A table without lines."""
    return Table(box=None, padding=(0, 1 if narrow else 2, 0, 0), pad_edge=False, header_style="bold")


def _add_figures(table: Table, columns: Sequence[str], *, narrow: bool) -> None:
    """Columns of numbers, which are never cut; on a narrow terminal a heading of two words takes two lines."""
    for column in columns:
        heading = column.replace(" ", "\n", 1) if narrow and column in _TWO_LINES else column
        table.add_column(heading, justify="right", no_wrap=True)


def difference_cells(found: Difference | None) -> tuple[str, ...]:
    """Mean, interval, p, wins/ties/losses and harm; empty for the baseline itself."""
    if found is None:
        return ("",) * len(_COMPARED)
    interval = "-" if found.interval is None else "{:+.4f} … {:+.4f}".format(*found.interval)
    counts = f"{found.wins}/{found.ties}/{found.losses}"
    return f"{found.mean:+.4f}", interval, f"{found.p_value:.4f}", counts, f"{found.harm:.1%}"
