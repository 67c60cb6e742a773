"""One search call inside a deadline: at most two attempts, and the only place that makes a second one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import hits
from searchsvc.elastic.errors import translated
from searchsvc.errors import BackendTimeout, BackendUnavailable, Overloaded
from searchsvc.model import Deadline
from searchsvc.schema import Caller

FIRST_SHARE = 0.5
"""How much of the time that is left the first attempt may take: a node that hangs takes all that it is given."""

TWICE_S = 0.1
"""With less time than this there is one attempt: half of it would be too short for any answer."""

SERVER_SHARE = 0.8
"""How much of an attempt the server may search before it answers with what it has."""

UNPINNED_S = 30.0
"""How long copies are chosen by Elasticsearch after one did not answer: it takes so long to drop a node that hangs.

With one of three nodes paused, three to seven times as many searches were answered as with pinned copies.
"""

TELLING_S = 0.2
"""An attempt that had less time than this says nothing of its copy when it ends without an answer."""

_STEP_S = 0.02
"""Timeouts are multiples of this, so that few clients differing by timeout are made: making one costs 0.1 ms."""

_HEADERS = {"accept": "application/json", "content-type": "application/json"}
_IN_PATHS = ",*"
"""Signs of lists and wildcards, as the client itself sends them."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What an attempt sends."""

    body: bytes
    headers: Mapping[str, str] = field(repr=False)
    in_callers_name: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReply:
    """What Elasticsearch said."""

    body: Any
    """Its JSON, for `hits` to read."""
    partial: str
    """Not empty: a part of the index is missing, and why."""
    attempts: int


class Searches:
    """Runs searches through one client."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client
        self._pinned_from = 0.0
        """On `time.monotonic`: until then no query is pinned to a copy."""
        self._limited_to = lru_cache(maxsize=256)(self._client_limited_to)

    @property
    def client(self) -> AsyncElasticsearch:
        """For calls that are no searches."""
        return self._client

    async def search(
        self,
        index: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline,
        preference: str = "",
        named: bool = False,
        caller: Caller | None = None,
    ) -> SearchReply:
        """The answer of one of two attempts.

        The second is made where there was no answer or a partial one, and time is left.
        `preference` pins the query to one copy of a shard, but not the second attempt, nor any for a while after a
        timeout of TELLING_S or more: that copy may be on a node that hangs, and then no other host helps.
        `named` asks for the score of every named clause. `index` "" is that of the body's point in time.
        With `caller` the search runs with the rights of the caller instead of those of the service.
        Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded, UnknownIndex; Unauthenticated and
        Forbidden in the name of a caller.
        """
        content = _Content(_written(body), _headers(caller), caller is not None)
        parameters = {"include_named_queries_score": "true"} if named else {}
        pin = preference and time.monotonic() >= self._pinned_from
        pinned = {**parameters, "preference": preference} if pin else parameters
        first_deadline = deadline.share(FIRST_SHARE) if deadline.left_s() >= TWICE_S else deadline
        telling = first_deadline.left_s() >= TELLING_S
        try:
            first = await self._attempt(index, content, pinned, first_deadline, 1)
        except (BackendTimeout, BackendUnavailable) as error:
            if isinstance(error, BackendTimeout) and telling:
                self._pinned_from = time.monotonic() + UNPINNED_S
            return await self._attempt(index, content, parameters, deadline, 2)
        if not first.partial or hits.overloaded(first.body):
            return first
        try:
            return await self._attempt(index, content, parameters, deadline, 2)
        except (BackendTimeout, BackendUnavailable, Overloaded):
            return first

    async def open_point(self, index: str, *, keep_alive: str, deadline: Deadline, caller: Caller | None = None) -> str:
        """Open a point in time, inside which searches see `index` as it is now; its id.

        It goes away `keep_alive` ("5m") after the last search in it. Raises as `search`.
        """
        content = _Content(b"", _headers(caller), caller is not None)
        path = f"/{quote(index, safe=_IN_PATHS)}/_pit?{urlencode({'keep_alive': keep_alive})}"
        body = await self._post(path, content, index=index, deadline=deadline, endpoint_id="open_point_in_time")
        return hits.opened_point(body)

    async def _attempt(
        self, index: str, content: _Content, parameters: Mapping[str, str], deadline: Deadline, attempt: int
    ) -> SearchReply:
        steps = _steps(deadline, index)
        server_ms = max(1, int(steps * _STEP_S * SERVER_SHARE * 1000))
        query = urlencode({"timeout": f"{server_ms}ms", **parameters})
        path = f"/{quote(index, safe=_IN_PATHS)}/_search?{query}" if index else f"/_search?{query}"
        body = await self._post(path, content, index=index, deadline=deadline, endpoint_id="search")
        return SearchReply(body=body, partial=hits.missing_part(body), attempts=attempt)

    async def _post(self, path: str, content: _Content, *, index: str, deadline: Deadline, endpoint_id: str) -> Any:
        steps = _steps(deadline, index)
        with translated(f"searching {index or 'on'}", in_callers_name=content.in_callers_name):
            async with asyncio.timeout(deadline.left_s()):
                response = await self._limited_to(steps).perform_request(
                    "POST",
                    path,
                    headers=content.headers,
                    body=content.body or None,
                    endpoint_id=endpoint_id,
                    path_parts={"index": index} if index else {},
                )
        return response.body

    def _client_limited_to(self, steps: int) -> AsyncElasticsearch:
        """The client itself goes on to one other host where nobody listens: that costs no time."""
        return self._client.options(request_timeout=steps * _STEP_S, max_retries=1)


def _written(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a number beyond 64 bits, or half a character: Elasticsearch says what is wrong with it
        return json.dumps(body).encode()


def _steps(deadline: Deadline, index: str) -> int:
    """The time that is left, in steps. Raises BackendTimeout if that is none."""
    steps = int(deadline.left_s() / _STEP_S)
    if steps < 1:
        raise BackendTimeout(f"While searching {index}: no time is left for a call.")
    return steps


def _headers(caller: Caller | None) -> Mapping[str, str]:
    return _HEADERS if caller is None else {**_HEADERS, "authorization": caller.authorization}
