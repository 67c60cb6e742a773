"""Bulk requests: documents in chunks, every one acknowledged or named in an error."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from elasticsearch import AsyncElasticsearch

from searchsvc.documents import Document
from searchsvc.elastic import hits
from searchsvc.elastic.errors import DISK_FULL_HINT, DISK_FULL_TYPE, translated
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, Overloaded, StageError

MAX_CHUNK_DOCUMENTS = 2000
"""Beyond this a load gains no speed."""

MAX_CHUNK_BYTES = 10_000_000
"""A tenth of what Elasticsearch accepts; a document that is larger goes alone."""

BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
"""Pauses between the attempts at a chunk, each shortened by up to half."""

_TIMEOUT_S = 60.0
_NAMED_IN_ERRORS = 10
_HEADERS = {"accept": "application/json", "content-type": "application/x-ndjson"}
_PATH = "/{index}/_bulk?filter_path=errors,items.*.error,items.*._id,items.*.status"


@dataclass(slots=True)
class Chunk:
    """Documents of one bulk request: each id once, so that the order of retries cannot matter."""

    lines: dict[str, bytes] = field(default_factory=dict)
    """By id; the last of a doubled id has replaced the earlier ones."""
    size: int = 0
    """Bytes, those of replaced lines too."""
    read: int = 0
    """Documents of the input that are in it, replaced ones too."""

    def add(self, doc_id: str, lines: bytes) -> None:
        """Take one more document."""
        self.lines[doc_id] = lines
        self.size += len(lines)
        self.read += 1


def chunks(documents: Iterable[Document], encode: Callable[[Document], bytes]) -> Iterator[Chunk]:
    """The documents in chunks, in order; `encode` gives the lines of one."""
    chunk = Chunk()
    for document in documents:
        lines = encode(document)
        if chunk.read >= MAX_CHUNK_DOCUMENTS or (chunk.read and chunk.size + len(lines) > MAX_CHUNK_BYTES):
            yield chunk
            chunk = Chunk()
        chunk.add(document.doc_id, lines)
    if chunk.read:
        yield chunk


class BulkWriter:
    """Writes chunks into one index, one request at a time; a chunk has ended before the next begins."""

    def __init__(self, client: AsyncElasticsearch, index: str, *, backoff_s: Sequence[float] = BACKOFF_S) -> None:
        """`backoff_s`: the pauses before further attempts at what was not acknowledged."""
        self._client = client.options(request_timeout=_TIMEOUT_S)
        self._index = index
        self._backoff_s = backoff_s

    async def write(self, lines: Mapping[str, bytes]) -> None:
        """Store these documents, all of them.

        Repeating is safe: a document is put under its own id. Raises BackendRejected naming the documents that were
        refused, or the StageError of the last attempt.
        """
        waiting = dict(lines)
        for pause_s in self._backoff_s:
            # an error leaves open which of them were stored: all are sent again
            with contextlib.suppress(BackendTimeout, BackendUnavailable, Overloaded):
                waiting = await self._send(waiting)
            if not waiting:
                return
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        waiting = await self._send(waiting)
        if waiting:
            raise Overloaded(f"Elasticsearch did not take {len(waiting)} documents for {self._index}: it is busy.")

    async def _send(self, lines: Mapping[str, bytes]) -> dict[str, bytes]:
        """One request; returns what may pass later."""
        with translated(f"loading {self._index}"):
            response = await self._client.perform_request(
                "POST",
                _PATH.format(index=quote(self._index, safe="")),
                headers=_HEADERS,
                body=b"".join(lines.values()),
                endpoint_id="bulk",
                path_parts={"index": self._index},
            )
        failed = hits.failed_items(response.body)
        refused = [item for item in failed if not item.retry]
        if refused:
            raise _refusal(self._index, refused)
        return {item.doc_id: lines[item.doc_id] for item in failed}


def _refusal(index: str, items: Sequence[hits.FailedItem]) -> StageError:
    named = ", ".join(repr(item.doc_id) for item in items[:_NAMED_IN_ERRORS])
    more = f" and {len(items) - _NAMED_IN_ERRORS} more" if len(items) > _NAMED_IN_ERRORS else ""
    full = any(item.type == DISK_FULL_TYPE for item in items)
    return BackendRejected(
        f"{index} refused {len(items)} documents: {named}{more}: {items[0].type}: {items[0].reason}.",
        hint=DISK_FULL_HINT if full else "Mend them, then load again.",
    )
