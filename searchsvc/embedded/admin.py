"""Makes, fills and publishes the indices of the embedded engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from searchsvc.documents import Document
from searchsvc.embedded.errors import other_analyser
from searchsvc.embedded.loading import Reports, load_documents
from searchsvc.embedded.store import DataFolder
from searchsvc.embedded.worker import Worker
from searchsvc.errors import BackendUnavailable, UnknownIndex
from searchsvc.index_names import is_physical, name_of
from searchsvc.protocols import IndexStatus, LoadReport
from searchsvc.text import Analyzer


class EmbeddedAdmin:
    """IndexAdmin over a data folder; raises ConfigurationError where the folder cannot be used."""

    def __init__(self, folder: DataFolder, analyzer: Analyzer, worker: Worker) -> None:
        self._folder = folder
        self._analyzer = analyzer
        self._worker = worker

    async def create(self, name: str) -> str:
        return await self._worker.run(self._folder.create, name, self._analyzer.fingerprint)

    async def load(
        self,
        name: str,
        documents: Iterable[Document],
        *,
        progress: Callable[[int], None],
        words: Callable[[int, int], None] | None = None,
    ) -> LoadReport:
        """`documents` is read in a thread; `progress` and `words` are called in the event loop.

        A search sees all of a load or, before it has ended, nothing of it. Raises Overloaded while another load runs.
        """
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def report(done: int) -> None:
            check_wanted()
            loop.call_soon_threadsafe(progress, done)

        def report_words(done: int, total: int) -> None:
            check_wanted()
            if words is not None:
                loop.call_soon_threadsafe(words, done, total)

        def check_wanted() -> None:
            if stopped.is_set():
                raise BackendUnavailable("the load was stopped.", hint="Run it again: nothing is lost.")

        try:
            return await self._worker.run(self._load, name, documents, Reports(documents=report, words=report_words))
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def swap(self, name: str, *, physical: str | None = None) -> str:
        return await self._worker.run(self._swap, name, physical)

    async def status(self) -> tuple[IndexStatus, ...]:
        return await self._worker.run(self._status)

    def _load(self, name: str, documents: Iterable[Document], reports: Reports) -> LoadReport:
        with self._folder.writing():
            physical = self._target(name)
            loaded = load_documents(self._folder, physical, documents, analyzer=self._analyzer, reports=reports)
            if self._live(name_of(physical)) is None:
                self._folder.publish(name_of(physical), physical)
        return LoadReport(
            index=physical,
            loaded=loaded.documents,
            duplicates=loaded.duplicates,
            live=self._folder.aliases()[name_of(physical)] == physical,
        )

    def _target(self, name: str) -> str:
        if is_physical(name):
            return name
        unpublished = self._folder.newer_than_live(name)
        if unpublished:
            return unpublished[-1]
        return self._live(name) or self._folder.create(name, self._analyzer.fingerprint)

    def _live(self, name: str) -> str | None:
        """The published index; None also if it is promised and its folder is gone."""
        live = self._folder.aliases().get(name)
        return live if live in self._folder.physical(name) else None

    def _swap(self, name: str, physical: str | None) -> str:
        if physical is None:
            complete = [each for each in self._folder.newer_than_live(name) if self._folder.meta(each).complete]
            if not complete:
                raise UnknownIndex(
                    f"there is no complete index for {name!r} newer than the published one.",
                    hint=f"Make one: `searchsvc index create {name}`, then `load`. To go back, name the older index.",
                )
            physical = complete[-1]
        elif name_of(physical) != name or not self._folder.meta(physical).complete:
            raise UnknownIndex(
                f"{physical!r} is no complete index of {name!r}.", hint="`searchsvc index status` lists all."
            )
        made_by = self._folder.meta(physical).fingerprint
        if made_by != self._analyzer.fingerprint:
            raise other_analyser(physical, made_by, self._analyzer.fingerprint)
        self._folder.publish(name, physical)
        return physical

    def _status(self) -> tuple[IndexStatus, ...]:
        published = {physical: name for name, physical in self._folder.aliases().items()}
        return tuple(self._status_of(physical, published.get(physical)) for physical in self._folder.physical())

    def _status_of(self, physical: str, alias: str | None) -> IndexStatus:
        meta = self._folder.meta(physical)
        return IndexStatus(
            index=physical,
            alias=alias,
            documents=meta.documents,
            bytes=self._folder.bytes(physical),
            complete=meta.complete,
        )
