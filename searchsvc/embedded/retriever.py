"""BM25 over a tantivy snapshot: the retriever of the embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tantivy

from searchsvc.embedded.arranging import Found, arranged
from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.facets import counted
from searchsvc.embedded.fields import OpenTantivy, candidate_of, doc_id_of
from searchsvc.embedded.filters import filter_query
from searchsvc.embedded.worker import Worker
from searchsvc.forms import distinct_terms
from searchsvc.model import Ranking, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.result import Retrieval, Total

_ROOM_FOR_TIES = 50
"""Hits fetched beyond the cut at once: ties there are common with short texts, and larger groups rare."""


class EmbeddedRetriever:
    """Finds candidates in one snapshot of one index."""

    def __init__(self, opened: OpenTantivy, worker: Worker) -> None:
        self._opened = opened
        self._worker = worker

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        return await self._worker.run_until(request.deadline, self._retrieve, request)

    def _retrieve(self, request: RetrieveRequest) -> Retrieval:
        terms, left_out = distinct_terms(request.query)
        condition = filter_query(self._opened.schema, request.filters) if request.filters else None
        if not terms:
            return Retrieval(
                ranking=Ranking(), total=Total(value=0), facets=counted(self._opened, None, request.facets)
            )
        with index_errors("searched", self._opened.index):
            wanted = self._any_of(terms)
            if condition is not None:
                wanted = both(wanted, condition)
            if request.sort or request.collapse is not None:
                found, matching = self._arranged(wanted, request)
            else:
                found, matching = self._best(wanted, request.top_k)
            if request.explain:
                found = self._explained(found, terms)
            facets = counted(self._opened, wanted, request.facets)
        return Retrieval(
            ranking=Ranking(candidates=tuple(each.candidate for each in found)),
            total=Total(value=matching),
            facets=facets,
            detail={"terms_left_out": left_out} if left_out else {},
        )

    def _best(self, wanted: tantivy.Query, top_k: int) -> tuple[list[Found], int]:
        """The `top_k` best by (-score, doc_id), and how many match.

        tantivy breaks ties by its internal order, so all that tie at the cut are fetched before it is made.
        """
        searcher = self._opened.searcher
        limit = top_k + _ROOM_FOR_TIES
        while True:
            result = searcher.search(wanted, limit)
            hits: list[tuple[float, tantivy.DocAddress]] = result.hits
            matching = int(result.count)  # type: ignore[attr-defined]  # tantivy's stubs leave it out
            if len(hits) == matching or hits[-1][0] < hits[top_k - 1][0]:
                break
            limit = min(4 * limit, matching)
        lowest = hits[min(top_k, len(hits)) - 1][0] if hits else 0.0
        stored = [(score, searcher.doc(address), address) for score, address in hits if score >= lowest]
        stored.sort(key=lambda each: (-each[0], doc_id_of(each[1])))
        found = [Found(candidate_of(document, score), address) for score, document, address in stored[:top_k]]
        return found, matching

    def _arranged(self, wanted: tantivy.Query, request: RetrieveRequest) -> tuple[list[Found], int]:
        """The first `top_k` in the order of the request, and how many match."""
        searcher = self._opened.searcher
        hits = searcher.search(wanted, max(1, searcher.num_docs)).hits
        matches = (Found(candidate_of(searcher.doc(address), score), address) for score, address in hits)
        return arranged(matches, request), len(hits)

    def _explained(self, found: Sequence[Found], terms: Sequence[WeightedTerm]) -> list[Found]:
        """The candidates with what each term adds to their scores: each term is searched alone among them."""
        if not found:
            return []
        schema, searcher = self._opened.schema, self._opened.searcher
        among = tantivy.Query.term_set_query(schema, "doc_id", [each.candidate.doc_id for each in found])
        among = tantivy.Query.const_score_query(among, 0.0)
        places = {(each.address.segment_ord, each.address.doc): place for place, each in enumerate(found)}
        contributions: list[dict[str, float]] = [{} for _ in found]
        for term in terms:
            for score, address in searcher.search(both(self._any_of([term]), among), len(found)).hits:
                contributions[places[address.segment_ord, address.doc]][term.term] = score
        return [
            Found(replace(each.candidate, contributions=parts), each.address)
            for each, parts in zip(found, contributions, strict=True)
        ]

    def _any_of(self, terms: Sequence[WeightedTerm]) -> tantivy.Query:
        query, parts = tantivy.Query, []
        for each in terms:
            term = query.term_query(self._opened.schema, "tokens", each.term, "freq")
            parts.append((tantivy.Occur.Should, query.boost_query(term, each.weight)))
        return query.boolean_query(parts)


def both(scored: tantivy.Query, condition: tantivy.Query) -> tantivy.Query:
    """What matches both; the score is the sum."""
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, scored), (tantivy.Occur.Must, condition)])
