"""What one index of Elasticsearch knows of its terms."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from searchsvc.elastic import hits
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import in_use
from searchsvc.elastic.query import frequencies_body, holding_body, pairs_body
from searchsvc.errors import BackendTimeout, BackendUnavailable
from searchsvc.model import Candidate, Deadline
from searchsvc.protocols import TermCounts
from searchsvc.schema import Caller
from searchsvc.text import Analyzer, document_terms


class ElasticStatistics:
    """TermStatistics of one physical index.

    Every method takes one call of Elasticsearch or none, and counts of a part of the index are no answer.
    Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded.
    """

    def __init__(self, searches: Searches, index: str, analyzer: Analyzer) -> None:
        """`analyzer` is the one that made the index."""
        self._searches = searches
        self._index = index
        self._analyzer = analyzer

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        distinct = tuple(dict.fromkeys(terms))
        return hits.term_counts(await self._whole(frequencies_body(distinct), deadline, caller), distinct)

    async def pair_frequencies(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[tuple[str, str], int]:
        distinct = tuple(dict.fromkeys(pairs))
        if not distinct:
            return {}
        return hits.counted(await self._whole(pairs_body(distinct), deadline, caller), distinct)

    async def tokens(
        self,
        candidates: Sequence[Candidate],
        *,
        deadline: Deadline,
        caller: Caller | None = None,  # noqa: ARG002 - nothing is asked for: what the candidates hold was shown
    ) -> Sequence[Mapping[str, int]]:
        """Of title and text as the candidates hold them: `tokens`, which the index has of them, is not in `_source`."""
        try:
            async with asyncio.timeout(deadline.left_s()):
                return await asyncio.to_thread(self._counted, candidates)
        except TimeoutError:
            raise BackendTimeout("the terms of the documents were not counted in time.") from None

    async def holding(
        self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[str, frozenset[str]]:
        distinct, wanted = tuple(dict.fromkeys(terms)), tuple(dict.fromkeys(doc_ids))
        nothing = dict.fromkeys(wanted, frozenset[str]())
        if not (distinct and wanted):
            return nothing
        return nothing | hits.held(await self._whole(holding_body(distinct, wanted), deadline, caller))

    def _counted(self, candidates: Sequence[Candidate]) -> list[Mapping[str, int]]:
        return [document_terms(each.title, each.text, self._analyzer) for each in candidates]

    async def _whole(self, body: Mapping[str, Any], deadline: Deadline, caller: Caller | None) -> Any:
        with in_use(self._index):
            reply = await self._searches.search(self._index, body, deadline=deadline, caller=caller)
        if reply.partial:
            raise BackendUnavailable(f"Terms of {self._index} cannot be counted: {reply.partial}")
        return reply.body
