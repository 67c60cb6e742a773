"""Opens indices that others made, and notices when what stands behind a name changes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.adopted.caps import Fields, read_fields, some
from searchsvc.elastic.adopted.fields import header, not_in_mapping, schema_of
from searchsvc.elastic.adopted.retriever import AdoptedPages, AdoptedRetriever
from searchsvc.elastic.adopted.statistics import AdoptedStatistics
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import is_forbidden, translated
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendRejected, BackendUnavailable, ConfigurationError, SearchError, UnknownIndex
from searchsvc.protocols import OpenIndex
from searchsvc.schema import AdoptedIndex, IndexSchema
from searchsvc.source_paths import picked
from searchsvc.text import Analyzer

_SAMPLE = 20
"""Documents that are looked through for names that the mapping does not have."""

_log = logging.getLogger(__name__)


class AdoptedIndices:
    """The indices of the tables `[indices.NAME]`."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        searches: Searches,
        tables: Mapping[str, AdoptedIndex],
        analyzer: Analyzer,
    ) -> None:
        """`tables` by the name that a request uses; `analyzer` cuts Chinese that an index has as characters."""
        self._client = client
        self._searches = searches
        self._analyzer = analyzer
        self._tables = tables
        self._opened: dict[str, OpenIndex] = {}
        self._unmapped: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        """By name: the concrete indices, and the names that their documents hold and the mapping does not."""

    @property
    def names(self) -> tuple[str, ...]:
        """What requests call them."""
        return tuple(sorted(self._tables))

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def was_opened(self, name: str) -> bool:
        """Whether it could be opened before."""
        return name in self._opened

    def missing(self, name: str, error: UnknownIndex) -> SearchError:
        """What it means that there is no such index: the table is wrong, or somebody took down what was there."""
        if name in self._opened:
            return BackendUnavailable(error.message, hint="Searches go on as soon as it is back.")
        return ConfigurationError(error.message, hint=error.hint)

    async def open(self, name: str, *, timeout_s: float) -> OpenIndex:
        """What stands behind `name` now; the same object as last time if nothing that matters here has changed.

        The first time everything that its table names must be there. Later what is missing is told in the log, once,
        and stands in `problems` of the schema.
        Raises ConfigurationError with all that is wrong, UnknownIndex if there is no such index, StageError.
        """
        index, last = self._tables[name], self._opened.get(name)
        client = self._client.options(request_timeout=timeout_s, max_retries=1)
        fields = await self._fields(client, index)
        schema = schema_of(index, fields, unmapped=await self._seen_unmapped(client, index, fields))
        physical = ",".join(fields.indices)
        if last is not None and (last.physical, last.schema) == (physical, schema):
            return last
        if last is None:
            self._check(index, schema)
        else:
            _tell(index, last, physical, schema)
        opened = self._opened[name] = self._joined(index, physical, schema)
        return opened

    def _joined(self, index: AdoptedIndex, physical: str, schema: IndexSchema) -> OpenIndex:
        return OpenIndex(
            physical=physical,
            retriever=AdoptedRetriever(self._searches, index, schema),
            statistics=AdoptedStatistics(self._searches, index, schema, self._analyzer),
            pages=AdoptedPages(self._searches, index, schema),
            schema=schema,
            as_written=True,
        )

    def _check(self, index: AdoptedIndex, schema: IndexSchema) -> None:
        """Raises ConfigurationError with all that is wrong with the table."""
        problems = list(schema.problems)
        try:
            AdoptedRetriever(self._searches, index, schema)
        except ConfigurationError as error:  # base_query
            problems.append(str(error))
        if problems:
            raise ConfigurationError("\n".join(problems))

    async def _fields(self, client: AsyncElasticsearch, index: AdoptedIndex) -> Fields:
        try:
            with translated(f"reading the fields of {index.target}"):
                reply = await client.field_caps(index=index.target, fields="*", filters="-metadata")
        except UnknownIndex as error:
            raise _gone(index) from error
        except BackendRejected as error:
            if not is_forbidden(error):
                raise
            raise _forbidden(index, error) from error
        fields = read_fields(reply.body)
        if not fields.indices:
            raise _gone(index)
        return fields

    async def _seen_unmapped(self, client: AsyncElasticsearch, index: AdoptedIndex, fields: Fields) -> frozenset[str]:
        """Those of the names outside the mapping that some documents hold: `enabled: false`, `dynamic: false`."""
        indices, seen = self._unmapped.get(index.name, (fields.indices, frozenset[str]()))
        if indices != fields.indices:
            seen = frozenset()
        wanted = [name for name in not_in_mapping(index, fields) if name not in seen]
        if wanted:
            with translated(f"looking at documents of {index.target}"):
                reply = await client.search(index=index.target, size=_SAMPLE, source_includes=wanted)
            sources = _sources(reply.body)
            seen |= {name for name in wanted if any(picked(source, [name]) for source in sources)}
        self._unmapped[index.name] = (fields.indices, seen)
        return seen


def _tell(index: AdoptedIndex, last: OpenIndex, physical: str, schema: IndexSchema) -> None:
    """One line that names what changed; a warning where it is more than the indices behind the name."""
    before, now = (set(each.split(",")) for each in (last.physical, physical))
    moved = [
        f"{what}: {some(sorted(names))}." for what, names in (("New", now - before), ("Gone", before - now)) if names
    ]
    changes = [*moved, *_changes(last.schema, schema)]
    level = logging.WARNING if len(changes) > len(moved) else logging.INFO
    _log.log(level, "What stands behind the index %s has changed. %s", index.name, " ".join(changes))


def _changes(last: IndexSchema, new: IndexSchema) -> Iterator[str]:
    yield from (problem for problem in new.problems if problem not in last.problems)
    yield from (f"No longer: {problem}" for problem in last.problems if problem not in new.problems)
    for name, field in new.fields.items():
        before = last.fields.get(name)
        if before is not None and before != field:
            yield f"The field {name} was {before.kind} and is {field.kind}, or can be used otherwise than before."


def _gone(index: AdoptedIndex) -> UnknownIndex:
    return UnknownIndex(
        f"{header(index.name)} index: there is no index, alias or data stream {index.target!r} that is open to these"
        " credentials.",
        hint="Make it, open it, or write another name.",
    )


def _forbidden(index: AdoptedIndex, error: BackendRejected) -> BackendRejected:
    return BackendRejected(
        error.message, hint=f"Give the service's own account the index privilege read on {index.target}."
    )


def _sources(reply: Any) -> Sequence[Any]:
    with shape("a search"):
        return [hit.get("_source", {}) for hit in reply["hits"]["hits"]]
