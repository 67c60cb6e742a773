"""State in an index of its own on the cluster, shared by all replicas. No other index is ever named in a call."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.errors import from_status, translated
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendTimeout, BackendUnavailable, Conflict
from searchsvc.protocols import Stored
from searchsvc.state.content import as_text, conflict, from_text

STATE_INDEX = "searchsvc-state"
"""The first write makes it."""

PRIVILEGES = ("read", "write", "create_index")
"""What the account needs on it."""

_TIMEOUT_S = 5.0
"""Per attempt. A read takes about 1 ms, a write 5 ms; making the index on a busy cluster takes seconds."""

_NO_SECURITY = (400, 405)
"""What a cluster without security answers to a question about privileges: it has no such path."""

_PAGE = 1000
_REVISION = re.compile(r"(\d{1,18})-([1-9]\d{0,17})")
"""Sequence number and primary term of the last write; the two tell every write apart (Elasticsearch's optimistic
concurrency control)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A document as it lies in the index."""

    text: str
    write_id: str
    """Differs between any two writes: tells whether one that got no answer took effect."""
    revision: str


class ElasticsearchStateStore:
    """StateStore on a cluster, in the name of the service; whoever made the client closes it."""

    place = "elasticsearch"

    def __init__(self, client: AsyncElasticsearch, index: str = STATE_INDEX) -> None:
        """`index` is one that nobody else writes to."""
        self._index = index
        self._reads = client.options(request_timeout=_TIMEOUT_S, max_retries=1)
        self._writes = client.options(request_timeout=_TIMEOUT_S, max_retries=0)

    async def may_write(self) -> bool:
        """Whether the account has the privileges; True on a cluster without security, where the write will tell.

        Raises StageError.
        """
        with translated("asking what the account may do"):
            reply = await self._reads.options(ignore_status=_NO_SECURITY).security.has_privileges(
                index=[{"names": [self._index], "privileges": PRIVILEGES}]
            )
        if reply.meta.status in _NO_SECURITY:
            return True
        with shape("a question about privileges"):
            return bool(reply.body["has_all_requested"])

    async def read(self, kind: str, name: str) -> Stored | None:
        kept = await self._get(kind, name)
        if kept is None:
            return None
        return Stored(value=from_text(kept.text, kind=kind, name=name), revision=kept.revision)

    async def write(self, kind: str, name: str, value: Mapping[str, Any], *, expected: str | None) -> str:
        """As the protocol says. A write without an answer is read back, and sent again only if it took no effect."""
        document = {"kind": kind, "name": name, "value": as_text(value), "write_id": uuid.uuid4().hex}
        return await self._written(document, expected, last=False)

    async def names(self, kind: str) -> tuple[str, ...]:
        found: list[str] = []
        after: dict[str, Any] = {}
        while True:
            with translated(f"listing the state of {kind}"):
                reply = await self._reads.search(
                    index=self._index,
                    query={"term": {"kind": kind}},
                    sort=[{"name": "asc"}],
                    size=_PAGE,
                    source=False,
                    ignore_unavailable=True,  # no index, no names
                    allow_partial_search_results=False,
                    **after,
                )
            with shape("a search"):
                page = [hit["sort"][0] for hit in reply.body["hits"]["hits"]]
            found += page
            if len(page) < _PAGE:
                return tuple(found)
            after = {"search_after": [page[-1]]}

    async def _get(self, kind: str, name: str) -> _Kept | None:
        """In real time: what was written is seen at once."""
        doing = f"reading the state of {kind} {name!r}"
        with translated(doing):
            reply = await self._reads.options(ignore_status=404).get(index=self._index, id=_document_id(kind, name))
        body: Any = reply.body
        if reply.meta.status == 404 and not _tells_absence(body):
            raise from_status(doing, 404, body)
        if reply.meta.status == 404:
            return None
        with shape("a read"):
            source = body["_source"]
            return _Kept(text=source["value"], write_id=source["write_id"], revision=_revision(body))

    async def _written(self, document: Mapping[str, str], expected: str | None, *, last: bool) -> str:
        try:
            return await self._put(document, expected)
        except (Conflict, BackendTimeout, BackendUnavailable) as error:
            written = await self._read_back(document, expected, error)
            if written is not None:
                return written
            if last:
                raise
        return await self._written(document, expected, last=True)

    async def _put(self, document: Mapping[str, str], expected: str | None) -> str:
        """One attempt. Raises Conflict if the revision is another one."""
        kind, name = document["kind"], document["name"]
        condition = await self._condition(kind, name, expected)
        with translated(f"writing the state of {kind} {name!r}"):
            reply = await self._writes.options(ignore_status=409).index(
                index=self._index, id=_document_id(kind, name), document=document, refresh=True, **condition
            )
        if reply.meta.status == 409:
            raise conflict(kind, name)
        with shape("a write"):
            return _revision(reply.body)

    async def _condition(self, kind: str, name: str, expected: str | None) -> Mapping[str, Any]:
        """Under what condition Elasticsearch is to write.

        A write would make a missing index by itself, with a mapping of its own: so it is made, or its absence seen,
        before.
        """
        if expected is None:
            await self._make_index()
            return {"op_type": "create"}
        revision = _REVISION.fullmatch(expected)
        if revision is None or await self._get(kind, name) is None:
            raise conflict(kind, name)
        return {"if_seq_no": int(revision[1]), "if_primary_term": int(revision[2])}

    async def _make_index(self) -> None:
        """Nothing if it is there."""
        definition = orjson.loads(files("index_mappings").joinpath("state.v1.json").read_bytes())
        doing = f"making the index {self._index}"
        with translated(doing):
            reply = await self._writes.options(ignore_status=400).indices.create(index=self._index, **definition)
        body: Any = reply.body
        if reply.meta.status == 400 and "resource_already_exists_exception" not in str(body):
            raise from_status(doing, 400, body)

    async def _read_back(self, document: Mapping[str, str], expected: str | None, failed: Exception) -> str | None:
        """The revision of a write that took effect, None if everything is as before it. Raises Conflict otherwise.

        A conflict too may hide a success: Elasticsearch repeats a write when a shard moves, and aiohttp a PUT when a
        kept connection is closed under it.
        """
        kept = await self._get(document["kind"], document["name"])
        if kept is not None and kept.write_id == document["write_id"]:
            return kept.revision
        current = None if kept is None else kept.revision
        if isinstance(failed, Conflict) or current != expected:
            raise conflict(document["kind"], document["name"]) from failed
        return None


def _document_id(kind: str, name: str) -> str:
    """Of any length and with any sign in it a name has an id: Elasticsearch's hold 512 bytes."""
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()


def _revision(body: Any) -> str:
    return f"{body['_seq_no']:d}-{body['_primary_term']:d}"


def _tells_absence(body: Any) -> bool:
    """A 404 of Elasticsearch, which has no such document or no such index; not one of a proxy."""
    return isinstance(body, Mapping) and (body.get("found") is False or "index_not_found_exception" in str(body))
