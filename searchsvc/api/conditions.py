"""From the parts of a body that may be written in several ways to the values of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from searchsvc.api.unions import ConditionBody, FacetBody, FilterBody, FiltersBody, RangeBody
from searchsvc.model import (
    AnyOf,
    Exists,
    Facet,
    Filters,
    Not,
    Range,
    RangesFacet,
    RawFilter,
    SortKey,
    TermsFacet,
    Value,
)


def filters_of(filters: FiltersBody) -> Filters:
    """The conditions that the body names."""
    by_field = tuple(_condition(field, value) for field, value in filters.by_field().items())
    return by_field if filters.es is None else (*by_field, RawFilter(query=filters.es))


def _condition(field: str, value: Value | list[Value] | ConditionBody) -> AnyOf | Range | Exists | Not:
    if isinstance(value, FilterBody) and value.not_ is not None:
        return Not(condition=_plain_condition(field, value.not_))
    return _plain_condition(field, value)


def _plain_condition(field: str, value: Value | list[Value] | ConditionBody) -> AnyOf | Range | Exists:
    if isinstance(value, ConditionBody):
        return _range(field, value) if value.exists is None else Exists(field=field, present=value.exists)
    return AnyOf(field=field, values=tuple(value) if isinstance(value, list) else (value,))


def _range(field: str, body: RangeBody) -> Range:
    return Range(field=field, **body.bounds())


def facets_of(facets: list[str] | dict[str, FacetBody]) -> tuple[Facet, ...]:
    """What is to be counted; a field that is listed twice is counted once."""
    if isinstance(facets, list):
        return tuple(TermsFacet(field=field) for field in dict.fromkeys(facets))
    return tuple(
        TermsFacet(field=field, size=body.size)
        if body.ranges is None
        else RangesFacet(field=field, ranges=tuple(_range(field, each) for each in body.ranges))
        for field, body in facets.items()
    )


def sort_of(sort: str | Sequence[str | dict[str, Any]]) -> tuple[SortKey, ...]:
    """The keys of an order; none for relevance."""
    entries = () if isinstance(sort, str) else sort
    return tuple(
        SortKey(field=name_of(entry), descending=not isinstance(entry, str) and entry[name_of(entry)] == "desc")
        for entry in entries
    )


def name_of(entry: str | dict[str, Any]) -> str:
    """The field that an entry of a list names."""
    return entry if isinstance(entry, str) else next(iter(entry))
