"""The only writer of Elasticsearch's JSON: pure functions from our values to request bodies.

A query is data here: index terms become `term` clauses, and no string is ever parsed by a query language.
Form and cost of the clauses: Elasticsearch reference, "Boolean query" and "Term query".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import orjson

from searchsvc.documents import Document
from searchsvc.elastic.facets import aggregations
from searchsvc.model import AnyOf, Condition, Exists, Filters, Not, RawFilter, SortKey, Value, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import MANAGED, FieldKind

COUNTED = 1000
"""Matches are counted exactly up to here: counting to Elasticsearch's own 10,000 made a search a fifth dearer."""

_STRICT_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-7]):\d\d)?)?", re.ASCII)


def search_body(terms: Sequence[WeightedTerm], request: RetrieveRequest) -> dict[str, Any]:
    """The `top_k` best of a weighted sum of `terms`, in the order of the request: else by (-score, doc_id).

    `terms`, which stand for those of the request, must not be empty: a bool query without clauses matches every
    document. Where the request asks to explain, every clause is named by its term.
    """
    clauses: list[dict[str, Any]] = [{"term": {"tokens": _weighted(term, request.explain)}} for term in terms]
    boolean: dict[str, Any] = {"should": clauses, "minimum_should_match": 1}
    if request.filters:
        boolean["filter"] = [clause(condition) for condition in request.filters]
    body: dict[str, Any] = {
        "size": request.top_k,
        "query": {"bool": boolean},
        "sort": [*map(_sorted_by, request.sort), *([] if request.sort else ["_score"]), {"doc_id": "asc"}],
        "track_total_hits": COUNTED,
    }
    if request.sort:
        body["track_scores"] = True
    if request.collapse is not None:
        body["collapse"] = {"field": request.collapse}
    if request.facets:
        body["aggs"] = aggregations(request.facets, clause)
    return body


def page_body(terms: Sequence[WeightedTerm], request: RetrieveRequest, *, start: int) -> dict[str, Any]:
    """The same from place `start` (0-based), without counts."""
    return {**search_body(terms, request), "from": start, "track_total_hits": False}


def documents_body(doc_ids: Sequence[str], filters: Filters) -> dict[str, Any]:
    """Those of the documents that the filters let through, in no order and without scores."""
    conditions = [AnyOf(field="doc_id", values=tuple(doc_ids)), *filters]
    return {
        "size": len(doc_ids),
        "query": {"bool": {"filter": [clause(condition) for condition in conditions]}},
        "track_total_hits": False,
    }


def clause(condition: Condition) -> dict[str, Any]:
    """A condition as a query whose score is not read.

    A date is an instant here: Elasticsearch would round `lte: 2026-01-31` up to the end of that day.
    """
    if isinstance(condition, RawFilter):
        return dict(condition.query)
    if isinstance(condition, Not):
        return _not(clause(condition.condition))
    if isinstance(condition, Exists):
        exists = {"exists": {"field": condition.field}}
        return exists if condition.present else _not(exists)
    dated = MANAGED.fields[condition.field].kind is FieldKind.DATE
    if isinstance(condition, AnyOf):
        return {"terms": {condition.field: [instant(value) if dated else value for value in condition.values]}}
    return {"range": {condition.field: {key: instant(value) for key, value in condition.bounds().items()}}}


def frequencies_body(terms: Sequence[str]) -> dict[str, Any]:
    """How many documents hold each term, in this order, and how many there are; right on several shards too."""
    filters = [{"term": {"tokens": term}} for term in terms]
    aggregations = {"df": {"filters": {"filters": filters}}} if filters else {}
    return {"size": 0, "track_total_hits": True, "aggs": aggregations}


