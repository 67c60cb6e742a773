"""Counts of values and ranges among the matches of a query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import tantivy

from searchsvc.embedded.arranging import value_of
from searchsvc.embedded.fields import OpenTantivy, candidate_of
from searchsvc.embedded.filters import condition_query, written
from searchsvc.model import Facet, Range, RangesFacet, TermsFacet
from searchsvc.result import FacetCount, FacetCounts
from searchsvc.schema import MANAGED, FieldKind


def counted(opened: OpenTantivy, wanted: tantivy.Query | None, facets: Sequence[Facet]) -> tuple[FacetCounts, ...]:
    """Each of `facets` over what `wanted` finds; None finds nothing.

    The most frequent values first, equally frequent ones in their own order; ranges in the order of the request.
    """
    return tuple(
        _ranges(opened, wanted, facet) if isinstance(facet, RangesFacet) else _terms(opened, wanted, facet)
        for facet in facets
    )


def _terms(opened: OpenTantivy, wanted: tantivy.Query | None, facet: TermsFacet) -> FacetCounts:
    found: Iterable[tuple[str, int]] = ()
    if wanted is not None and MANAGED.fields[facet.field].kind is FieldKind.DATE:
        found = _dates(opened, wanted, facet.field).items()
    elif wanted is not None:
        found = opened.searcher.terms_with_prefix(facet.field, "", wanted)
    every = sorted(found, key=lambda each: (-each[1], each[0]))
    return FacetCounts(
        field=facet.field,
        counts=tuple(FacetCount(value=value, count=count) for value, count in every[: facet.size]),
        other=sum(count for _, count in every[facet.size :]),
    )


def _dates(opened: OpenTantivy, wanted: tantivy.Query, field: str) -> Counter[str]:
    hits = opened.searcher.search(wanted, max(1, opened.searcher.num_docs)).hits
    values = (value_of(candidate_of(opened.searcher.doc(address), 0.0), field) for _, address in hits)
    return Counter(written(value) for value in values if value is not None)


def _ranges(opened: OpenTantivy, wanted: tantivy.Query | None, facet: RangesFacet) -> FacetCounts:
    counts = tuple(FacetCount(value=each, count=_count(opened, wanted, each)) for each in facet.ranges)
    return FacetCounts(field=facet.field, counts=counts)


def _count(opened: OpenTantivy, wanted: tantivy.Query | None, bounds: Range) -> int:
    if wanted is None:
        return 0
    inside = condition_query(opened.schema, bounds)
    both = tantivy.Query.boolean_query([(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, inside)])
    return int(opened.searcher.search(both, 1).count)  # type: ignore[attr-defined]  # tantivy's stubs leave it out
