"""Facets: which aggregations they are, and what those answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from searchsvc.elastic.hits import shape
from searchsvc.model import Facet, Range, RangesFacet, TermsFacet, Value
from searchsvc.result import FacetCount, FacetCounts
from searchsvc.schema import IndexField, IndexSchema


def aggregations(facets: Sequence[Facet], clause: Callable[[Range], Mapping[str, Any]]) -> dict[str, Any]:
    """One for each of `facets`, in this order; `clause` makes the query of a range.

    Ranges are filters: an aggregation over ranges of its own has no bounds that are left out (`gt`) or kept (`lte`).
    """
    return {_name(place): _aggregation(facet, clause) for place, facet in enumerate(facets)}


def facet_counts(reply: Any, facets: Sequence[Facet]) -> tuple[FacetCounts, ...]:
    """What a search with these aggregations counted. Raises BackendRejected if the answer has another shape."""
    with shape("an aggregation"):
        found = reply["aggregations"] if facets else {}
        return tuple(_counts(facet, found[_name(place)]) for place, facet in enumerate(facets))


def adopted_counts(reply: Any, facets: Sequence[Facet], schema: IndexSchema) -> tuple[FacetCounts, ...]:
    """The same of an adopted index, where fields may lie in nested objects. Raises BackendRejected."""
    with shape("an aggregation"):
        found = reply["aggregations"] if facets else {}
        found = found.get("after", found)
        return tuple(
            _adopted(facet, found[_name(place)], schema.fields[facet.field]) for place, facet in enumerate(facets)
        )


def no_counts(facets: Sequence[Facet]) -> tuple[FacetCounts, ...]:
    """Of a query that finds nothing."""
    return tuple(
        FacetCounts(field=facet.field, counts=_of_ranges(facet.ranges, [0] * len(facet.ranges)))
        if isinstance(facet, RangesFacet)
        else FacetCounts(field=facet.field, counts=())
        for facet in facets
    )


def _name(place: int) -> str:
    return f"facet_{place}"


def _aggregation(facet: Facet, clause: Callable[[Range], Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(facet, TermsFacet):
        return {"terms": {"field": facet.field, "size": facet.size}}
    return {"filters": {"filters": [clause(each) for each in facet.ranges]}}


def _counts(facet: Facet, found: Mapping[str, Any]) -> FacetCounts:
    buckets = found["buckets"]
    if isinstance(facet, RangesFacet):
        return FacetCounts(field=facet.field, counts=_of_ranges(facet.ranges, [each["doc_count"] for each in buckets]))
    return FacetCounts(
        field=facet.field,
        counts=tuple(FacetCount(value=_value(bucket), count=bucket["doc_count"]) for bucket in buckets),
        other=found["sum_other_doc_count"],
        error=max(0, found["doc_count_error_upper_bound"]),  # -1: not known
    )


def _adopted(facet: Facet, found: Mapping[str, Any], field: IndexField) -> FacetCounts:
    inside = found["inside"] if field.nested is not None and isinstance(facet, TermsFacet) else found
    counts = _counts(facet, inside)
    if inside is found:
        values = counts.counts
    else:  # nested: documents, not objects
        numbers = [bucket["documents"]["doc_count"] for bucket in inside["buckets"]]
        values = tuple(replace(each, count=number) for each, number in zip(counts.counts, numbers, strict=True))
    return replace(counts, counts=values)


def _of_ranges(ranges: Sequence[Range], counts: Sequence[int]) -> tuple[FacetCount, ...]:
    return tuple(FacetCount(value=each, count=count) for each, count in zip(ranges, counts, strict=True))


def _value(bucket: Mapping[str, Any]) -> Value:
    """Dates and booleans are written out beside a number."""
    written: str | None = bucket.get("key_as_string")
    if written in ("true", "false"):
        return written == "true"
    key: Value = bucket["key"]
    return key if written is None else written
