"""The only writer of Elasticsearch's JSON for adopted indices: pure functions from our values to request bodies.

What is not asked for is not there: with nothing switched on a body is the base query with the user's text, a size and
what comes back, so that ids, order and scores are those of the raw search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchsvc.elastic.adopted.base_query import BaseQuery, Clause, default_query, read_base_query
from searchsvc.elastic.adopted.conditions import DATE_FORMAT, facet_aggregations, filter_clauses
from searchsvc.elastic.adopted.text_clauses import TextClauses
from searchsvc.elastic.query import COUNTED
from searchsvc.forms import distinct_terms
from searchsvc.model import SortKey, WeightedQuery, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, FieldKind, IndexSchema

QUERY = "searchsvc:query"
"""The name of the clause that reads the user's text."""
PHRASE = "searchsvc:phrase:"
"""Before the place of an added word, in the name of its phrase."""
WORD = "searchsvc:word:"
"""Before the place of a word of the query, in the name of the phrase by which it is weighed."""

_MOST_CLAUSES = 512
"""Of phrases by which words are weighed: Elasticsearch allows twice as many clauses on every node."""
_ID, _INDEX_AND_ID = "_id", "_index/_id"
_UNMAPPED: Mapping[FieldKind, str] = {
    FieldKind.KEYWORD: "keyword",
    FieldKind.DATE: "date",
    FieldKind.NUMBER: "long",
    FieldKind.BOOLEAN: "boolean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """How one index is read: its table and its fields, worked out once."""

    index: AdoptedIndex
    schema: IndexSchema
    base: BaseQuery
    clauses: TextClauses

    @classmethod
    def of(cls, index: AdoptedIndex, schema: IndexSchema) -> Prepared:
        """Raises ConfigurationError for a base_query that cannot be used."""
        clauses = TextClauses.of(index, schema)
        own = index.base_query
        base = default_query(clauses.match) if own is None else read_base_query(index.name, own)
        return cls(index=index, schema=schema, base=base, clauses=clauses)

    @property
    def post_filter(self) -> Clause | None:
        """That of the base query: it holds for facets, too."""
        return self.base.body.get("post_filter")


def search_body(prepared: Prepared, request: RetrieveRequest) -> dict[str, Any]:
    """The `top_k` best in the order of the request, else in that of the base query."""
    body = prepared.base.around(_leaf(prepared, request))
    around: dict[str, Any] = {}
    if request.filters:
        around["filter"] = filter_clauses(request.filters, prepared.schema)
    if named := _named(prepared, request):
        around["should"] = [{"bool": {"should": named, "boost": 0}}]
    if around:
        body["query"] = {"bool": {"must": [body["query"]], **around}}
    body |= {"size": request.top_k, "track_total_hits": COUNTED, **_returned(prepared.index)}
    if request.sort:
        body.pop("rescore", None)  # Elasticsearch allows one of the two, and rescoring says nothing of this order
        body |= {"sort": [_sorted_by(key, prepared.schema) for key in request.sort], "track_scores": True}
        body["docvalue_fields"] = [key.field for key in request.sort]
    if request.collapse is not None:
        body["collapse"] = {"field": request.collapse}
    if request.facets:
        body["aggs"] = facet_aggregations(request.facets, prepared.schema, prepared.post_filter)
    return body


def page_body(prepared: Prepared, request: RetrieveRequest, *, start: int) -> dict[str, Any]:
    """The same from place `start` (0-based), without counts."""
    return {**search_body(prepared, request), "from": start, "track_total_hits": False}


def documents_body(prepared: Prepared, request: RetrieveRequest, doc_ids: Sequence[str]) -> dict[str, Any]:
    """Those of the documents that the filters and the base query let through, in no order and without scores."""
    clauses = filter_clauses(request.filters, prepared.schema)
    return {
        **_everything(prepared, [_identified(prepared.index.doc_id, doc_ids), *clauses]),
        "size": len(doc_ids),
        "track_total_hits": False,
        **_returned(prepared.index),
    }


def frequencies_body(prepared: Prepared, words: Sequence[str]) -> dict[str, Any]:
    """How many documents hold each word, in this order, and how many there are, among those that the base query may
    find; right on several shards too.
    """
    body = {**_everything(prepared, []), "size": 0, "track_total_hits": True}
    if words:
        body["aggs"] = {"df": {"filters": {"filters": [prepared.clauses.phrase(word) for word in words]}}}
    return body


def pairs_body(prepared: Prepared, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many documents hold both words of each pair, in this order, as `frequencies_body` counts them."""
    filters = [{"bool": {"filter": [prepared.clauses.phrase(word) for word in pair]}} for pair in pairs]
    body = {**_everything(prepared, []), "size": 0, "track_total_hits": False}
    return {**body, "aggs": {"df": {"filters": {"filters": filters}}}}


def holding_body(prepared: Prepared, words: Sequence[str], doc_ids: Sequence[str]) -> dict[str, Any]:
    """Which of the documents are there and may be found, and by the names of phrases which words each holds."""
    body = _everything(prepared, [_identified(prepared.index.doc_id, doc_ids)])
    phrases = [prepared.clauses.phrase(word, name=f"{WORD}{place}") for place, word in enumerate(words)]
    body["query"]["bool"]["should"] = phrases
    return {
        **body,
        "size": len(doc_ids),
        "track_total_hits": False,
        **_returned(prepared.index),
        "_source": False,
    }


def weighed_words(prepared: Prepared, request: RetrieveRequest) -> tuple[WeightedTerm, ...]:
    """The words of the query whose phrases are weighed against the whole; none unless an expansion is to come."""
    if not (request.expanding and _is_original(request.query) and prepared.clauses.fields):
        return ()
    words, _ = distinct_terms(request.query)
    return words[: max(1, _MOST_CLAUSES // len(prepared.clauses.fields))]


def _leaf(prepared: Prepared, request: RetrieveRequest) -> Clause:
    """The clause that reads the text, with the added words beside it."""
    query = request.query
    clause = prepared.base.reading(query.text)
    if _is_original(query):
        return clause
    names = request.explain
    text: dict[str, Any] = {"must": [clause], "boost": query.text_weight, **({"_name": QUERY} if names else {})}
    beside = _scoped(_phrases(prepared, query.phrases, PHRASE if names else None), prepared.base.scope)
    should = [{"bool": text}, *beside] if query.text_weight > 0 else beside
    return {"bool": {"should": should, "minimum_should_match": 1}} if should else {"match_none": {}}


def _named(prepared: Prepared, request: RetrieveRequest) -> list[Clause]:
    """What is only to be measured of the original query: its clause, and its words as phrases.

    They stand beside the whole with boost 0, which the score of a named clause leaves out. A name in its own place
    would need a clause of its own around the leaf, and so change how Lucene rounds: by the last digit of a score.
    """
    words = weighed_words(prepared, request)
    if not (words or (request.explain and _is_original(request.query))):
        return []
    clause = prepared.base.reading(request.query.text)
    return [{"bool": {"must": [clause], "_name": QUERY}}, *_phrases(prepared, words, WORD)]


def _is_original(query: WeightedQuery) -> bool:
    return query.text_weight == 1 and not query.phrases


def _phrases(prepared: Prepared, words: Sequence[WeightedTerm], prefix: str | None) -> list[Clause]:
    """One clause for each word, named by its place."""
    if not prepared.clauses.fields:
        return []
    return [
        prepared.clauses.phrase(word.term, boost=word.weight, name=None if prefix is None else f"{prefix}{place}")
        for place, word in enumerate(words)
    ]


def _scoped(phrases: list[Clause], scope: Sequence[Mapping[str, Any]]) -> list[Clause]:
    if not scope or not phrases:
        return phrases
    return [{"bool": {"should": phrases, "minimum_should_match": 1, "filter": list(scope)}}]


def _everything(prepared: Prepared, clauses: list[Clause]) -> dict[str, Any]:
    """A body that finds all that the base query may find, and that the clauses let through."""
    filters = [*prepared.base.everything, *clauses]
    body: dict[str, Any] = {"query": {"bool": {"filter": filters}} if filters else {"match_all": {}}}
    runtime = prepared.base.body.get("runtime_mappings")
    return body if runtime is None else {**body, "runtime_mappings": runtime}


def _identified(doc_id: str, doc_ids: Sequence[str]) -> Clause:
    if doc_id == _ID:
        return {"ids": {"values": list(doc_ids)}}
    if doc_id != _INDEX_AND_ID:
        return {"terms": {doc_id: list(doc_ids)}}
    by_index: dict[str, list[str]] = {}
    for each in doc_ids:
        index, _, within = each.partition("/")
        by_index.setdefault(index, []).append(within)
    return {
        "bool": {
            "should": [
                {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": ids}}]}}
                for index, ids in by_index.items()
            ]
        }
    }


def _returned(index: AdoptedIndex) -> dict[str, Any]:
    """What comes back of a document: what is shown, and what is read."""
    body: dict[str, Any] = {}
    if index.returned:
        body["_source"] = list(dict.fromkeys((*index.returned, *read_fields(index))))
    if index.doc_id not in (_ID, _INDEX_AND_ID):
        body["fields"] = [index.doc_id]
    return body


def read_fields(index: AdoptedIndex) -> tuple[str, ...]:
    """The fields that a candidate shows: title, snippet, and what a reranker reads."""
    shown = tuple(name for name in (index.title, index.snippet) if name is not None)
    return (*shown, *passage_fields(index))


def passage_fields(index: AdoptedIndex) -> tuple[str, ...]:
    """What a reranker reads: where the table does not say, what is shown, else what is searched."""
    shown = tuple(name for name in (index.title, index.snippet) if name is not None)
    return index.rerank_text or shown or tuple(field.name for field in index.text_fields)


def _sorted_by(key: SortKey, schema: IndexSchema) -> dict[str, Any]:
    """A document without the field comes last, and so does one of an index without it."""
    kind = schema.fields[key.field].kind
    how = {"order": "desc" if key.descending else "asc", "missing": "_last", "unmapped_type": _UNMAPPED[kind]}
    if kind is FieldKind.DATE:
        how["format"] = DATE_FORMAT
    return {key.field: how}
