"""The engine that stands on Elasticsearch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import hits
from searchsvc.elastic.adopted.fields import header
from searchsvc.elastic.adopted.opening import AdoptedIndices
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import is_forbidden, translated
from searchsvc.elastic.hits import PhysicalIndex
from searchsvc.elastic.indices import ALL_INDICES, ElasticIndices, check_analyzer
from searchsvc.elastic.neighbours import ElasticNeighbours, FoundVocabulary, open_vocabulary
from searchsvc.elastic.pages import ElasticPages
from searchsvc.elastic.retriever import ElasticRetriever
from searchsvc.elastic.statistics import ElasticStatistics
from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    ConfigurationError,
    Overloaded,
    StageError,
    UnknownIndex,
)
from searchsvc.index_names import is_index_name
from searchsvc.openings import Openings
from searchsvc.protocols import OpenIndex
from searchsvc.schema import AdoptedIndex
from searchsvc.text import Analyzer

_FRESH_S = 1.0
"""How long a look at an alias holds."""

_RECENT_S = 2.0
"""An index that was looked at so recently is served at once, whatever the next look says."""

_PATIENCE_S = 0.1
"""How long an index that was idle for longer waits for the next look, which takes some milliseconds."""

_ADOPTED_FRESH_S = 5.0
"""The same of an index that others made: a look reads all its fields, and mappings change seldom."""

_FIRST_LOOK_TIMEOUT_S = 1.0
_NEXT_LOOK_TIMEOUT_S = 0.5
_ADOPTED_LOOK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Look:
    """An open index, and when it was last seen behind its alias (monotonic seconds)."""

    index: OpenIndex
    seen_at: float
    load: str = ""
    """The mark of the load whose vocabulary it has; empty: that is not known yet."""
    neighbours: ElasticNeighbours | None = None


class ElasticEngine:
    """Engine on one cluster; owns the client."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        analyzer: Analyzer,
        adopted: Mapping[str, AdoptedIndex] = MappingProxyType({}),
    ) -> None:
        """`adopted`: indices that others made, by the name that a request uses."""
        self._client = client
        self._analyzer = analyzer
        self._searches = Searches(client)
        self._admin = ElasticIndices(client, analyzer)
        self._adopted = AdoptedIndices(client, self._searches, adopted, analyzer)
        self._looks: dict[str, _Look] = {}
        self._openings = Openings()

    @property
    def admin(self) -> ElasticIndices:
        """What makes and fills its indices."""
        return self._admin

    async def names(self) -> tuple[str, ...]:
        """The published names and those of the adopted indices. Raises StageError."""
        return tuple(dict.fromkeys((*await self._published_names(), *self._adopted.names)))

    async def open(self, name: str) -> OpenIndex:
        """The index published under `name`; the same object as long as that is the same index.

        An index that is open already is served at once, and once a second at most its alias is looked at beside that.
        One that was idle waits a moment for the look, so that a swap long ago is seen. If a look fails, the index
        stays open for another second: the search itself will tell. Looks at adopted indices are rarer.
        Raises UnknownIndex, StageError; ConfigurationError if an adopted index does not fit its table.
        """
        known = self._looks.get(name)
        fresh_s, recent_s = _FRESH_S, _RECENT_S
        if name in self._adopted:
            fresh_s, recent_s = _ADOPTED_FRESH_S, 2 * _ADOPTED_FRESH_S
        look = partial(self._look, name)
        if known is None:
            return await self._openings.result(name, look)
        age_s = time.monotonic() - known.seen_at
        if age_s < fresh_s:
            return known.index
        looking = self._openings.start(name, look)
        if age_s >= recent_s:
            ended, _ = await asyncio.wait({looking}, timeout=_PATIENCE_S)
            if ended:
                return looking.result()
        return known.index

    async def close(self) -> None:
        """End the looks that run and close the connections."""
        await self._openings.close()
        for look in self._looks.values():
            if look.neighbours is not None:
                await look.neighbours.close()
        await self._client.close()

    async def _look(self, name: str) -> OpenIndex:
        """What stands behind `name` now, opened if it was not."""
        known = self._looks.get(name)
        seen_at = time.monotonic()
        try:
            if name in self._adopted:
                look = _Look(await self._look_at_adopted(name), seen_at)
            else:
                look = await self._look_at_own(name, known, seen_at)
        except (UnknownIndex, BackendRejected, ConfigurationError) as error:
            self._looks.pop(name, None)
            if isinstance(error, UnknownIndex) and name in self._adopted:
                raise self._adopted.missing(name, error) from error
            raise
        except (BackendTimeout, BackendUnavailable, Overloaded):
            if known is None:
                raise
            look = replace(known, seen_at=time.monotonic())
        self._looks[name] = look
        return look.index

    async def _look_at_adopted(self, name: str) -> OpenIndex:
        if not self._adopted.was_opened(name) and name in await self._published_names():
            raise ConfigurationError(
                f"There is an index of this service that is called {name}, as the table {header(name)}.",
                hint='Call the table otherwise, and write the name of your index there: index = "…".',
            )
        return await self._adopted.open(name, timeout_s=_ADOPTED_LOOK_TIMEOUT_S)

    async def _look_at_own(self, name: str, known: _Look | None, seen_at: float) -> _Look:
        published = await self._published(name, _FIRST_LOOK_TIMEOUT_S if known is None else _NEXT_LOOK_TIMEOUT_S)
        check_analyzer(published, self._analyzer)
        load = published.load.token if published.complete else ""
        if known is not None and known.index.physical == published.index and load in ("", known.load):
            return replace(known, seen_at=seen_at)
        vocabulary = await open_vocabulary(self._searches, published, self._analyzer)
        neighbours = vocabulary.neighbours
        if neighbours is not None and known is not None and known.neighbours is not None and known.neighbours.was_used:
            with contextlib.suppress(StageError):  # whoever asks for neighbours will tell
                await neighbours.read()
        return _Look(self._opened(published, vocabulary), seen_at, load if vocabulary.is_certain else "", neighbours)

    def _opened(self, published: PhysicalIndex, vocabulary: FoundVocabulary) -> OpenIndex:
        return OpenIndex(
            physical=published.index,
            neighbours=vocabulary.neighbours,
            no_neighbours=vocabulary.why_none,
            retriever=ElasticRetriever(self._searches, published.index),
            statistics=ElasticStatistics(self._searches, published.index, self._analyzer),
            pages=ElasticPages(self._searches, published.index),
        )

    async def _published_names(self) -> tuple[str, ...]:
        """Of the indices of this service; none where these credentials are for adopted indices alone."""
        client = self._client.options(max_retries=1, request_timeout=_FIRST_LOOK_TIMEOUT_S)
        try:
            with translated("listing the published indices"):
                reply = await client.indices.get_alias(index=ALL_INDICES)
        except BackendRejected as error:
            if self._adopted.names and is_forbidden(error):
                return ()
            raise
        return hits.published_names(reply.body)

    async def _published(self, name: str, timeout_s: float) -> PhysicalIndex:
        """What `name` points to."""
        unknown = UnknownIndex(f"There is no index {name!r}.", hint="Make it with `searchsvc index load`.")
        if not is_index_name(name):
            raise unknown
        client = self._client.options(request_timeout=timeout_s, max_retries=1)
        try:
            with translated(f"opening {name}"):
                reply = await client.indices.get_mapping(index=name)
        except (UnknownIndex, BackendRejected) as error:
            if isinstance(error, BackendRejected) and not (self._adopted.names and is_forbidden(error)):
                raise
            raise unknown from error  # to these credentials, where they are for adopted indices alone
        metas = hits.mapping_metas(reply.body)
        if name in metas:
            raise unknown  # an index itself, not a name that was published
        found = [PhysicalIndex(index=index, published=True, meta=meta) for index, meta in metas.items()]
        if len(found) != 1 or found[0].name != name or found[0].meta.get("product") != "searchsvc":
            raise BackendRejected(
                f"Behind {name!r} stands {', '.join(metas) or 'nothing'}, which is not one index made by this service.",
                hint="Make it with `searchsvc index create` and `load`.",
            )
        return found[0]
