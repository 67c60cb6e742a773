"""Makes the vocabulary of an index at the end of a load: every word with the words that it is near to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import hits, terms
from searchsvc.elastic.bulk import BulkWriter
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import translated
from searchsvc.elastic.hits import PhysicalIndex
from searchsvc.elastic.query import frequencies_body, texts_body
from searchsvc.elastic.takeover import check_held
from searchsvc.elastic.terms import Head, StoredWord
from searchsvc.errors import BackendUnavailable, UnknownIndex
from searchsvc.model import Deadline
from searchsvc.text import Analyzer
from searchsvc.vocabulary.encoder import DIMENSIONS, ENCODER
from searchsvc.vocabulary.method import MODEL
from searchsvc.vocabulary.nearest import BATCH, Near, neighbours_by_batch
from searchsvc.vocabulary.words import MAX_WORDS, WordForms, commonest

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COUNTED_TOGETHER = 2000
"""Terms in one request for document frequencies."""
_READ_TOGETHER = 1000
"""Documents."""
_TIMEOUT_MS = 60_000
"""Of one call."""
_AGAIN = "Load again: nothing is lost."

Report = Callable[[int, int], None]
"""Told the number of words done so far, and that of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load has done before the words are compared."""

    target: PhysicalIndex
    """As it was before the load, with the load's mark."""
    forms: WordForms
    """Of the documents that were stored."""
    stored: int
    """Documents."""
    counted: int
    """Documents in the index now."""
    there: Collection[str]
    """The physical indices of the name."""


