"""A filter of the search request as a tantivy query; dates are whole milliseconds since 1970 in the index."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import tantivy

from searchsvc.documents import FILTER_FIELDS
from searchsvc.errors import InvalidRequest
from searchsvc.model import AnyOf, Filters, Range

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EARLIEST, _LATEST = -(2**62), 2**62


def filter_query(schema: tantivy.Schema, searcher: tantivy.Searcher, filters: Filters) -> tantivy.Query:
    """A query without a score that holds where all of `filters` hold. Raises InvalidRequest."""
    parts = [(tantivy.Occur.Must, _condition(schema, searcher, each)) for each in filters]
    return tantivy.Query.const_score_query(tantivy.Query.boolean_query(parts), 0.0)


def milliseconds(moment: datetime) -> int:
    """Whole ones since 1970; a time without a zone is UTC."""
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MILLISECOND


def _condition(schema: tantivy.Schema, searcher: tantivy.Searcher, condition: AnyOf | Range) -> tantivy.Query:
    field = condition.field
    if field not in FILTER_FIELDS:
        raise InvalidRequest(
            f"there is no field {field!r} to filter by.",
            pointer=f"/filters/{field}",
            hint=f"Use one of: {', '.join(FILTER_FIELDS)}.",
        )
    if FILTER_FIELDS[field] == "date":
        return _dates(schema, condition)
    if isinstance(condition, AnyOf):
        return tantivy.Query.term_set_query(schema, field, list(condition.values))
    values = (value for value, _ in searcher.terms_with_prefix(field, ""))
    return tantivy.Query.term_set_query(schema, field, list(_within(values, condition)))


def _within(values: Iterable[str], bounds: Range) -> Iterable[str]:
    """By code point, which is the order of UTF-8 bytes and so Elasticsearch's."""
    for value in values:
        above = (bounds.gte is None or value >= bounds.gte) and (bounds.gt is None or value > bounds.gt)
        below = (bounds.lte is None or value <= bounds.lte) and (bounds.lt is None or value < bounds.lt)
        if above and below:
            yield value


def _dates(schema: tantivy.Schema, condition: AnyOf | Range) -> tantivy.Query:
    if isinstance(condition, Range):
        return _date_range(schema, condition)
    same = [Range(field=condition.field, gte=value, lte=value) for value in condition.values]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, _date_range(schema, each)) for each in same])


def _date_range(schema: tantivy.Schema, bounds: Range) -> tantivy.Query:
    """A bound is an instant: a day without a time is its first one, as in the other engine."""
    lowest = max(
        _EARLIEST if bounds.gte is None else _instant(bounds.field, bounds.gte),
        _EARLIEST if bounds.gt is None else _instant(bounds.field, bounds.gt) + 1,
    )
    highest = min(
        _LATEST if bounds.lte is None else _instant(bounds.field, bounds.lte),
        _LATEST if bounds.lt is None else _instant(bounds.field, bounds.lt) - 1,
    )
    if lowest > highest:
        return tantivy.Query.empty_query()
    return tantivy.Query.range_query(schema, bounds.field, tantivy.FieldType.Integer, lowest, highest)


def _instant(field: str, value: str) -> int:
    try:
        return milliseconds(datetime.fromisoformat(value))
    except ValueError:
        raise InvalidRequest(
            f"{value!r} is no ISO 8601 time.", pointer=f"/filters/{field}", hint="Write it like 2026-01-31T09:30:00Z."
        ) from None
