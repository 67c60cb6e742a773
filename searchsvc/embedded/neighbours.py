"""The method `neighbours` on the embedded engine: an index's own vocabulary, kept in memory while it is open."""

from __future__ import annotations

from searchsvc.embedded.statistics import EmbeddedStatistics
from searchsvc.embedded.worker import Worker
from searchsvc.model import Form
from searchsvc.protocols import ExpandRequest
from searchsvc.result import Expansion
from searchsvc.vocabulary.method import DEFAULT_FORM, DEFAULT_WEIGHT
from searchsvc.vocabulary.proposals import Proposals


class EmbeddedNeighbours:
    """Expander by the vocabulary of one snapshot."""

    def __init__(self, proposals: Proposals, *, statistics: EmbeddedStatistics, worker: Worker) -> None:
        self._proposals = proposals
        self._statistics = statistics
        self._worker = worker

    @property
    def default_form(self) -> Form:
        return DEFAULT_FORM

    @property
    def default_weight(self) -> float:
        return DEFAULT_WEIGHT

    async def expand(self, request: ExpandRequest) -> Expansion:
        return await self._worker.run_until(
            request.deadline, self._proposals.expansion, request.user_query, request.terms, self._statistics.count
        )
