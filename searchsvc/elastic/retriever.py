"""Candidates from one index of Elasticsearch."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from searchsvc.elastic import hits
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import filters_blamed, in_use
from searchsvc.elastic.facets import facet_counts, no_counts
from searchsvc.elastic.query import search_body
from searchsvc.forms import distinct_terms
from searchsvc.model import Ranking, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.result import Retrieval, Total
from searchsvc.schema import MANAGED


class ElasticRetriever:
    """Runs weighted queries on one physical index; a Retriever."""

    def __init__(self, searches: Searches, index: str) -> None:
        """`index` is the physical index, so that the two searches of one request read the same documents."""
        self._searches = searches
        self._index = index

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """The `top_k` best, by (-score, doc_id); a query without terms finds nothing and costs no call.

        Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded.
        """
        terms, left_out = distinct_terms(request.query)
        if not terms:
            return Retrieval(
                ranking=Ranking(),
                total=Total(value=0),
                facets=no_counts(request.facets),
                detail={"index": self._index, "terms": 0},
            )
        with in_use(self._index), filters_blamed(request.filters):
            reply = await self._searches.search(
                self._index,
                search_body(terms, request),
                deadline=request.deadline,
                preference=preference(terms),
                named=request.explain,
                caller=request.caller,
            )
        return Retrieval(
            ranking=hits.ranking(reply.body, sorted_by=len(request.sort), collapsed_on=request.collapse),
            total=hits.total(reply.body),
            facets=facet_counts(reply.body, request.facets, MANAGED),
            partial=reply.partial,
            detail={
                "index": self._index,
                "terms": len(terms),
                **({"terms_left_out": left_out} if left_out else {}),
                "server_took_ms": hits.took_ms(reply.body),
                "attempts": reply.attempts,
            },
        )


def preference(terms: Sequence[WeightedTerm]) -> str:
    """The same for the same terms in every process: copies of a shard score a little differently after updates."""
    return f"q{crc32(' '.join(term.term for term in terms).encode()):08x}"
