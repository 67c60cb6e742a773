"""Searching and paging in one index that others made: under its own name, in its own order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from searchsvc.elastic import hits
from searchsvc.elastic.adopted.bodies import documents_body, page_body, search_body, weighed_words
from searchsvc.elastic.adopted.explained import tokens
from searchsvc.elastic.adopted.hits import ranking, word_weight
from searchsvc.elastic.adopted.reader import AdoptedReader, serving
from searchsvc.elastic.calls import SearchReply
from searchsvc.elastic.errors import ranges_blamed
from searchsvc.elastic.facets import facet_counts
from searchsvc.elastic.pages import MAX_PLACES
from searchsvc.elastic.pit import search_point
from searchsvc.errors import BackendRejected, BackendUnavailable, InvalidRequest, Reason
from searchsvc.model import Candidate
from searchsvc.protocols import BasePage, RetrieveRequest
from searchsvc.result import Retrieval

_NOT_MEASURED = "not measured, so 1: no hit has a word of the query as a phrase, or the query has too many words"
_TOO_DEEP = "Result window is too large"


class AdoptedRetriever(AdoptedReader):
    """Runs the base query, with what was added to it; a Retriever."""

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """The `top_k` best in Elasticsearch's order.

        Raises StageError; InvalidRequest for filters that Elasticsearch refuses; Unauthenticated and Forbidden in the
        name of a caller.
        """
        if self._index.base_query is None or request.query.phrases:
            self.need_fields("to search in")
        words = weighed_words(self._prepared, request)
        try:
            reply = await self._search(request, named=bool(words) or request.explain)
        except (BackendRejected, InvalidRequest):
            if not (words or request.explain):
                raise
            # what is measured stands beside the query: for a long one that may be more clauses than are allowed
            words = ()
            reply = await self._search(replace(request, expanding=False, explain=False), named=False)
        mass = sum(term.weight for term in request.query.terms)
        weight = word_weight(reply.body, words, mass) if words else None
        detail: dict[str, Any] = {
            "index": self._index.target,
            "server_took_ms": hits.took_ms(reply.body),
            "attempts": reply.attempts,
        }
        if request.expanding:
            detail["word_weight"] = _NOT_MEASURED if weight is None else weight
        if request.explain:
            detail["analysed"] = await tokens(self._searches, self._index, self._prepared.clauses.fields, request)
        return self._retrieval(request, reply, 1.0 if weight is None else weight, detail)

    async def _search(self, request: RetrieveRequest, *, named: bool) -> SearchReply:
        with ranges_blamed(request.facets), serving(self._index, request.filters, request.query.text):
            return await self._searches.search(
                self._index.target,
                search_body(self._prepared, request),
                deadline=request.deadline,
                named=named,
                caller=request.caller,
            )

    def _retrieval(
        self, request: RetrieveRequest, reply: SearchReply, weight: float, detail: Mapping[str, Any]
    ) -> Retrieval:
        schema = self._prepared.schema
        problems = " ".join(schema.problems)
        return Retrieval(
            ranking=ranking(reply.body, self._index, schema, request),
            total=hits.total(reply.body),
            partial=" ".join(filter(None, (reply.partial, problems))),
            partial_reason=Reason.MAPPING_CHANGED if problems and not reply.partial else Reason.PARTIAL_RESULTS,
            facets=facet_counts(reply.body, request.facets, schema),
            word_weight=weight,
            detail=detail,
        )


class AdoptedPages(AdoptedReader):
    """Pages in the base query's own order; their view is a point in time."""

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        if start >= MAX_PLACES:
            raise _too_deep(MAX_PLACES)
        if self._index.base_query is None:
            self.need_fields("to search in")
        size = min(request.top_k + 1, MAX_PLACES - start)
        wanted = replace(request, top_k=size, facets=(), explain=False, expanding=False)
        try:
            with serving(self._index, request.filters, request.query.text):
                reply = await search_point(
                    self._searches,
                    self._index.target,
                    page_body(self._prepared, wanted, start=start),
                    view=view,
                    deadline=request.deadline,
                    caller=request.caller,
                )
        except BackendRejected as error:
            raise (_too_deep(start) if _TOO_DEEP in error.message else error) from error
        found = ranking(reply.body, self._index, self._prepared.schema, wanted).candidates
        return BasePage(candidates=found[: request.top_k], last=len(found) < size, view=reply.view)

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        if not doc_ids:
            return {}
        unsorted = replace(request, sort=(), collapse=None, explain=False)
        with serving(self._index, request.filters):
            reply = await self._searches.search(
                self._index.target,
                documents_body(self._prepared, unsorted, doc_ids),
                deadline=request.deadline,
                caller=request.caller,
            )
        if reply.partial:
            raise BackendUnavailable(f"Documents of {self._index.target} cannot be fetched: {reply.partial}")
        found = ranking(reply.body, self._index, self._prepared.schema, unsorted)
        return {each.doc_id: each for each in found}


def _too_deep(places: int) -> InvalidRequest:
    return InvalidRequest(
        f"The pages of a search of this index end after {places} documents.", pointer="/cursor", hint="Use filters."
    )
