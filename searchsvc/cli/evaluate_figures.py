"""The figures of judged queries: what both ways of `searchsvc evaluate` print, and the report with plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from searchsvc.cli.common import talk
from searchsvc.cli.evaluate_plan import Comparison
from searchsvc.cli.variant_runs import Bench
from searchsvc.evaluation.grid import Grid, grid
from searchsvc.evaluation.html_report import html_page, write_page
from searchsvc.evaluation.qrels import Qrels
from searchsvc.evaluation.recording import Recording
from searchsvc.evaluation.report import RunReport, VariantReport, report
from searchsvc.evaluation.tables import (
    NARROW,
    cost_table,
    extreme_table,
    grid_table,
    late_lines,
    measure_table,
    missed_lines,
    recorded_lines,
    unknown_token_lines,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the queries that all variants have answered."""

    reports: tuple[VariantReport, ...]
    grid: Grid | None
    comparison: Comparison

    def as_json(self) -> dict[str, Any]:
        """What is compared how, the grid where there is one, and the variants."""
        return {
            "measures": self.comparison.measures,
            "reference": self.comparison.measures[0],
            "baseline": self.reports[0].name,
            "serving": self.comparison.serving,
            "depth": self.comparison.depth,
            **({} if self.grid is None else {"grid": self.grid.as_json()}),
            "variants": [each.as_json() for each in self.reports],
        }


def figures(bench: Bench, qrels: Qrels, comparison: Comparison) -> Figures:
    """Means, differences and costs."""
    answered = bench.answered
    reports = report(
        bench.outcomes.runs(),
        measures=comparison.measures,
        qrels={query_id: grades for query_id, grades in qrels.items() if query_id in answered},
        texts=answered,
    )
    return Figures(reports=reports, grid=grid(reports) if comparison.grid else None, comparison=comparison)


def print_figures(console: Console, found: Figures, *, below: Sequence[str] = ()) -> None:
    """All tables; `below` are lines of plain text under that of the measures."""
    narrow = console.width < NARROW
    console.print()
    console.print(measure_table(found.reports, narrow=narrow))
    for line in below:
        console.print(escape(line))
    if found.grid is not None:
        console.print()
        console.print(f"What expansion adds, of {len(found.reports[0].took_ms)} queries:")
        console.print(grid_table(found.grid, narrow=narrow))
    console.print()
    console.print(cost_table(found.reports, narrow=narrow))
    for line in cost_lines(found.reports):
        console.print(line)
    for each in found.reports:
        _print_extremes(console, each, found.reports[0].name)


def write_html(path: Path, title: str, bench: Bench, found: Figures, *, notes: Sequence[str]) -> None:
    """The report with plots; `notes` are lines of markup. Raises ConfigurationError if it cannot be written."""
    facts = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "queries": f"{len(bench.outcomes)}, judged"
        + (f"; interrupted before {len(bench.queries) - len(bench.outcomes)} more" if bench.interrupted else ""),
        "baseline": found.reports[0].name,
        "reference": found.comparison.measures[0],
        "serving": str(found.comparison.serving),
        "index": bench.index,
        "parts": bench.words(),
    }
    lines = [Text.from_markup(line).plain for line in [*notes, *cost_lines(found.reports)]]
    page = html_page(title, facts=facts, notes=lines, reports=found.reports, grid=found.grid, texts=bench.answered)
    write_page(path, page)


def cost_lines(reports: Sequence[RunReport]) -> list[str]:
    """Lines of markup on what was missing, late or not told."""
    return [*missed_lines(reports), *late_lines(reports), *unknown_token_lines(reports), *recorded_lines(reports)]


def _print_extremes(console: Console, found: VariantReport, baseline: str) -> None:
    for what, queries in (("worst", found.worst), ("best", found.best)):
        if queries:
            console.print()
            console.print(escape(f"{found.name} against {baseline}, the {what} queries by {found.reference}:"))
            console.print(extreme_table(queries))


def tell_written(paths: Sequence[str | Path]) -> None:
    """A line for each file that was written."""
    for path in paths:
        talk().print(f"written: {escape(str(path))}", soft_wrap=True)


def tell_recorded(recording: Recording | None) -> None:
    """A line on what was recorded, where that was asked for."""
    if recording is not None:
        talk().print(escape(f"recorded: {recording.added} answers of the chat model, in {recording.path}"))
