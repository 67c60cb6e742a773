"""Filters and facets of an adopted index, with nested fields where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searchsvc.elastic.adopted.base_query import Clause
from searchsvc.elastic.adopted.text_clauses import inside
from searchsvc.elastic.facets import aggregations
from searchsvc.elastic.query import instant
from searchsvc.model import AnyOf, Condition, Exists, Facet, Filters, Not, Range, RangesFacet, RawFilter, Value
from searchsvc.schema import FieldKind, IndexSchema

DATE_FORMAT = "strict_date_optional_time"
"""ISO 8601, whatever format the mapping has."""


def filter_clauses(filters: Filters, schema: IndexSchema) -> list[Clause]:
    """One clause for each condition; those on objects at one nested path hold for the same object."""
    clauses: list[Clause] = []
    together: dict[str, list[Clause]] = {}
    for condition in filters:
        path = _path(condition, schema)
        if path is None:
            clauses.append(_clause(condition, schema))
        else:
            together.setdefault(path, []).append(_plain(condition, schema))
    return [*clauses, *(inside(path, {"bool": {"filter": each}}) for path, each in together.items())]


def facet_aggregations(facets: Sequence[Facet], schema: IndexSchema, post_filter: Clause | None) -> dict[str, Any]:
    """What `searchsvc.elastic.facets.facet_counts` reads; of the documents that `post_filter` lets through."""
    plain = aggregations(facets, lambda bounds: _clause(bounds, schema))
    found = {name: _of_documents(facet, plain[name], schema) for facet, name in zip(facets, plain, strict=True)}
    return found if post_filter is None else {"after": {"filter": post_filter, "aggs": found}}


def _path(condition: Condition, schema: IndexSchema) -> str | None:
    """The nested path with an object for which a condition holds; None: it is one about the document."""
    if isinstance(condition, AnyOf | Range) or (isinstance(condition, Exists) and condition.present):
        return schema.fields[condition.field].nested
    return None


def _clause(condition: Condition, schema: IndexSchema) -> Clause:
    """A condition about the document."""
    if isinstance(condition, RawFilter):
        return dict(condition.query)
    if isinstance(condition, Not):
        return _not(_clause(condition.condition, schema))
    if isinstance(condition, Exists) and not condition.present:
        return _not(_clause(Exists(field=condition.field), schema))
    path, plain = schema.fields[condition.field].nested, _plain(condition, schema)
    return plain if path is None else inside(path, plain)


def _plain(condition: Condition, schema: IndexSchema) -> Clause:
    """A condition on values, wherever they lie.

    A date is an instant: Elasticsearch would round `lte: 2026-01-31` up to the end of that day.
    """
    match condition:
        case Exists(field=field):
            return {"exists": {"field": field}}
        case AnyOf(field=field, values=values) if schema.fields[field].kind is FieldKind.DATE:
            return {"bool": {"should": [_between(field, {"gte": each, "lte": each}, dated=True) for each in values]}}
        case AnyOf(field=field, values=values):
            return {"terms": {field: list(values)}}
        case Range(field=field):
            return _between(field, condition.bounds(), dated=schema.fields[field].kind is FieldKind.DATE)
    raise TypeError(condition)


def _between(field: str, bounds: Mapping[str, Value], *, dated: bool) -> Clause:
    if not dated:
        return {"range": {field: bounds}}
    return {"range": {field: {**{key: instant(at) for key, at in bounds.items()}, "format": DATE_FORMAT}}}


def _not(query: Clause) -> Clause:
    return {"bool": {"must_not": [query]}}


def _of_documents(facet: Facet, aggregation: dict[str, Any], schema: IndexSchema) -> dict[str, Any]:
    """Of the values of objects, too, documents are counted; ranges are filters on documents already."""
    if isinstance(facet, RangesFacet):
        return aggregation
    field, terms = schema.fields[facet.field], dict(aggregation["terms"])
    if field.kind is FieldKind.DATE:
        terms["format"] = DATE_FORMAT
    if field.nested is None:
        return {"terms": terms}
    terms["order"] = [{"documents": "desc"}, {"_key": "asc"}]
    inside_objects = {"terms": terms, "aggs": {"documents": {"reverse_nested": {}}}}
    return {"nested": {"path": field.nested}, "aggs": {"inside": inside_objects}}
