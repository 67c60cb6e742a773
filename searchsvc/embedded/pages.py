"""Pages beyond the first, from one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import tantivy

from searchsvc.documents import is_id
from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.fields import OpenTantivy, candidate_of
from searchsvc.embedded.filters import filter_query
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.embedded.worker import Worker
from searchsvc.errors import InvalidRequest
from searchsvc.model import Candidate
from searchsvc.protocols import BasePage, RetrieveRequest


class EmbeddedPages:
    """Pages of one snapshot of one index; its view is the commit of the snapshot, the same in every process."""

    def __init__(self, opened: OpenTantivy, retriever: EmbeddedRetriever, worker: Worker) -> None:
        self._opened = opened
        self._retriever = retriever
        self._worker = worker

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        if view not in ("", self._opened.commit):
            raise InvalidRequest("The index changed.", pointer="/cursor", hint='Start again with cursor "*".')
        end = min(start, self._opened.searcher.num_docs) + request.top_k  # `start` comes from a client
        found = await self._retriever.retrieve(replace(request, top_k=end + 1))
        candidates = found.ranking.candidates
        return BasePage(candidates=candidates[start:end], last=len(candidates) <= end, view=self._opened.commit)

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        return await self._worker.run_until(request.deadline, self._documents, request, doc_ids)

    def _documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> dict[str, Candidate]:
        possible = [doc_id for doc_id in doc_ids if is_id(doc_id)]
        if not possible:
            return {}
        schema, searcher = self._opened.schema, self._opened.searcher
        among = tantivy.Query.term_set_query(schema, "doc_id", possible)
        parts = [(tantivy.Occur.Must, among), (tantivy.Occur.Must, filter_query(schema, request.filters))]
        with index_errors("searched", self._opened.index):
            wanted = tantivy.Query.boolean_query(parts if request.filters else parts[:1])
            hits = searcher.search(wanted, len(possible)).hits
            candidates = [candidate_of(searcher.doc(address), 0.0) for _, address in hits]
        return {candidate.doc_id: candidate for candidate in candidates}
