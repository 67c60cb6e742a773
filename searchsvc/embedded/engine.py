"""The embedded engine: search with nothing but packages, everything in one data folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from searchsvc.embedded.admin import EmbeddedAdmin
from searchsvc.embedded.errors import damaged, other_analyser
from searchsvc.embedded.fields import open_tantivy
from searchsvc.embedded.neighbours import EmbeddedNeighbours
from searchsvc.embedded.pages import EmbeddedPages
from searchsvc.embedded.reranker import EmbeddedReranker
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.embedded.statistics import EmbeddedStatistics
from searchsvc.embedded.store import LAYOUT, DataFolder
from searchsvc.embedded.vectors import StoredVectors
from searchsvc.embedded.vocabulary import read_vocabulary, word_matrix
from searchsvc.embedded.worker import Worker
from searchsvc.errors import UnknownIndex
from searchsvc.openings import Openings
from searchsvc.protocols import OpenIndex
from searchsvc.text import Analyzer
from searchsvc.vocabulary.proposals import Proposals


@dataclass(frozen=True, slots=True)
class _Held:
    stamp: tuple[int, int]
    index: OpenIndex


class EmbeddedEngine:
    """Engine over a data folder, which several processes may read while one of them loads.

    An open index is a snapshot; a load or a swap, also of another process, is seen by the next `open`.
    """

    def __init__(self, data_dir: Path, analyzer: Analyzer) -> None:
        """Touches no file: the folder is made by the first `create` or `load`."""
        self._folder = DataFolder(data_dir)
        self._analyzer = analyzer
        self._worker = Worker()
        self._admin = EmbeddedAdmin(self._folder, analyzer, self._worker)
        self._openings = Openings()
        self._held: dict[str, _Held] = {}

    @property
    def admin(self) -> EmbeddedAdmin:
        return self._admin

    async def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._folder.aliases()))

    async def open(self, name: str) -> OpenIndex:
        """Raises UnknownIndex, BackendRejected for a damaged index or one of another text analysis."""
        try:
            while (current := self._current(name)) is None:  # it may have changed again while it was opened
                await self._openings.result(name, partial(self._renew, name))
        except UnknownIndex as error:
            promised = self._folder.aliases().get(name)
            if promised is None:
                raise
            raise damaged(promised, "its folder is gone") from error
        return current

    async def close(self) -> None:
        await self._openings.close()
        self._held.clear()
        self._worker.close()

    async def _renew(self, name: str) -> OpenIndex:
        physical = self._physical(name)
        stamp = self._folder.stamp(physical)
        index = await self._worker.run(self._open, physical)
        self._held[name] = _Held(stamp, index)
        return index

    def _current(self, name: str) -> OpenIndex | None:
        """The open index of that name if it is still what a reader should see."""
        physical = self._physical(name)
        held = self._held.get(name)
        if held is None or held.index.physical != physical or held.stamp != self._folder.stamp(physical):
            return None
        return held.index

    def _physical(self, name: str) -> str:
        physical = self._folder.aliases().get(name)
        if physical is None:
            hint = f"Load one: `searchsvc index load FILE --index {name}`."
            raise UnknownIndex(f"there is no index {name!r}.", hint=hint)
        return physical

    def _open(self, physical: str) -> OpenIndex:
        meta = self._folder.meta(physical)
        if meta.layout != LAYOUT:
            raise damaged(physical, f"its layout is {meta.layout} and this version reads {LAYOUT}")
        if meta.fingerprint != self._analyzer.fingerprint:
            raise other_analyser(physical, meta.fingerprint, self._analyzer.fingerprint)
        opened = open_tantivy(self._folder.tantivy(physical), physical)
        stored = StoredVectors.open(self._folder.vectors)
        statistics = EmbeddedStatistics(opened, self._worker, self._analyzer)
        retriever = EmbeddedRetriever(opened, self._worker)
        vocabulary = read_vocabulary(self._folder.folder(physical), physical)
        return OpenIndex(
            physical=physical,
            retriever=retriever,
            statistics=statistics,
            pages=EmbeddedPages(opened, retriever, self._worker),
            neighbours=EmbeddedNeighbours(
                Proposals(vocabulary, word_matrix(vocabulary.surfaces, stored), self._analyzer),
                statistics=statistics,
                worker=self._worker,
            ),
            reranker=EmbeddedReranker(stored, self._worker),
        )
