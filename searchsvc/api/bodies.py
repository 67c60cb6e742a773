"""Bodies of requests: read whole before anything else happens, within a bound of size and a bound of time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchsvc.api.errors import problem

MAX_BYTES = 1 << 20
MAX_SECONDS = 10.0


class WholeBodies:
    """Middleware that hands on requests whose body has arrived; slow and huge ones are answered here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(MAX_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            await _refuse(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.")(scope, receive, send)
            return
        if body is None:
            detail = f"The body has more than {MAX_BYTES} bytes."
            await _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)(scope, receive, send)
            return
        await self._app(scope, _replaying(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


def _refuse(status: HTTPStatus, detail: str) -> ASGIApp:
    return problem(
        status, kind=status.phrase.lower().replace(" ", "-"), detail=detail, next_step="Send a smaller body."
    )
