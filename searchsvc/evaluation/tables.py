"""The figures of an evaluation as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from searchsvc.evaluation.collection import Collection, Corpus
from searchsvc.evaluation.comparison import HARM, Difference
from searchsvc.evaluation.report import RunReport, VariantReport


def measure_table(reports: Sequence[VariantReport]) -> Table:
    """One line for each measure and variant: the mean, and the difference from the first variant."""
    first = reports[0]
    table = plain_table()
    table.add_column("measure", no_wrap=True)
    table.add_column("variant", overflow="fold")
    table.add_column("mean", justify="right", no_wrap=True)
    if len(reports) > 1:
        for column in ("Δ first", "95 % interval", "p", f"lose > {HARM}"):
            table.add_column(column, justify="right", no_wrap=True)
    for measure in first.means:
        for report in reports:
            compared = _compared(report.differences.get(measure)) if len(reports) > 1 else ()
            label = measure if report is first else ""
            table.add_row(label, report.name, f"{report.means[measure]:.4f}", *compared)
    return table


def time_table(reports: Sequence[RunReport]) -> Table:
    """One line for each variant: milliseconds of a search, and the queries that did without a stage."""
    table = plain_table()
    table.add_column("variant", overflow="fold")
    for column in ("mean ms", "p50 ms", "p95 ms", "degraded"):
        table.add_column(column, justify="right", no_wrap=True)
    for report in reports:
        times = [f"{milliseconds:.1f}" for milliseconds in report.times().values()]
        table.add_row(report.name, *times, str(report.missed_queries))
    return table


def missed_lines(reports: Sequence[RunReport]) -> list[str]:
    """A line of markup for each stage that queries did without."""
    return [
        f"[yellow]{escape(report.name)}: no {missed.stage} for {missed.queries} of {len(report.took_ms)} queries:"
        f" {missed.reason}[/] {escape(missed.message)}".rstrip()
        for report in reports
        for missed in report.missed
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


def plain_table() -> Table:
    """A table without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")


def _compared(found: Difference | None) -> tuple[str, ...]:
    if found is None:
        return ("", "", "", "")
    interval = "-" if found.interval is None else "{:+.4f} … {:+.4f}".format(*found.interval)
    return f"{found.mean:+.4f}", interval, f"{found.p_value:.4f}", f"{found.harm:.1%}"
