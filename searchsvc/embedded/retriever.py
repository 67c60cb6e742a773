"""BM25 over a tantivy snapshot: the retriever and the term statistics of the embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tantivy

from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.fields import OpenTantivy, doc_id_of, source_of
from searchsvc.embedded.filters import filter_query
from searchsvc.embedded.worker import Worker
from searchsvc.forms import distinct_terms
from searchsvc.model import Candidate, Deadline, Ranking, WeightedTerm
from searchsvc.protocols import RetrieveRequest, TermCounts
from searchsvc.result import Retrieval, Total
from searchsvc.schema import Caller

_ROOM_FOR_TIES = 50
"""Hits fetched beyond the cut at once: ties there are common with short texts, and larger groups rare."""


@dataclass(frozen=True, slots=True)
class _Hit:
    score: float
    doc_id: str
    address: tantivy.DocAddress
    stored: tantivy.Document


class EmbeddedRetriever:
    """Finds candidates in one snapshot of one index."""

    def __init__(self, opened: OpenTantivy, worker: Worker) -> None:
        self._opened = opened
        self._worker = worker

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        return await self._worker.run_until(request.deadline, self._retrieve, request)

    def _retrieve(self, request: RetrieveRequest) -> Retrieval:
        terms, left_out = distinct_terms(request.query)
        if not terms:
            return Retrieval(ranking=Ranking(), total=Total(value=0))
        condition = filter_query(self._opened.schema, request.filters) if request.filters else None
        with index_errors("searched", self._opened.index):
            wanted = self._any_of(terms)
            if condition is not None:
                wanted = _both(wanted, condition)
            hits, matching = self._best(wanted, request.top_k)
            candidates = [Candidate(doc_id=hit.doc_id, score=hit.score, source=source_of(hit.stored)) for hit in hits]
            if request.explain:
                candidates = self._explained(candidates, hits, terms)
        return Retrieval(
            ranking=Ranking(candidates=tuple(candidates)),
            total=Total(value=matching),
            detail={"terms_left_out": left_out} if left_out else {},
        )

    def _best(self, wanted: tantivy.Query, top_k: int) -> tuple[list[_Hit], int]:
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
        stored = [(score, address, searcher.doc(address)) for score, address in hits if score >= lowest]
        named = [_Hit(score, doc_id_of(document), address, document) for score, address, document in stored]
        named.sort(key=lambda hit: (-hit.score, hit.doc_id))
        return named[:top_k], matching

    def _explained(
        self, candidates: Sequence[Candidate], hits: Sequence[_Hit], terms: Sequence[WeightedTerm]
    ) -> list[Candidate]:
        """The candidates with what each term adds to their scores: each term is searched alone among them."""
        if not hits:
            return list(candidates)
        schema, searcher = self._opened.schema, self._opened.searcher
        among = tantivy.Query.term_set_query(schema, "doc_id", [hit.doc_id for hit in hits])
        among = tantivy.Query.const_score_query(among, 0.0)
        places = {(hit.address.segment_ord, hit.address.doc): place for place, hit in enumerate(hits)}
        contributions: list[dict[str, float]] = [{} for _ in hits]
        for term in terms:
            for score, address in searcher.search(_both(self._any_of([term]), among), len(hits)).hits:
                contributions[places[address.segment_ord, address.doc]][term.term] = score
        return [replace(each, contributions=parts) for each, parts in zip(candidates, contributions, strict=True)]

    def _any_of(self, terms: Sequence[WeightedTerm]) -> tantivy.Query:
        query, parts = tantivy.Query, []
        for each in terms:
            term = query.term_query(self._opened.schema, "tokens", each.term, "freq")
            parts.append((tantivy.Occur.Should, query.boost_query(term, each.weight)))
        return query.boolean_query(parts)


class EmbeddedStatistics:
    """Document frequencies in one snapshot; deleted documents count until tantivy merges them away, as in Lucene."""

    def __init__(self, opened: OpenTantivy, worker: Worker) -> None:
        self._opened = opened
        self._worker = worker

    async def document_frequencies(
        self,
        terms: Sequence[str],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - no index of this engine has rights
    ) -> TermCounts:
        return await self._worker.run_until(deadline, self.count, terms)

    def count(self, terms: Sequence[str]) -> TermCounts:
        """The same for callers that have a thread of their own."""
        searcher = self._opened.searcher
        with index_errors("searched", self._opened.index):
            return TermCounts(
                doc_count=searcher.num_docs, df={term: searcher.doc_freq("tokens", term) for term in terms}
            )


def _both(scored: tantivy.Query, condition: tantivy.Query) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, scored), (tantivy.Occur.Must, condition)])
