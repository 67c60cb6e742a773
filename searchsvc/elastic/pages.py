"""Pages beyond the first of one index of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from searchsvc.documents import is_id
from searchsvc.elastic import hits
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import filters_blamed, in_use
from searchsvc.elastic.pit import search_point
from searchsvc.elastic.query import documents_body, page_body
from searchsvc.errors import BackendUnavailable, InvalidRequest
from searchsvc.forms import distinct_terms
from searchsvc.model import Candidate
from searchsvc.protocols import BasePage, RetrieveRequest

MAX_PLACES = 10_000
"""How deep an order may be read: index.max_result_window, which our indices leave as it is."""


class ElasticPages:
    """Pages of one physical index; their view is a point in time."""

    def __init__(self, searches: Searches, index: str) -> None:
        self._searches = searches
        self._index = index

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        terms, _ = distinct_terms(request.query)
        if not terms:
            return BasePage(candidates=(), last=True, view=view)
        if start >= MAX_PLACES:
            raise InvalidRequest(
                f"The pages of a search end after {MAX_PLACES} documents.", pointer="/cursor", hint="Use filters."
            )
        wanted = replace(request, top_k=min(request.top_k + 1, MAX_PLACES - start), facets=(), explain=False)
        with filters_blamed(request.filters):
            reply = await search_point(
                self._searches,
                self._index,
                page_body(terms, wanted, start=start),
                view=view,
                deadline=request.deadline,
                caller=request.caller,
            )
        found = hits.ranking(reply.body, sorted_by=len(request.sort), collapsed_on=request.collapse).candidates
        return BasePage(candidates=found[: request.top_k], last=len(found) < wanted.top_k, view=reply.view)

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        possible = [doc_id for doc_id in doc_ids if is_id(doc_id)]
        if not possible:
            return {}
        with in_use(self._index), filters_blamed(request.filters):
            reply = await self._searches.search(
                self._index,
                documents_body(possible, request.filters),
                deadline=request.deadline,
                caller=request.caller,
            )
        if reply.partial:
            raise BackendUnavailable(f"Documents of {self._index} cannot be fetched: {reply.partial}")
        return {each.doc_id: each for each in hits.ranking(reply.body)}
