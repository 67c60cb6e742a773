"""The figures without judgements as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from searchsvc.evaluation.tables import plain_table
from searchsvc.evaluation.unjudged import ChangeReport, Worth
from searchsvc.terminal import printable


def change_table(reports: Sequence[ChangeReport]) -> Table:
    """One line for each variant: how far its first pages differ from those of the first variant."""
    table = plain_table()
    table.add_column("variant", overflow="fold")
    for column in ("top 3 changed", "top 10 changed", "overlap@10", "RBO", "empty", "rescued"):
        table.add_column(column, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(report.name, *_compared(report))
    return table


def worth_table(worth: Sequence[Worth]) -> Table:
    """One line for each query: how far which variant differs, and by what."""
    table = plain_table()
    table.add_column("1-RBO", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold")
    table.add_column("query", overflow="ellipsis", no_wrap=True, ratio=2, min_width=12)
    table.add_column("variant", overflow="fold")
    table.add_column("difference", overflow="fold", ratio=2, min_width=26)
    for each in worth:
        query_id, user_query = (escape(printable(text)) for text in (each.query_id, each.user_query))
        table.add_row(f"{1 - each.change.rbo:.3f}", query_id, user_query, each.variant, _told(each))
    return table


def _compared(report: ChangeReport) -> tuple[str, ...]:
    if not report.changes:
        return "", "", "", "", str(report.empty), ""
    means = report.means()
    return (
        f"{means['top_3_changed']:.1%}",
        f"{means['top_10_changed']:.1%}",
        f"{means['overlap_at_10']:.3f}",
        f"{means['rbo']:.3f}",
        str(report.empty),
        f"{means['rescued']:.0f}",
    )


def _told(each: Worth) -> str:
    change = each.change
    if change.top is None:
        return "finds nothing"
    if change.rescued:
        return f"finds {len(change.new)}, the first variant nothing"
    if change.top_was == 1:
        return f"{len(change.new)} new; the same on top"
    where = "is new" if change.top_was is None else f"was rank {change.top_was}"
    return f"{len(change.new)} new; top {where}"
