"""The method `neighbours` on an index of Elasticsearch: its vocabulary, read once and then kept in this process.

A search asks Elasticsearch nothing for it. kNN there, exact and over 20,000 words, took 14 ms a text and five times the
disk; the matrix here takes 2 ms for all texts of a query, and gives exactly the numbers of the other engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchsvc.elastic import terms
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import in_use, is_forbidden
from searchsvc.elastic.hits import PhysicalIndex
from searchsvc.elastic.terms import Head, StoredWord
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, Overloaded, UnknownIndex
from searchsvc.model import Deadline, Form
from searchsvc.protocols import ExpandRequest, TermCounts
from searchsvc.result import Expansion
from searchsvc.text import Analyzer
from searchsvc.vocabulary.method import DEFAULT_FORM, DEFAULT_WEIGHT, MODEL

if TYPE_CHECKING:
    from searchsvc.vocabulary.proposals import Proposals


_LOAD_AGAIN = "Load its documents again (`searchsvc index load`)."
_OPENING_MS = 1000.0


class ElasticNeighbours:
    """Expander by the vocabulary of one physical index as one load left it."""

    def __init__(self, searches: Searches, head: Head, analyzer: Analyzer) -> None:
        """Reads nothing yet."""
        self._searches = searches
        self._head = head
        self._analyzer = analyzer
        self._proposals: Proposals | None = None
        self._df: dict[str, int] = {}
        self._reading: asyncio.Task[Proposals] | None = None

    @property
    def default_form(self) -> Form:
        return DEFAULT_FORM

    @property
    def default_weight(self) -> float:
        return DEFAULT_WEIGHT

    @property
    def was_used(self) -> bool:
        """Whether somebody asked for neighbours yet."""
        return self._proposals is not None or self._reading is not None

    async def expand(self, request: ExpandRequest) -> Expansion:
        """The first call reads the vocabulary, about a second for 20,000 words, which goes on if its time is up.

        Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded.
        """
        late = BackendTimeout("The words of the index were not compared in time.")
        if request.deadline.left_s() <= 0:
            raise late
        try:
            async with asyncio.timeout(request.deadline.left_s()):
                proposals = await self.read()
                return await asyncio.to_thread(proposals.expansion, request.user_query, request.terms, self._count)
        except TimeoutError:
            raise late from None

    async def read(self) -> Proposals:
        """The vocabulary, read once however many wait for it. Raises StageError."""
        if self._proposals is not None:
            return self._proposals
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name=f"reading {self._head.index}")
            self._reading.add_done_callback(_seen)
        reading = self._reading
        await asyncio.wait({reading})  # whoever waits may go away: the reading goes on
        return reading.result()

    async def close(self) -> None:
        """Ends a reading that runs."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> Proposals:
        try:
            with in_use(self._head.index):
                words = await terms.read_words(self._searches, self._head)
            self._df = {word.term: word.df for word in words}
            self._proposals = await asyncio.to_thread(_proposals, words, self._analyzer)
        finally:
            self._reading = None  # what failed may pass the next time
        return self._proposals

    def _count(self, asked: Sequence[str]) -> TermCounts:
        """As the last load counted: nothing else changes an index."""
        return TermCounts(doc_count=self._head.documents, df={term: self._df[term] for term in asked})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVocabulary:
    """What stands beside an index."""

    neighbours: ElasticNeighbours | None = None
    why_none: str = ""
    is_certain: bool = True
    """False: Elasticsearch did not answer, and may do so the next time."""


async def open_vocabulary(searches: Searches, published: PhysicalIndex, analyzer: Analyzer) -> FoundVocabulary:
    """The vocabulary of an index, in at most one call; an index can be searched without one."""
    physical = published.index
    if not published.has_vocabulary:
        return FoundVocabulary(why_none=f"No load has compared the words of {physical} yet. {_LOAD_AGAIN}")
    try:
        head = await terms.read_head(searches, physical, deadline=Deadline.after_ms(_OPENING_MS))
    except UnknownIndex:
        return FoundVocabulary(why_none=f"{terms.terms_alias(physical)} is gone. {_LOAD_AGAIN}")
    except BackendRejected as error:
        if not is_forbidden(error):
            raise
        alias = terms.terms_alias(physical)
        return FoundVocabulary(why_none=f"The account may not read {alias}: grant it the index privilege read there.")
    except (BackendTimeout, BackendUnavailable, Overloaded) as error:
        return FoundVocabulary(why_none=f"The words of {physical} could not be read: {error}", is_certain=False)
    if head is None or (head.analyzer, head.encoder) != (analyzer.fingerprint, MODEL):
        return FoundVocabulary(why_none=f"The words of {physical} were compared by another version. {_LOAD_AGAIN}")
    return FoundVocabulary(neighbours=ElasticNeighbours(searches, head, analyzer))


def _seen(reading: asyncio.Task[Proposals]) -> None:
    if not reading.cancelled():
        reading.exception()  # asked for, also where all who waited have gone


def _proposals(words: Sequence[StoredWord], analyzer: Analyzer) -> Proposals:
    """Loads the encoder too, so that no search does."""
    import numpy as np  # noqa: PLC0415 - numpy and the encoder only where neighbours are used

    from searchsvc.vocabulary.encoder import DIMENSIONS, ENCODER  # noqa: PLC0415
    from searchsvc.vocabulary.nearest import Vocabulary  # noqa: PLC0415
    from searchsvc.vocabulary.proposals import Proposals  # noqa: PLC0415

    places = {word.term: place for place, word in enumerate(words)}
    vocabulary = Vocabulary(
        terms=tuple(places),
        surfaces=tuple(word.surface for word in words),
        neighbours=tuple(tuple((places[term], similarity) for term, similarity in word.neighbours) for word in words),
    )
    rows = b"".join(word.vector for word in words)
    matrix = np.frombuffer(rows, dtype="<f2").reshape(-1, DIMENSIONS).astype(np.float32)
    ENCODER.encode(["ready"])
    return Proposals(vocabulary, matrix, analyzer)
