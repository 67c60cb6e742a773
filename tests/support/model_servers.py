"""Small real HTTP servers on loopback that stand in for model servers, and for model servers that misbehave."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Every request on the yielded address goes to `handler`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving_raw(handler: RawHandler) -> AsyncIterator[str]:
    """Every connection to the yielded address goes to `handler`, which need not speak HTTP."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handler(reader, writer))
        connections.add(task)  # type: ignore[arg-type]  # a coroutine's future is a task
        try:
            await task
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await server.wait_closed()


def rerank_results(scores: list[float]) -> dict[str, Any]:
    """The answer of a reranker, best first."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = [{"index": index, "relevance_score": scores[index]} for index in order]
    return {"id": "score-1", "model": "served", "usage": {"prompt_tokens": 74}, "results": results}


def chat_answer(content: Any, *, finish_reason: str = "stop") -> dict[str, Any]:
    """The answer of a chat model."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return {"model": "served", "choices": [choice], "usage": {"prompt_tokens": 12, "completion_tokens": 34}}


@dataclass
class FakeReranker:
    """A rerank server as vLLM is: it scores a document by its length, and counts 4 characters as a token."""

    prompt_tokens: int | None = 74
    """Of its template; 0: it has none; None: it reports no usage."""
    paths: tuple[str, ...] = ("/v2/rerank", "/v1/rerank")
    honours_activation: bool = True
    gives: Callable[[str, str], float] = field(default=lambda query, document: len(document) / 10 - 2)
    """The logit of a pair."""
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append((request.path, body))
        if request.path not in self.paths:
            return web.json_response({"detail": "Not Found"}, status=404)
        documents = body["documents"]
        scores = [self.gives(body["query"], document) for document in documents]
        if body.get("use_activation", True) or not self.honours_activation:
            scores = [1 / (1 + math.exp(-score)) for score in scores]
        answer = rerank_results(scores)
        answer["results"] = answer["results"][: body.get("top_n") or None]
        if self.prompt_tokens is None:
            del answer["usage"]
        else:
            words = sum((len(body["query"]) + len(document)) // 4 for document in documents)
            answer["usage"] = {"prompt_tokens": self.prompt_tokens * len(documents) + words or 1}
        return web.json_response(answer)

    def scored(self) -> list[dict[str, Any]]:
        """The requests that were no probes."""
        return [body for _, body in self.requests if body["query"] not in {"q", "d"}]
