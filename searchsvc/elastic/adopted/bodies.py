"""Search bodies for an adopted index.

With nothing switched on a body is the base query and what does not touch it: no sort, preference or dfs, so that
documents, order and scores are those of the raw search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from searchsvc.elastic.adopted.base_query import MATCH_ALL, BaseQuery, Clause
from searchsvc.elastic.adopted.clauses import Clauses
from searchsvc.elastic.query import COUNTED
from searchsvc.model import SortKey, WeightedQuery
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, FieldKind

ORIGINAL = "the query"
"""Names the clause that reads the user's text, in explanations; no word has a space in it."""
SAID = "said: "
"""Begins the names of the query's own words, which are only measured."""


class Bodies:
    """Makes the bodies for one index."""

    def __init__(self, index: AdoptedIndex, clauses: Clauses) -> None:
        self._index = index
        self._clauses = clauses

    def search(self, base: BaseQuery, request: RetrieveRequest) -> dict[str, Any]:
        """The `top_k` best, with facets over all that matches."""
        body = self._found(base, request)
        body["track_total_hits"] = COUNTED
        if request.facets:
            facets = {f"facet_{place}": self._clauses.aggregation(each) for place, each in enumerate(request.facets)}
            after = body.get("post_filter")
            body["aggs"] = facets if after is None else {"after": {"filter": after, "aggs": facets}}
        return body

    def page(self, base: BaseQuery, request: RetrieveRequest, *, start: int) -> dict[str, Any]:
        """The same order from place `start` (0-based)."""
        return {**self._found(base, request), "from": start, "track_total_hits": False}

    def documents(self, base: BaseQuery, request: RetrieveRequest, doc_ids: Sequence[str]) -> dict[str, Any]:
        """Those of the documents that satisfy all conditions, without scores."""
        conditions = [self._identified(doc_ids), *_conditions(base), *self._clauses.filters(request.filters)]
        return {
            **_runtime(base),
            "size": len(doc_ids),
            "query": {"bool": {"filter": conditions}},
            "_source": self._source(),
            "track_total_hits": False,
        }

    def frequencies(self, base: BaseQuery, words: Sequence[str]) -> dict[str, Any]:
        """How many documents hold each word, and how many there are, among those that satisfy the base query's
        conditions; by the clauses that would find them, so right on several shards.
        """
        body: dict[str, Any] = {**_runtime(base), "size": 0, "track_total_hits": True}
        if conditions := _conditions(base):
            body["query"] = {"bool": {"filter": conditions}}
        if words:
            filters = [self._clauses.phrase(word, 1.0) for word in words]
            body["aggs"] = {"df": {"filters": {"filters": filters}}}
        return body

    def _found(self, base: BaseQuery, request: RetrieveRequest) -> dict[str, Any]:
        body = base.around(self._around(base, request))
        if request.filters:
            conditions = self._clauses.filters(request.filters)
            body["query"] = {"bool": {"must": [body["query"]], "filter": conditions}}
        body["size"] = request.top_k
        body["_source"] = self._source()
        if request.sort or request.collapse is not None:
            body.pop("rescore", None)  # Elasticsearch takes it with neither
        if request.sort:
            body["sort"] = [self._sorted_by(key) for key in request.sort]
            body["track_scores"] = True
        if request.collapse is not None:
            body["collapse"] = {"field": request.collapse}
        return body

    def _around(self, base: BaseQuery, request: RetrieveRequest) -> Clause:
        """The clause that reads the text, and what stands beside it; what that clause demands of a document besides
        the text holds for all of them.
        """
        query, leaf = request.query, base.reading(request.query.text)
        if query.text_weight == 1.0 and not query.phrases:
            return self._named(leaf, query, request)
        beside = [self._clauses.phrase(each.term, each.weight, each.term) for each in query.phrases]
        if query.text_weight > 0:
            original: Clause = {"must": [leaf], "boost": query.text_weight, "_name": ORIGINAL}
            beside.insert(0, {"bool": original})
        scope = {"filter": list(base.scope)} if base.scope else {}
        return {"bool": {"should": beside, "minimum_should_match": 1, **scope}}

    def _named(self, leaf: Clause, query: WeightedQuery, request: RetrieveRequest) -> Clause:
        """The clause alone; where it is to be measured, with names and with the query's own words at no weight."""
        if not (request.expanding or request.explain):
            return leaf
        original: dict[str, Any] = {"must": [leaf], "_name": ORIGINAL}
        words = [self._clauses.phrase(each.term, each.weight, SAID + each.term) for each in query.terms]
        if request.expanding and words:
            # a nested name's score leaves out the boosts above it: measured, and adding nothing
            measured = {"bool": {"should": words, "boost": 0}}
            return {"bool": {"must": [{"bool": original}], "should": [measured]}}
        return {"bool": original}

    def _sorted_by(self, key: SortKey) -> dict[str, Any]:
        how = {"order": "desc" if key.descending else "asc", "missing": "_last"}
        if self._clauses.kind(key.field) is FieldKind.DATE:
            how["format"] = "strict_date_optional_time"
        return {key.field: how}

    def _identified(self, doc_ids: Sequence[str]) -> Clause:
        kind = self._index.doc_id
        if kind == "_id":
            return {"ids": {"values": list(doc_ids)}}
        if kind != "_index/_id":
            return {"terms": {kind: list(doc_ids)}}
        pairs = [doc_id.partition("/") for doc_id in doc_ids]
        each = [
            {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": [name]}}]}} for index, _, name in pairs
        ]
        return {"bool": {"should": each, "minimum_should_match": 1}}

    def _source(self) -> Any:
        """What is read of a document."""
        index = self._index
        if not index.returned:
            return True
        read = [*index.returned, *index.rerank_text, index.title, index.snippet]
        read += [] if index.doc_id.startswith("_") else [index.doc_id]
        return {"includes": list(dict.fromkeys(name for name in read if name is not None))}


def _runtime(base: BaseQuery) -> dict[str, Any]:
    return {key: base.body[key] for key in ("runtime_mappings",) if key in base.body}


def _conditions(base: BaseQuery) -> list[Clause]:
    """What documents must satisfy whatever the text is."""
    return [dict(each) for each in base.everything if each != MATCH_ALL]
