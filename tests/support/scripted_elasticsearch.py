"""A small real server on loopback that answers as Elasticsearch does, or as it does on a bad day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from tests.support.model_servers import serving

PRODUCT = {"X-Elastic-Product": "Elasticsearch"}
Answer = Callable[[], "web.StreamResponse | None"]
"""Makes one answer; None: none ever."""


def says(body: Any, status: int = 200) -> Answer:
    """JSON, as Elasticsearch sends it."""
    return lambda: web.Response(
        body=json.dumps(body).encode(),
        status=status,
        headers=PRODUCT,
        content_type="application/vnd.elasticsearch+json",
    )


def fails(status: int, kind: str, reason: str = "because") -> Answer:
    """An error in Elasticsearch's form."""
    error = {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason}
    return says({"error": error, "status": status}, status)


def page(status: int, *, product: bool = False) -> Answer:
    """What a proxy says."""
    headers = CIMultiDict(PRODUCT if product else {})
    return lambda: web.Response(text="<html>a page</html>", status=status, headers=headers, content_type="text/html")


def without_product(body: Any) -> Answer:
    """JSON of another server."""
    return lambda: web.Response(body=json.dumps(body).encode(), content_type="application/json")


def cut_json() -> Answer:
    """A body that ends in the middle of the JSON."""
    return lambda: web.Response(body=b'{"took": 1, "hits": {"hi', headers=PRODUCT, content_type="application/json")


def hangs() -> web.StreamResponse | None:
    """Takes the request and never answers."""
    return None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    parameters: dict[str, str]
    body: bytes
    authorization: str = ""


@dataclass(slots=True)
class Server:
    """Answers in the order of its script, the last one again and again."""

    script: Sequence[Answer]
    url: str = ""
    requests: list[Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and give the next answer."""
        number = len(self.requests)
        body, authorization = await request.read(), request.headers.get("authorization", "")
        self.requests.append(Request(request.method, request.path, dict(request.query), body, authorization))
        answer = self.script[min(number, len(self.script) - 1)]()
        if answer is None:
            await asyncio.sleep(60)
            return web.Response()
        return answer


@asynccontextmanager
async def scripted(*script: Answer) -> AsyncIterator[Server]:
    """A server that gives these answers."""
    server = Server(script)
    async with serving(server.handle) as url:
        server.url = url
        yield server
