"""Makes, fills and publishes indices of Elasticsearch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from elasticsearch import AsyncElasticsearch

from searchsvc import __version__
from searchsvc.documents import Document
from searchsvc.elastic import hits
from searchsvc.elastic.bulk import BACKOFF_S, BulkWriter, chunks
from searchsvc.elastic.client import METADATA_TIMEOUT_S
from searchsvc.elastic.errors import translated
from searchsvc.elastic.hits import PhysicalIndex
from searchsvc.elastic.query import alias_body, document_lines, index_body, meta_body, refresh_body
from searchsvc.elastic.takeover import check_held, check_mark, marked
from searchsvc.elastic.terms import HIDDEN_TOO
from searchsvc.errors import (
    BackendRejected,
    BackendUnavailable,
    StageError,
    UnknownIndex,
)
from searchsvc.index_names import check_index_name, is_index_name, is_physical, name_of, physical_name
from searchsvc.protocols import IndexStatus, LoadReport
from searchsvc.text import Analyzer
from searchsvc.vocabulary.words import WordForms

ALL_INDICES = "*-v*-*"
"""What the names of our physical indices look like; `is_physical` decides."""

_VERSION = 1
"""Of the mapping."""
_MERGE_TIMEOUT_S = 3600.0


class ElasticIndices:
    """IndexAdmin. An index is unpublished if it is newer than the live one of its name."""

    def __init__(
        self, client: AsyncElasticsearch, analyzer: Analyzer, *, backoff_s: Sequence[float] = BACKOFF_S
    ) -> None:
        """`backoff_s`: the pauses between attempts at a chunk of a load."""
        self._client = client.options(max_retries=1, request_timeout=METADATA_TIMEOUT_S)
        self._analyzer = analyzer
        self._backoff_s = backoff_s

    async def create(self, name: str) -> str:
        """A new, empty, unpublished index for `name`.

        Raises ConfigurationError for a name that cannot be one, StageError.
        """
        check_index_name(name)
        made_at = datetime.now(UTC)
        meta = {"analyzer": self._analyzer.fingerprint, "version": __version__, "complete": False}
        with translated(f"making an index for {name}"):
            while await self._client.indices.exists(index=_physical(name, made_at)):
                made_at += timedelta(seconds=1)
            physical = _physical(name, made_at)
            reply = await self._client.indices.create(index=physical, body=index_body(meta))
        if not hits.shards_started(reply.body):
            raise BackendUnavailable(
                f"{physical} was made, but no node holds it yet.", hint="Look at the disks and the health of the nodes."
            )
        return physical

    async def load(
        self,
        name: str,
        documents: Iterable[Document],
        *,
        progress: Callable[[int], None],
        words: Callable[[int, int], None] | None = None,
    ) -> LoadReport:
        """Add or replace documents, and compare the words of all of them.

        An index that nobody searches is not refreshed while it fills, and merged to one segment at the end.
        A load that runs when another one into the same index begins ends with Overloaded: see `takeover`.
        Raises StageError, which says how many documents were stored; UnknownIndex for a physical index that is not
        there. A rerun is safe.
        """
        target = marked(await self._target(name))
        if not target.published:
            await self._set_filling(target, filling=True)
        await self._mark(target, complete=False)
        forms = WordForms()
        loaded, read = await self._write(target, documents, forms, progress)
        await check_held(self._client, target)
        if not target.published:
            await self._set_filling(target, filling=False)
        await self._finish(target, loaded, forms, words or _untold)
        indices = await self._indices_of(target.name)
        live = any(index.published and index.index == target.index for index in indices)
        if not any(index.published for index in indices):
            await self._publish(target, ())
            live = True
        return LoadReport(index=target.index, loaded=loaded, duplicates=read - loaded, live=live)

    async def swap(self, name: str, *, physical: str | None = None) -> str:
        """Publish `physical`, or the newest complete unpublished index.

        Raises UnknownIndex if there is none or its load did not end, BackendRejected if its words were cut otherwise
        than queries are now.
        """
        indices = await self._indices_of(name)
        among = _unpublished(indices) if physical is None else [each for each in indices if each.index == physical]
        chosen = next((index for index in reversed(among) if index.complete), None)
        if chosen is None:
            raise _nothing_to_publish(name, physical)
        check_analyzer(chosen, self._analyzer)
        await self._publish(chosen, [index.index for index in indices if index.published and index != chosen])
        return chosen.index

    async def status(self) -> tuple[IndexStatus, ...]:
        """Every index of this service that these credentials may see.

        What is not complete is refreshed first: Elasticsearch counts what is refreshed, and a load leaves that out.
        Where the credentials do not allow it, the number is that of the last refresh.
        """
        with translated("listing indices"):
            described = await self._client.indices.get(index=ALL_INDICES, features=["aliases", "mappings"])
        indices = hits.physical_indices(described.body)
        if filling := [index.index for index in indices if not index.complete]:
            with contextlib.suppress(StageError, UnknownIndex), translated("refreshing indices"):
                await self._client.indices.refresh(index=filling)
        with translated("listing indices"):
            numbers = await self._client.indices.stats(
                index=ALL_INDICES, metric=["docs", "store"], expand_wildcards=HIDDEN_TOO
            )
        return tuple(hits.index_status(index, numbers.body) for index in indices)

    async def _indices_of(self, name: str) -> list[PhysicalIndex]:
        """The physical indices of `name`, oldest first."""
        if not is_index_name(name):
            return []
        with translated(f"listing the indices of {name}"):
            reply = await self._client.indices.get(index=f"{name}-v*-*", features=["aliases", "mappings"])
        return [index for index in hits.physical_indices(reply.body) if index.name == name]

    async def _target(self, name: str) -> PhysicalIndex:
        """The index that a load of `name` fills."""
        indices = await self._indices_of(name_of(name) or name)
        if is_physical(name):
            target = next((index for index in indices if index.index == name), None)
            if target is None:
                raise UnknownIndex(f"There is no index {name!r}.", hint="See `searchsvc index status`.")
        elif unpublished := _unpublished(indices):
            target = unpublished[-1]
        elif indices:
            target = next(index for index in indices if index.published)
        else:
            made = await self.create(name)
            target = next(index for index in await self._indices_of(name) if index.index == made)
        check_analyzer(target, self._analyzer)
        return target

    async def _write(
        self, target: PhysicalIndex, documents: Iterable[Document], forms: WordForms, progress: Callable[[int], None]
    ) -> tuple[int, int]:
        """How many documents were stored, and how many were read: the others were replaced by later ones."""
        writer = BulkWriter(self._client, target.index, backoff_s=self._backoff_s)
        stored: set[str] = set()
        read = 0
        waiting = chunks(documents, partial(self._encode, forms))
        # in a thread: reading and cutting words block for long, and searches may run on this loop
        while (chunk := await asyncio.to_thread(next, waiting, None)) is not None:
            try:
                await check_held(self._client, target)
                await writer.write(chunk.lines)
            except StageError as error:
                raise type(error)(
                    f"{error.message} Before that {read} documents were stored.",
                    hint=f"{error.hint} Loading the same file into {target.index} again is safe.".strip(),
                ) from error
            stored.update(chunk.lines)
            read += chunk.read
            progress(read)
        return len(stored), read

    def _encode(self, forms: WordForms, document: Document) -> bytes:
        words = [*self._analyzer.words(document.title), *self._analyzer.words(document.text)]
        forms.add(words)
        return document_lines(document, [word.term for word in words])

    async def _set_filling(self, target: PhysicalIndex, *, filling: bool) -> None:
        with translated(f"setting up {target.index}"):
            await self._client.indices.put_settings(index=target.index, settings=refresh_body(filling=filling))

    async def _mark(self, target: PhysicalIndex, *, complete: bool) -> None:
        meta = {**target.meta, "complete": complete}
        with translated(f"marking {target.index}"):
            await self._client.indices.put_mapping(index=target.index, body=meta_body(meta))

    async def _finish(
        self, target: PhysicalIndex, loaded: int, forms: WordForms, words: Callable[[int, int], None]
    ) -> None:
        """Make everything visible, check that it is there, compare the words, and mark the index complete."""
        from searchsvc.elastic.vocabulary import Loaded, VocabularyLoad  # noqa: PLC0415 - numpy only where used

        with translated(f"finishing {target.index}"):
            if not target.published:
                patient = self._client.options(request_timeout=_MERGE_TIMEOUT_S, max_retries=0)
                await patient.indices.forcemerge(index=target.index, max_num_segments=1)
            await self._client.indices.refresh(index=target.index)
            counted = hits.count((await self._client.count(index=target.index)).body)
        # Elasticsearch makes a missing index on the first write to it, with mappings of its own guess
        there = await self._indices_of(target.name)
        current = next((index for index in there if index.index == target.index), None)
        if current is not None:
            check_mark(target, current.load)
        if counted < loaded or current is None:
            raise BackendRejected(
                f"{target.index} holds {counted} documents after {loaded} were stored: it was changed or deleted "
                "during the load.",
                hint="Delete it, make a new one and load again.",
            )
        vocabulary = VocabularyLoad(self._client, self._analyzer, backoff_s=self._backoff_s)
        names = frozenset(index.index for index in there)
        await vocabulary.write(Loaded(target=target, forms=forms, stored=loaded, counted=counted, there=names), words)
        await self._mark(replace(target, meta={**target.meta, "vocabulary": True}), complete=True)

    async def _publish(self, chosen: PhysicalIndex, published: Sequence[str]) -> None:
        if chosen.published and not published:
            return
        with translated(f"publishing {chosen.index}"):
            body = alias_body(chosen.name, add=chosen.index, remove=published)
            await self._client.indices.update_aliases(body=body)


def _untold(done: int, total: int) -> None:
    """Nobody asked how far it is."""


def check_analyzer(index: PhysicalIndex, analyzer: Analyzer) -> None:
    """Raises BackendRejected if the index was made by another analyser: its words would not meet those of queries."""
    if index.meta.get("analyzer") == analyzer.fingerprint:
        return
    raise BackendRejected(
        f"{index.index} was made by the text analyser {index.meta.get('analyzer')!r}, this is "
        f"{analyzer.fingerprint!r}: queries would miss its words.",
        hint=f"Make a new index for {index.name!r}, load it and publish it with `searchsvc index swap`.",
    )


def _nothing_to_publish(name: str, physical: str | None) -> UnknownIndex:
    if physical is not None:
        return UnknownIndex(
            f"{physical!r} is no complete index of {name!r}.", hint="`searchsvc index status` lists all."
        )
    return UnknownIndex(
        f"There is no complete index for {name!r} newer than the published one.",
        hint=f"Make one: `searchsvc index create {name}`, then `load`. To go back, name the older index.",
    )


def _physical(name: str, made_at: datetime) -> str:
    return physical_name(name, version=_VERSION, made_at=made_at)


def _unpublished(indices: Sequence[PhysicalIndex]) -> list[PhysicalIndex]:
    """Those newer than the live one, all of them if none is live; older ones were published before."""
    live = max((index.index for index in indices if index.published), default="")
    return [index for index in indices if index.index > live]
