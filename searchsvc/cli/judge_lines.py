"""What `searchsvc judge` says besides its screen: what is left out, what failed, how far two judges agree."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from searchsvc.errors import StageError
from searchsvc.evaluation.judging import ENOUGH, GRADES, Agreement, Pair
from searchsvc.evaluation.pooling import Pool
from searchsvc.terminal import printable

_TOLD = 10
"""How many failures are told one by one; the others are counted."""


def left_out_lines(pooled: Pool) -> list[str]:
    """What is not among the pairs, or may be missing there."""
    failed = [f"query {query_id} is left out, a search failed: {error}" for query_id, error in pooled.failed.items()]
    lines = _first(failed, "queries")
    if pooled.empty:
        lines.append(f"{len(pooled.empty)} queries have no document to judge")
    for name, count in pooled.degraded.items():
        if count:
            lines.append(f"degraded: variant {name} lacked a stage in {count} searches; searchsvc evaluate says why")
    if pooled.unwritable:
        lines.append(f"{pooled.unwritable} documents are left out: their ids hold a tab or a line break")
    return lines


def failure_lines(failed: Sequence[tuple[Pair, StageError]]) -> list[str]:
    """The pairs that a model did not grade, and why."""
    told = [f"query {pair.query_id}, document {pair.doc_id} has no grade: {error}" for pair, error in failed]
    return _first(told, "pairs")


def agreement_line(agreed: Agreement) -> str:
    """How far the judges agree, or why that is unknown."""
    if agreed.pairs < ENOUGH:
        return f"agreement is unknown: {agreed.pairs} of {ENOUGH} pairs judged by both"
    if agreed.kappa is None:
        return f"agreement is unknown: all {agreed.pairs} pairs judged by both have one and the same grade"
    return f"weighted κ {agreed.kappa:.2f} over {agreed.pairs} pairs judged by both"


def agreement_table(agreed: Agreement) -> Table:
    """The grades of people against those of the model."""
    table = Table(title="people (rows) and model (columns)", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for grade in GRADES:
        table.add_column(str(grade), justify="right", min_width=4)
    for (grade, meaning), row in zip(GRADES.items(), agreed.table, strict=True):
        table.add_row(f"{grade} {meaning}", *map(str, row))
    return table


def _first(lines: Sequence[str], what: str) -> list[str]:
    told = [printable(line) for line in lines[:_TOLD]]
    return told if len(lines) <= _TOLD else [*told, f"and {len(lines) - _TOLD} more {what}"]
