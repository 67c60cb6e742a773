"""A filter of the search request as a tantivy query; dates are whole milliseconds since 1970 in the index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import tantivy

from searchsvc.errors import InvalidRequest
from searchsvc.model import AnyOf, Bound, Condition, Exists, Filters, Not, Range, RawFilter
from searchsvc.schema import MANAGED, FieldKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EARLIEST, _LATEST = -(2**62), 2**62
_ANY_VALUE = r"(.|\n)*"
"""Matches every term; a query for existence of tantivy's own needs a column, which the fields do not have."""


def filter_query(schema: tantivy.Schema, filters: Filters) -> tantivy.Query:
    """A query without a score that holds where all of `filters` hold.

    Raises InvalidRequest for a filter in Elasticsearch's own words. The other ones were checked; what should have been
    refused raises KeyError, TypeError or ValueError.
    """
    parts = [(tantivy.Occur.Must, condition_query(schema, each)) for each in filters]
    return tantivy.Query.const_score_query(tantivy.Query.boolean_query(parts), 0.0)


def condition_query(schema: tantivy.Schema, condition: Condition) -> tantivy.Query:
    """One of them, as a query whose score means nothing. Raises as `filter_query`."""
    if isinstance(condition, RawFilter):
        raise InvalidRequest(
            "Filters in Elasticsearch's own words (filters.es) work on Elasticsearch only.",
            pointer="/filters/es",
            hint="This is the embedded engine: filter by fields.",
        )
    if isinstance(condition, Not):
        return _all_but(condition_query(schema, condition.condition))
    if isinstance(condition, Exists):
        any_value = _any_value(schema, condition.field)
        return any_value if condition.present else _all_but(any_value)
    if MANAGED.fields[condition.field].kind is FieldKind.DATE:
        return _dates(schema, condition)
    if isinstance(condition, Range):
        raise TypeError(f"{condition.field} holds words: there is no range of them")
    return tantivy.Query.term_set_query(schema, condition.field, list(condition.values))


def milliseconds(moment: datetime) -> int:
    """Whole ones since 1970; a time without a zone is UTC."""
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MILLISECOND


def written(moment: int) -> str:
    """A time of the index as text, to the millisecond, as the other engine writes it."""
    return (_EPOCH + moment * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _all_but(query: tantivy.Query) -> tantivy.Query:
    every = tantivy.Query.all_query()
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, every), (tantivy.Occur.MustNot, query)])


def _any_value(schema: tantivy.Schema, field: str) -> tantivy.Query:
    if MANAGED.fields[field].kind is FieldKind.DATE:
        return _date_range(schema, Range(field=field))
    return tantivy.Query.regex_query(schema, field, _ANY_VALUE)


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


def _instant(value: Bound) -> int:
    return milliseconds(datetime.fromisoformat(str(value)))
