"""Facets: which aggregations they are, and what those answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def facet_counts(reply: Any, facets: Sequence[Facet], schema: IndexSchema) -> tuple[FacetCounts, ...]:
    """What a search with these aggregations counted. Raises BackendRejected if the answer has another shape.

    They may stand inside a filter of the whole, `after`, and those of a nested field inside its objects.
    """
    with shape("an aggregation"):
        found = reply["aggregations"] if facets else {}
        found = found.get("after", found)
        return tuple(
            _counts(facet, found[_name(place)], schema.fields[facet.field]) for place, facet in enumerate(facets)
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


def _counts(facet: Facet, found: Mapping[str, Any], field: IndexField) -> FacetCounts:
    if isinstance(facet, RangesFacet):
        counts = [bucket["doc_count"] for bucket in found["buckets"]]
        return FacetCounts(field=facet.field, counts=_of_ranges(facet.ranges, counts))
    terms = found if field.nested is None else found["inside"]
    return FacetCounts(
        field=facet.field,
        counts=tuple(
            FacetCount(value=_value(bucket), count=bucket.get("documents", bucket)["doc_count"])  # no objects
            for bucket in terms["buckets"]
        ),
        other=terms["sum_other_doc_count"],
        error=max(0, terms["doc_count_error_upper_bound"]),  # -1: not known
    )


def _of_ranges(ranges: Sequence[Range], counts: Sequence[int]) -> tuple[FacetCount, ...]:
    return tuple(FacetCount(value=each, count=count) for each, count in zip(ranges, counts, strict=True))


def _value(bucket: Mapping[str, Any]) -> Value:
    """Dates and booleans are written out beside a number."""
    written: str | None = bucket.get("key_as_string")
    if written in ("true", "false"):
        return written == "true"
    key: Value = bucket["key"]
    return key if written is None else written