def pairs_body(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many documents hold both terms of each pair, in this order; right on several shards too."""
    filters = [{"bool": {"filter": [{"term": {"tokens": term}} for term in pair]}} for pair in pairs]
    return {"size": 0, "track_total_hits": False, "aggs": {"df": {"filters": {"filters": filters}}}}


def holding_body(terms: Sequence[str], doc_ids: Sequence[str]) -> dict[str, Any]:
    """Which of the documents are there, and by the names of clauses which terms each holds."""
    named = [{"term": {"tokens": {"value": term, "_name": term}}} for term in terms]
    return {
        "size": len(doc_ids),
        "query": {"bool": {"filter": [{"ids": {"values": list(doc_ids)}}], "should": named}},
        "track_total_hits": False,
        "_source": False,
    }


def texts_body(size: int, after: Sequence[Any]) -> dict[str, Any]:
    """Title and text of `size` documents by doc_id; `after`: the place of the last one read, empty for the first."""
    body = {"size": size, "sort": [{"doc_id": "asc"}], "_source": ["title", "text"], "track_total_hits": False}
    return {**body, "search_after": list(after)} if after else body


def document_lines(document: Document, tokens: Sequence[str]) -> bytes:
    """The two lines of a bulk request that put one document, whatever stood under its id."""
    extra = dict(document.extra)
    fields = {key: value for key, value in document.source().items() if key not in extra}
    if document.updated_at is not None and not _STRICT_TIME.fullmatch(document.updated_at):
        fields["updated_at"] = instant(document.updated_at)
        extra["updated_at"] = document.updated_at
    if extra:
        fields["source"] = extra
    action = {"index": {"_id": document.doc_id}}
    return _line(action) + _line({"doc_id": document.doc_id, "tokens": " ".join(tokens), **fields})


def index_body(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and mappings of a new index; `meta` joins the `_meta` of the file."""
    body: dict[str, Any] = orjson.loads(files("index_mappings").joinpath("documents.v1.json").read_bytes())
    body["mappings"]["_meta"].update(meta)
    return body


def meta_body(meta: Mapping[str, Any]) -> dict[str, Any]:
    """A change of the mapping that replaces its `_meta`."""
    return {"_meta": dict(meta)}


def refresh_body(*, filling: bool) -> dict[str, Any]:
    """No refreshes while an index that nobody searches is filled; the default interval otherwise."""
    return {"index": {"refresh_interval": "-1" if filling else None}}


def alias_body(alias: str, *, add: str, remove: Sequence[str]) -> dict[str, Any]:
    """One atomic change: `alias` leaves the indices in `remove` and points to `add`."""
    actions: list[dict[str, Any]] = [{"remove": {"index": index, "alias": alias}} for index in remove]
    return {"actions": [*actions, {"add": {"index": add, "alias": alias}}]}


def _weighted(term: WeightedTerm, explain: bool) -> dict[str, Any]:
    clause: dict[str, Any] = {"value": term.term, "boost": term.weight}
    if explain:
        clause["_name"] = term.term
    return clause


def _not(query: Mapping[str, Any]) -> dict[str, Any]:
    return {"bool": {"must_not": [query]}}


def _sorted_by(key: SortKey) -> dict[str, Any]:
    """A date is told as text: Elasticsearch's own number for a document without one is read as a date by clients."""
    how: dict[str, Any] = {"order": "desc" if key.descending else "asc", "missing": "_last"}
    if MANAGED.fields[key.field].kind is FieldKind.DATE:
        how["format"] = "strict_date_optional_time"
    return {key.field: how}


def instant(time: Value) -> str:
    """An ISO 8601 time in the one form that Elasticsearch reads as Python does; without an offset it is UTC.

    Of other forms it refuses some (`2026-W05-1`, offsets beyond 18 hours) and takes `20260131` for milliseconds since
    1970.
    """
    read = datetime.fromisoformat(str(time))
    return (read if read.tzinfo is None else read.astimezone(UTC)).isoformat(timespec="microseconds")


def _line(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value) + b"\n"
    except TypeError:  # integers beyond 64 bits and very deep nesting, which the standard library writes
        return json.dumps(value).encode() + b"\n"