class VocabularyLoad:
    """Writes vocabularies through one client; a killed one leaves the former vocabulary in use."""

    def __init__(self, client: AsyncElasticsearch, analyzer: Analyzer, *, backoff_s: Sequence[float]) -> None:
        """`backoff_s`: the pauses between attempts at a chunk."""
        self._client = client
        self._searches = Searches(client)
        self._analyzer = analyzer
        self._backoff_s = backoff_s

    async def write(self, loaded: Loaded, report: Report) -> None:
        """Make the vocabulary of the index and let searches see it.

        The words of the former one stay while documents have them. Where there is none that holds the words of all
        other documents, those are read again. Raises StageError; Overloaded if another load took the index over.
        """
        target = loaded.target
        former = await self._former(target)
        forms = loaded.forms
        if former is None and loaded.stored < loaded.counted:
            forms = await self._read_again(target.index)
        for word in former or ():
            forms.add_counted(word.term, word.forms)
        likely = forms.most_frequent(2 * MAX_WORDS)
        df = await self._frequencies(target.index, list(likely))
        chosen = sorted((term for term in df if df[term]), key=lambda term: (-df[term], term))[:MAX_WORDS]
        known = {word.surface: word.vector for word in former or ()}
        vectors = await _vectors([commonest(likely[term]) for term in chosen], known, report)
        words = _words(chosen, likely, df, vectors)
        head = Head(words=len(chosen), documents=loaded.counted, encoder=MODEL, analyzer=self._analyzer.fingerprint)
        await self._write(target, head, words, report)
        await self._publish(target, loaded.there)

    async def _former(self, target: PhysicalIndex) -> list[StoredWord] | None:
        """The vocabulary of all documents that were there before this load; None if there is no such."""
        if not target.complete:  # an earlier load was cut off: some documents may not be in it
            return None
        try:
            head = await terms.read_head(self._searches, target.index, deadline=_soon())
            if head is None or (head.analyzer, head.encoder) != (self._analyzer.fingerprint, MODEL):
                return None
            return await terms.read_words(self._searches, head)
        except UnknownIndex:
            return None

    async def _read_again(self, index: str) -> WordForms:
        """The words of all documents of the index."""
        forms = WordForms()
        after: list[Any] = []
        while True:
            page, after = hits.texts(await self._searched(index, texts_body(_READ_TOGETHER, after)))
            if not page:
                return forms
            await asyncio.to_thread(self._count, forms, page)

    def _count(self, forms: WordForms, texts: Sequence[tuple[str, str]]) -> None:
        for title, text in texts:
            forms.add([*self._analyzer.words(title), *self._analyzer.words(text)])

    async def _frequencies(self, index: str, words: Sequence[str]) -> dict[str, int]:
        df: dict[str, int] = {}
        for start in range(0, len(words), _COUNTED_TOGETHER):
            asked = words[start : start + _COUNTED_TOGETHER]
            df |= hits.term_counts(await self._searched(index, frequencies_body(asked)), asked).df
        return df

    async def _searched(self, index: str, body: Mapping[str, Any]) -> Any:
        reply = await self._searches.search(index, body, deadline=_soon())
        if reply.partial:
            raise BackendUnavailable(f"The words of {index} cannot be counted: {reply.partial}", hint="Load again.")
        return reply.body

    async def _write(
        self, target: PhysicalIndex, head: Head, words: AsyncIterator[list[StoredWord]], report: Report
    ) -> None:
        index = terms.terms_index(target.index, target.load.token)
        with translated(f"making {index}"):
            await self._client.indices.create(index=index, body=terms.terms_body())
        writer = BulkWriter(self._client, index, backoff_s=self._backoff_s)
        place = 0
        async for batch in words:
            await check_held(self._client, target)
            lines = {word.term: terms.word_lines(place + number, word) for number, word in enumerate(batch)}
            await writer.write(lines)
            place += len(batch)
            report((head.words + place) // 2, head.words)
        await writer.write({terms.HEAD_ID: terms.head_lines(head)})
        with translated(f"finishing {index}"):
            await self._client.indices.refresh(index=index)
            counted = hits.count((await self._client.count(index=index)).body)
        if counted != head.words + 1:
            raise BackendUnavailable(f"{index} holds {counted} documents in place of {head.words + 1}.", hint=_AGAIN)

    async def _publish(self, target: PhysicalIndex, there: Collection[str]) -> None:
        """Lets searches see the vocabulary, and deletes those that nobody needs any more."""
        made = terms.terms_index(target.index, target.load.token)
        await check_held(self._client, target)
        with translated(f"publishing {made}"):
            pattern = terms.terms_pattern(target.name)
            reply = await self._client.indices.get_alias(index=pattern, expand_wildcards=terms.HIDDEN_TOO)
            outdated = [
                index for index in reply.body if terms.is_outdated(index, kept=made, physical=target.index, there=there)
            ]
            await self._client.indices.update_aliases(body=terms.publish_body(target.index, made, outdated))


def _soon() -> Deadline:
    return Deadline.after_ms(_TIMEOUT_MS)


async def _vectors(surfaces: Sequence[str], known: Mapping[str, bytes], report: Report) -> NDArray[np.float32]:
    """The vectors of the words as they are stored, with 16 bits, (words, 512); only those not `known` are encoded."""
    fresh = [surface for surface in surfaces if surface not in known]
    encoded: dict[str, bytes] = {}
    for start in range(0, len(fresh), BATCH):
        batch = fresh[start : start + BATCH]
        made = (await asyncio.to_thread(ENCODER.encode, batch)).astype("<f2")
        encoded |= {surface: vector.tobytes() for surface, vector in zip(batch, made, strict=True)}
        report((len(surfaces) - len(fresh) + start) // 2, len(surfaces))
    rows = b"".join(known[surface] if surface in known else encoded[surface] for surface in surfaces)
    return np.frombuffer(rows, dtype="<f2").reshape(-1, DIMENSIONS).astype(np.float32)


async def _words(
    chosen: Sequence[str],
    forms: Mapping[str, Mapping[str, int]],
    df: Mapping[str, int],
    vectors: NDArray[np.float32],
) -> AsyncIterator[list[StoredWord]]:
    """All words with their neighbours, in the order of their places, some hundred at a time."""
    surfaces = [commonest(forms[term]) for term in chosen]

    def stored(place: int, neighbours: Sequence[Near]) -> StoredWord:
        term = chosen[place]
        return StoredWord(
            term=term,
            surface=surfaces[place],
            forms=forms[term],
            df=df[term],
            neighbours=[(chosen[near], similarity) for near, similarity in neighbours],
            vector=vectors[place].astype("<f2").tobytes(),
        )

    batches = neighbours_by_batch(vectors, surfaces)
    place = 0
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield [stored(place + number, neighbours) for number, neighbours in enumerate(batch)]
        place += len(batch)
