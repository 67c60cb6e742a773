"""What one snapshot of the embedded engine knows of its terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tantivy

from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.fields import OpenTantivy, doc_id_of
from searchsvc.embedded.retriever import both
from searchsvc.embedded.worker import Worker
from searchsvc.model import Candidate, Deadline
from searchsvc.protocols import TermCounts
from searchsvc.schema import Caller
from searchsvc.text import Analyzer, document_terms


class EmbeddedStatistics:
    """TermStatistics of one snapshot; no index of this engine has rights, so that the caller plays no part.

    Document frequencies count deleted documents until tantivy merges them away, as in Lucene; pairs do not.
    """

    def __init__(self, opened: OpenTantivy, worker: Worker, analyzer: Analyzer) -> None:
        """`analyzer` is the one that made the index."""
        self._opened = opened
        self._worker = worker
        self._analyzer = analyzer

    async def document_frequencies(
        self,
        terms: Sequence[str],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - no rights here
    ) -> TermCounts:
        return await self._worker.run_until(deadline, self.count, terms)

    async def pair_frequencies(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - no rights here
    ) -> Mapping[tuple[str, str], int]:
        return await self._worker.run_until(deadline, self._pairs, pairs)

    async def tokens(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - no rights here
    ) -> Sequence[Mapping[str, int]]:
        """Of title and text as the candidates hold them; the frequencies in the index itself cannot be read."""
        return await self._worker.run_until(deadline, self._tokens, candidates)

    async def holding(
        self,
        terms: Sequence[str],
        doc_ids: Sequence[str],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - no rights here
    ) -> Mapping[str, frozenset[str]]:
        return await self._worker.run_until(deadline, self._holding, terms, doc_ids)

    def count(self, terms: Sequence[str]) -> TermCounts:
        """Document frequencies for callers that have a thread of their own."""
        searcher = self._opened.searcher
        with index_errors("searched", self._opened.index):
            return TermCounts(
                doc_count=searcher.num_docs, df={term: searcher.doc_freq("tokens", term) for term in terms}
            )

    def _pairs(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        with index_errors("searched", self._opened.index):
            return {(one, other): self._matching(both(self._has(one), self._has(other))) for one, other in pairs}

    def _tokens(self, candidates: Sequence[Candidate]) -> list[Mapping[str, int]]:
        return [document_terms(each.title, each.text, self._analyzer) for each in candidates]

    def _holding(self, terms: Sequence[str], doc_ids: Sequence[str]) -> dict[str, frozenset[str]]:
        """Every term is searched alone among the documents."""
        held: dict[str, set[str]] = {doc_id: set() for doc_id in doc_ids}
        if not held:
            return {}
        searcher = self._opened.searcher
        with index_errors("searched", self._opened.index):
            among = tantivy.Query.term_set_query(self._opened.schema, "doc_id", list(held))
            there = [address for _, address in searcher.search(among, len(held)).hits]
            ids = {(each.segment_ord, each.doc): doc_id_of(searcher.doc(each)) for each in there}
            for term in dict.fromkeys(terms):
                for _, address in searcher.search(both(self._has(term), among), len(held)).hits:
                    held[ids[address.segment_ord, address.doc]].add(term)
        return {doc_id: frozenset(each) for doc_id, each in held.items()}

    def _has(self, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._opened.schema, "tokens", term, "basic")

    def _matching(self, query: tantivy.Query) -> int:
        found = self._opened.searcher.search(query, 1)
        return int(found.count)  # type: ignore[attr-defined]  # tantivy's stubs leave it out
