"""A filter of the search request as a tantivy query; dates are whole milliseconds since 1970 in the index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import tantivy

from searchsvc.documents import FILTER_FIELDS
from searchsvc.model import AnyOf, Filters, Range

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EARLIEST, _LATEST = -(2**62), 2**62


def filter_query(schema: tantivy.Schema, filters: Filters) -> tantivy.Query:
    """A query without a score that holds where all of `filters` hold.

    The service has checked them; what it would have refused raises KeyError, TypeError or ValueError.
    """
    parts = [(tantivy.Occur.Must, _condition(schema, each)) for each in filters]
    return tantivy.Query.const_score_query(tantivy.Query.boolean_query(parts), 0.0)


def milliseconds(moment: datetime) -> int:
    """Whole ones since 1970; a time without a zone is UTC."""
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MILLISECOND


def _condition(schema: tantivy.Schema, condition: AnyOf | Range) -> tantivy.Query:
    if FILTER_FIELDS[condition.field] == "date":
        return _dates(schema, condition)
    if isinstance(condition, Range):
        raise TypeError(f"{condition.field} holds words: there is no range of them")
    return tantivy.Query.term_set_query(schema, condition.field, list(condition.values))


def _dates(schema: tantivy.Schema, condition: AnyOf | Range) -> tantivy.Query:
    if isinstance(condition, Range):
        return _date_range(schema, condition)
    same = [Range(field=condition.field, gte=value, lte=value) for value in condition.values]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, _date_range(schema, each)) for each in same])


def _date_range(schema: tantivy.Schema, bounds: Range) -> tantivy.Query:
    """A bound is an instant: a day without a time is its first one, as in the other engine."""
    lowest = max(
        _EARLIEST if bounds.gte is None else _instant(bounds.gte),
        _EARLIEST if bounds.gt is None else _instant(bounds.gt) + 1,
    )
    highest = min(
        _LATEST if bounds.lte is None else _instant(bounds.lte),
        _LATEST if bounds.lt is None else _instant(bounds.lt) - 1,
    )
    if lowest > highest:
        return tantivy.Query.empty_query()
    return tantivy.Query.range_query(schema, bounds.field, tantivy.FieldType.Integer, lowest, highest)


def _instant(value: str) -> int:
    return milliseconds(datetime.fromisoformat(value))
