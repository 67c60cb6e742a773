"""What one index of Elasticsearch knows of its terms."""

from __future__ import annotations

from collections.abc import Sequence

from searchsvc.elastic import hits
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import in_use
from searchsvc.elastic.query import frequencies_body
from searchsvc.errors import BackendUnavailable
from searchsvc.model import Deadline
from searchsvc.protocols import TermCounts
from searchsvc.schema import Caller


class ElasticStatistics:
    """Document frequencies of one physical index; TermStatistics."""

    def __init__(self, searches: Searches, index: str) -> None:
        self._searches = searches
        self._index = index

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        """Df of every term given and the number of documents, in one call; counts of a part are no answer.

        Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded.
        """
        distinct = tuple(dict.fromkeys(terms))
        with in_use(self._index):
            reply = await self._searches.search(
                self._index, frequencies_body(distinct), deadline=deadline, caller=caller
            )
        if reply.partial:
            raise BackendUnavailable(f"Terms of {self._index} cannot be counted: {reply.partial}")
        return hits.term_counts(reply.body, distinct)
