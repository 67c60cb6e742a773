"""Clauses over the fields of an adopted index: texts, phrases, conditions, facets; `nested` where they must be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from searchsvc.elastic.adopted.base_query import BaseQuery, Clause, default_query, read_base_query
from searchsvc.model import AnyOf, Bound, Condition, Exists, Filters, Not, Range, RangesFacet, RawFilter, Value
from searchsvc.model import Facet as FacetRequest
from searchsvc.schema import AdoptedIndex, FieldKind, IndexSchema, TextField

TIE_BREAKER = 0.3
"""How much fields other than the best add: Elasticsearch's reference suggests it for `best_fields`."""

_INSTANT = "strict_date_optional_time_nanos"


class Clauses:
    """Makes the clauses for one index."""

    def __init__(self, index: AdoptedIndex, schema: IndexSchema) -> None:
        """Raises ConfigurationError for a base query that cannot be used."""
        self._index = index
        self._schema = schema
        self.fields: tuple[TextField, ...] = tuple(each for each in index.text_fields if each.name not in schema.lost)
        """The text fields that are there."""
        self.base: BaseQuery | None = self._base()
        """None: there is nothing to search by."""

    def phrase(self, word: str, weight: float, name: str | None = None) -> Clause:
        """The best field in which `word`, as the field's own analyser reads it, stands as a phrase."""
        queries = [self._over(each, "match_phrase", word) for each in self.fields]
        found: Clause = {"queries": queries, "tie_breaker": TIE_BREAKER, "boost": weight}
        return {"dis_max": found if name is None else {**found, "_name": name}}

    def kind(self, field: str) -> FieldKind:
        """What the values of a field are that a request may name."""
        return self._schema.fields[field].kind

    def filters(self, filters: Filters) -> list[Clause]:
        """The conditions as queries; those on one nested path hold for one and the same object."""
        together: dict[str, list[Clause]] = {}
        found: list[Clause] = []
        for condition in filters:
            path = self._path_of(condition)
            if path is not None and not isinstance(condition, Not) and not _is_absence(condition):
                together.setdefault(path, []).append(self._condition(condition))
                continue
            found.append(self._whole(condition, path))
        return found + [_nested(path, {"bool": {"filter": inside}}) for path, inside in together.items()]

    def aggregation(self, facet: FacetRequest) -> dict[str, Any]:
        """Counts documents, also where the field lies in a nested path."""
        field = self._schema.fields[facet.field]
        if isinstance(facet, RangesFacet):
            counted: dict[str, Any] = {
                "filters": {"filters": [self._whole(each, field.nested) for each in facet.ranges]}
            }
            return counted
        terms: dict[str, Any] = {"terms": {"field": facet.field, "size": facet.size}}
        if field.nested is None:
            return terms
        terms["aggs"] = {"documents": {"reverse_nested": {}}}
        return {"nested": {"path": field.nested}, "aggs": {"inside": terms}}

    def _base(self) -> BaseQuery | None:
        if self._index.base_query is not None:
            return read_base_query(self._index.name, self._index.base_query)
        return default_query(self._text) if self.fields else None

    def _text(self, user_query: str) -> Clause:
        """The best field, and a part of the others."""
        queries = [self._over(each, "match", user_query) for each in self.fields]
        if len(queries) == 1:
            return queries[0]
        return {"dis_max": {"queries": queries, "tie_breaker": TIE_BREAKER}}

    def _over(self, field: TextField, kind: str, text: str) -> Clause:
        clause: Clause = {kind: {field.name: {"query": text, "boost": field.boost}}}
        path = nested_path(self._index, field.name)
        return clause if path is None else _nested(path, clause, score_mode="max")

    def _path_of(self, condition: Condition) -> str | None:
        if isinstance(condition, RawFilter):
            return None
        inner = condition.condition if isinstance(condition, Not) else condition
        return self._schema.fields[inner.field].nested

    def _whole(self, condition: Condition, path: str | None) -> Clause:
        """The condition, inside its nested path; what must not be, outside of it: of no object."""
        if isinstance(condition, Not):
            return _not(self._whole(condition.condition, path))
        if isinstance(condition, Exists) and not condition.present:
            return _not(self._whole(Exists(field=condition.field), path))
        clause = self._condition(condition)
        return clause if path is None else _nested(path, clause)

    def _condition(self, condition: Condition) -> Clause:
        if isinstance(condition, RawFilter):
            return dict(condition.query)
        if isinstance(condition, Exists):
            return {"exists": {"field": condition.field}}
        if isinstance(condition, AnyOf):
            return self._any_of(condition)
        assert isinstance(condition, Range)  # noqa: S101 - narrows the type: Not is unfolded by its callers
        return self._range(condition)

    def _any_of(self, condition: AnyOf) -> Clause:
        if self._schema.fields[condition.field].kind is not FieldKind.DATE:
            return {"terms": {condition.field: list(condition.values)}}
        same = [self._range(Range(field=condition.field, gte=value, lte=value)) for value in condition.values]
        return {"bool": {"should": same, "minimum_should_match": 1}}

    def _range(self, bounds: Range) -> Clause:
        """A date is an instant here, whatever forms the mapping reads: without an offset it is UTC."""
        given = {"gte": bounds.gte, "gt": bounds.gt, "lte": bounds.lte, "lt": bounds.lt}
        if self._schema.fields[bounds.field].kind is not FieldKind.DATE:
            return {"range": {bounds.field: {key: value for key, value in given.items() if value is not None}}}
        instants: dict[str, Bound] = {key: _instant(value) for key, value in given.items() if value is not None}
        return {"range": {bounds.field: {**instants, "format": _INSTANT}}}


def nested_path(index: AdoptedIndex, field: str) -> str | None:
    """The innermost nested path of the table that the field lies in."""
    around = [path for path in index.nested if field.startswith(f"{path}.")]
    return max(around, key=len, default=None)


def _is_absence(condition: Condition) -> bool:
    return isinstance(condition, Exists) and not condition.present


def _nested(path: str, query: Clause, **more: Any) -> Clause:
    return {"nested": {"path": path, "query": query, **more}}


def _not(query: Mapping[str, Any]) -> Clause:
    return {"bool": {"must_not": [query]}}


def _instant(value: Value) -> str:
    return datetime.fromisoformat(str(value)).isoformat(timespec="microseconds")
