"""A TermStatistics over documents that are sets of terms, for tests of expanders without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from searchsvc.errors import BackendTimeout
from searchsvc.model import Candidate, Deadline
from searchsvc.protocols import TermCounts
from searchsvc.schema import Caller


@dataclass
class TokenSets:
    """Counts by looking; keeps what it was asked."""

    documents: Sequence[frozenset[str]]
    counted: list[list[str]] = field(default_factory=list)
    paired: list[list[tuple[str, str]]] = field(default_factory=list)

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        self.counted.append(list(terms))
        _in_time(deadline)
        return TermCounts(doc_count=len(self.documents), df={term: self._holding({term}) for term in terms})

    async def pair_frequencies(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[tuple[str, str], int]:
        self.paired.append(list(pairs))
        _in_time(deadline)
        return {pair: self._holding(set(pair)) for pair in pairs}

    async def tokens(
        self, candidates: Sequence[Candidate], *, deadline: Deadline, caller: Caller | None = None
    ) -> Sequence[Mapping[str, int]]:
        return [dict.fromkeys(self.documents[int(each.doc_id)], 1) for each in candidates]

    async def holding(
        self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[str, frozenset[str]]:
        return {doc_id: self.documents[int(doc_id)] & frozenset(terms) for doc_id in doc_ids}

    def _holding(self, terms: set[str]) -> int:
        return sum(terms <= document for document in self.documents)


def _in_time(deadline: Deadline) -> None:
    if deadline.left_s() == 0:
        raise BackendTimeout("too late")
