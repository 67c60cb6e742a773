"""What one index that others made knows of words, as phrases over its text fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from searchsvc.elastic import hits
from searchsvc.elastic.adopted.bodies import frequencies_body, holding_body, pairs_body
from searchsvc.elastic.adopted.hits import held, places
from searchsvc.elastic.adopted.reader import AdoptedReader, serving
from searchsvc.elastic.adopted.vectors import stored_terms
from searchsvc.elastic.calls import Searches
from searchsvc.errors import BackendUnavailable
from searchsvc.model import Candidate, Deadline
from searchsvc.protocols import TermCounts
from searchsvc.schema import AdoptedIndex, Caller, IndexSchema
from searchsvc.text import Analyzer


class AdoptedStatistics(AdoptedReader):
    """TermStatistics of one adopted index; counts of a part of it are no answer.

    Whatever the base query demands of a document besides the text holds here, too.
    Every method raises StageError; Unauthenticated and Forbidden in the name of a caller.
    """

    def __init__(self, searches: Searches, index: AdoptedIndex, schema: IndexSchema, analyzer: Analyzer) -> None:
        """`analyzer` cuts Chinese that the index has as single characters. Raises ConfigurationError."""
        super().__init__(searches, index, schema)
        self._analyzer = analyzer

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        """Df of every word given among the documents that the base query may find, and how many those are."""
        self.need_fields("to count words in")
        distinct = tuple(dict.fromkeys(terms))
        return hits.term_counts(
            await self._whole(frequencies_body(self._prepared, distinct), deadline, caller), distinct
        )

    async def pair_frequencies(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[tuple[str, str], int]:
        self.need_fields("to count words in")
        distinct = tuple(dict.fromkeys(pairs))
        if not distinct:
            return {}
        return hits.counted(await self._whole(pairs_body(self._prepared, distinct), deadline, caller), distinct)

    async def tokens(
        self, candidates: Sequence[Candidate], *, deadline: Deadline, caller: Caller | None = None
    ) -> Sequence[Mapping[str, int]]:
        """By term vectors, in two calls: the first finds where the documents lie, and whether they may be seen.

        Terms are as the index has them: stems where a field has stems.
        """
        self.need_fields("to read words of")
        wanted = tuple(dict.fromkeys(each.doc_id for each in candidates))
        if not wanted:
            return []
        reply = await self._whole(holding_body(self._prepared, (), wanted), deadline, caller)
        there = places(reply, self._index)
        with serving(self._index):
            counts = await stored_terms(
                self._searches.client,
                tuple(there.values()),
                self._read_fields(),
                cut=self._words,
                deadline=deadline,
                caller=caller,
            )
        found = dict(zip(there, counts, strict=True))
        return [found.get(each.doc_id, Counter()) for each in candidates]

    async def holding(
        self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[str, frozenset[str]]:
        self.need_fields("to look for words in")
        distinct, wanted = tuple(dict.fromkeys(terms)), tuple(dict.fromkeys(doc_ids))
        nothing = dict.fromkeys(wanted, frozenset[str]())
        if not (distinct and wanted):
            return nothing
        body = holding_body(self._prepared, distinct, wanted)
        return nothing | held(await self._whole(body, deadline, caller), self._index, distinct)

    def _read_fields(self) -> list[str]:
        """The text fields; one that is another reading of one of them (`title.stems` of `title`) would count twice."""
        names = [field.name for field in self._prepared.clauses.fields]
        return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]

    def _words(self, text: str) -> list[str]:
        return [word.surface for word in self._analyzer.words(text, parts=False)]

    async def _whole(self, body: Mapping[str, Any], deadline: Deadline, caller: Caller | None) -> Any:
        with serving(self._index):
            reply = await self._searches.search(self._index.target, body, deadline=deadline, caller=caller)
        if reply.partial:
            raise BackendUnavailable(f"Words of {self._index.target} cannot be counted: {reply.partial}")
        return reply.body
