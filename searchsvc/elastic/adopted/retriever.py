"""Candidates, counts and pages of an index that others made. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from searchsvc.elastic import hits
from searchsvc.elastic.adopted.base_query import BaseQuery
from searchsvc.elastic.adopted.bodies import Bodies
from searchsvc.elastic.adopted.clauses import Clauses
from searchsvc.elastic.adopted.reading import adopted_ranking, word_weight
from searchsvc.elastic.calls import Searches, SearchReply
from searchsvc.elastic.errors import in_use, raw_filters_blamed
from searchsvc.elastic.facets import adopted_counts
from searchsvc.elastic.pages import MAX_PLACES
from searchsvc.elastic.pit import search_point
from searchsvc.errors import BackendRejected, BackendUnavailable, InvalidRequest, Reason
from searchsvc.model import Candidate, Deadline
from searchsvc.protocols import BasePage, RetrieveRequest, TermCounts
from searchsvc.result import Retrieval
from searchsvc.schema import AdoptedIndex, Caller, IndexSchema


class _Adopted:
    """What the three readers share. The index is asked for by its name: an alias may hold a filter."""

    def __init__(self, searches: Searches, index: AdoptedIndex, schema: IndexSchema) -> None:
        """Raises ConfigurationError for a base query that cannot be used."""
        self._searches = searches
        self._index = index
        self._schema = schema
        self._clauses = Clauses(index, schema)
        self._bodies = Bodies(index, self._clauses)

    @property
    def _base(self) -> BaseQuery:
        if self._clauses.base is None:
            raise BackendRejected(" ".join(self._schema.problems), hint="Mend the table, or the mapping.")
        return self._clauses.base


class AdoptedRetriever(_Adopted):
    """Runs the base query, and what expansion adds to it; a Retriever."""

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """The `top_k` best in the order that Elasticsearch gives, ties as it returns them.

        Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded, Unauthenticated, Forbidden,
        InvalidRequest for a raw filter that cannot be read.
        """
        if request.query.phrases and not self._clauses.fields:
            raise BackendRejected(" ".join(self._schema.problems), hint="No text field is left for added words.")
        with in_use(self._index.target), raw_filters_blamed(request.filters):
            reply = await self._searches.search(
                self._index.target,
                self._bodies.search(self._base, request),
                deadline=request.deadline,
                named=request.explain or request.expanding,
                caller=request.caller,
            )
        return self._retrieval(request, reply)

    def _retrieval(self, request: RetrieveRequest, reply: SearchReply) -> Retrieval:
        weight = word_weight(reply.body) if request.expanding else None
        changed = "" if reply.partial else " ".join(self._schema.problems)
        return Retrieval(
            ranking=adopted_ranking(reply.body, self._index, request),
            total=hits.total(reply.body),
            facets=adopted_counts(reply.body, request.facets, self._schema),
            partial=reply.partial or changed,
            partial_reason=Reason.MAPPING_CHANGED if changed else Reason.PARTIAL_RESULTS,
            word_weight=1.0 if weight is None else weight,
            detail={
                "index": self._index.target,
                "server_took_ms": hits.took_ms(reply.body),
                "attempts": reply.attempts,
                **({"word_weight": weight} if request.expanding else {}),
            },
        )


class AdoptedStatistics(_Adopted):
    """Document frequencies of words, by the clauses that find them; TermStatistics."""

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        """Among the documents that satisfy the base query's conditions; counts of a part are no answer."""
        distinct = tuple(dict.fromkeys(terms))
        if not self._clauses.fields:
            raise BackendRejected(" ".join(self._schema.problems), hint="No text field is left to count words in.")
        with in_use(self._index.target):
            reply = await self._searches.search(
                self._index.target, self._bodies.frequencies(self._base, distinct), deadline=deadline, caller=caller
            )
        if reply.partial:
            raise BackendUnavailable(f"Words of {self._index.target} cannot be counted: {reply.partial}")
        return hits.term_counts(reply.body, distinct)


class AdoptedPages(_Adopted):
    """Pages beyond the first, inside a point in time; Pages."""

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        if start >= MAX_PLACES:
            raise InvalidRequest(
                f"The pages of a search end after {MAX_PLACES} documents.", pointer="/cursor", hint="Use filters."
            )
        size = min(request.top_k + 1, MAX_PLACES - start)
        wanted = replace(request, top_k=size, facets=(), explain=False, expanding=False)
        with raw_filters_blamed(request.filters):
            reply = await search_point(
                self._searches,
                self._index.target,
                self._bodies.page(self._base, wanted, start=start),
                view=view,
                deadline=request.deadline,
                caller=request.caller,
            )
        found = adopted_ranking(reply.body, self._index, wanted).candidates
        return BasePage(candidates=found[: request.top_k], last=len(found) < size, view=reply.view)

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        if not doc_ids:
            return {}
        with in_use(self._index.target), raw_filters_blamed(request.filters):
            reply = await self._searches.search(
                self._index.target,
                self._bodies.documents(self._base, request, doc_ids),
                deadline=request.deadline,
                caller=request.caller,
            )
        if reply.partial:
            raise BackendUnavailable(f"Documents of {self._index.target} cannot be fetched: {reply.partial}")
        plain = replace(request, collapse=None, sort=())
        return {each.doc_id: each for each in adopted_ranking(reply.body, self._index, plain)}
