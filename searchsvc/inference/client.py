"""One pooled HTTP client for a model server: JSON out, JSON in, and every failure as an error of this service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
from yarl import URL

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    ConfigurationError,
    Overloaded,
    QuotaExceeded,
    StageError,
)
from searchsvc.inference.redaction import MAX_NAME, Redaction
from searchsvc.inference.urls import parse_base, public
from searchsvc.inference.words import Words, words_of
from searchsvc.model import Deadline

_IDLE_S = 4.0
"""How long an idle connection is kept: vLLM closes its own after 5 s."""
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of an answer, besides what it may repeat of the request; parsing holds up the event loop, so it has to be short."""
_REPEATED = 4
"""A reranker sends the documents back, and JSON may write a character in 6 bytes that was sent in 2 or 3."""
_MAX_ERROR_BYTES = 64 * 1024
_HINTS = {
    401: "Check the key.",
    402: "Check the account's balance.",
    403: "Check the key.",
    404: "Check the address and the name of the model.",
}


class Refused(BackendRejected):
    """The server answered that it will not do this."""

    def __init__(self, message: str, *, words: Words, hint: str = "") -> None:
        """The message names the server and what it said; `words` are its own."""
        super().__init__(message, hint=hint)
        self.words = words
        self.status = words.status
        self.said = words.said


class Limited(QuotaExceeded):
    """The server answered 429."""

    def __init__(self, message: str, *, words: Words) -> None:
        """The message names the server and what it said; `words` are its own."""
        super().__init__(message, retry_after_s=words.retry_after_s)
        self.words = words


_Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""


@dataclass(slots=True)
class _Attempt:
    """What is known of one attempt when it fails."""

    reused: bool = False
    """It went over a connection that had been used before."""
    answered: bool = False
    """Response headers arrived."""


class ModelServer:
    """Speaks to one model server; holds its connections and its key, neither of which any message shows.

    Connections are opened on first use, in the event loop of that use, and given back by `close`. What the server
    says is shown only by way of `redaction`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        connections: int = 64,
        again: frozenset[int] = frozenset({500}),
    ) -> None:
        """`connections` bounds the requests in flight; more wait, within their deadline.

        `again`: after which answers a request is sent once more (500 is what vLLM says to requests in flight when it
        is stopped). Raises ConfigurationError.
        """
        self.base = parse_base(base_url)
        self._key = (api_key or "").strip()
        if not self._key.isascii() or (self._key and not self._key.isprintable()):
            raise ConfigurationError(
                "The key of the model server holds a character that no HTTP header may hold.",
                hint="Give it in printable ASCII.",
            )
        if self._key and self.base.user is not None:
            raise ConfigurationError("The model server has credentials in its URL and a key.", hint="Give one of them.")
        self.redaction = Redaction(self.base, self._key)
        self._connections = connections
        self._again = again
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: URL, *, deadline: Deadline) -> dict[str, Any]:
        """The JSON object at `url`. Raises StageError."""
        return await self._call("GET", url, None, deadline)

    async def post(self, url: URL, body: Mapping[str, Any], *, deadline: Deadline) -> dict[str, Any]:
        """The JSON object that `url` answers to `body`.

        A second attempt is made, on a fresh connection, if a used one turns out to be closed, or if the answer is one
        of `again` and as much time is left as the first attempt took.
        Raises Refused for 3xx, 4xx and 501; Limited for 429; Overloaded for 503; BackendTimeout for 408 and for an
        answer that was not read and parsed by the deadline; BackendUnavailable for other 5xx and for no answer;
        BadModelOutput for an answer that is no JSON object or larger than 4 MiB and four times the request (64 KiB
        unless it is 2xx).
        """
        return await self._call("POST", url, orjson.dumps(body), deadline)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, method: str, url: URL, payload: bytes | None, deadline: Deadline) -> dict[str, Any]:
        where = public(url)
        with _errors(where):
            async with asyncio.timeout(deadline.left_s()):
                status, headers, content = await self._send(method, url, payload, deadline)
            if not 200 <= status < 300:
                raise status_error(where, words_of(status, content, headers, self.redaction))
            answer = orjson.loads(content)
            if not deadline.left_s():
                raise BackendTimeout(f"{where} did not answer in time.")
            if not isinstance(answer, dict):
                raise BadModelOutput(f"{where} answered with JSON that is no object.")
            if "model" in answer:
                answer["model"] = self.redaction.line(answer["model"], MAX_NAME)
            return answer

    async def _send(self, method: str, url: URL, payload: bytes | None, deadline: Deadline) -> _Answer:
        attempt, started = _Attempt(), time.monotonic()
        try:
            answer = await _exchange(self._pool(), method, url, payload, attempt)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if attempt.answered or not attempt.reused:
                raise
        else:
            if answer[0] not in self._again or deadline.left_s() < time.monotonic() - started:
                return answer
        async with self._new_session(aiohttp.TCPConnector(force_close=True)) as fresh:
            return await _exchange(fresh, method, url, payload, _Attempt())

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_IDLE_S)
            self._session = self._new_session(connector)
        return self._session

    def _new_session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the deadline bounds the whole call, retry included
        )


async def _note_reuse(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.reused = True


async def _exchange(
    session: aiohttp.ClientSession, method: str, url: URL, payload: bytes | None, attempt: _Attempt
) -> _Answer:
    """Status, headers and body; a redirect is an answer, since following it would send the key elsewhere.

    Raises BadModelOutput if the body is too large.
    """
    async with session.request(method, url, data=payload, allow_redirects=False, trace_request_ctx=attempt) as response:
        attempt.answered = True
        answered = 200 <= response.status < 300
        limit = _MAX_ANSWER_BYTES + _REPEATED * len(payload or b"") if answered else _MAX_ERROR_BYTES
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > limit:
                raise BadModelOutput(f"{public(url)} answered {response.status} with more than {limit:,} bytes.")
        return response.status, response.headers, bytes(content)


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """The one place where failures of the HTTP client become errors of this service.

    Texts of that client quote what the server said and what it was sent, headers and so the key included: none is
    told, and none is kept as the cause.
    """
    try:
        yield
    except TimeoutError:
        raise BackendTimeout(f"{where} did not answer in time.") from None
    except aiohttp.ClientResponseError:
        raise BadModelOutput(f"{where} did not answer in HTTP.", hint="Check http or https.") from None
    except (aiohttp.ClientError, OSError) as error:
        raise BackendUnavailable(f"{where} gave no answer: {_names(error)}.") from None
    except orjson.JSONDecodeError as error:
        raise BadModelOutput(f"{where} answered with something that is not JSON: {error}.") from None
    except ValueError as error:
        message = f"{where} cannot be asked, the request is not possible in HTTP: {_names(error)}."
        raise BackendRejected(message, hint="Check the address and its credentials.") from None


def _names(error: BaseException) -> str:
    """What went wrong by the names of the classes: ClientConnectorError, ConnectionRefusedError."""
    names = type(error).__name__
    return names if error.__cause__ is None else f"{names}, {type(error.__cause__).__name__}"


def status_error(where: str, words: Words) -> StageError:
    """What a status other than 2xx means, whoever the server is."""
    status = words.status
    message = words.told(where)
    if status == 408:
        return BackendTimeout(message)
    if status == 429:
        return Limited(message, words=words)
    if status == 503:
        return Overloaded(message, retry_after_s=words.retry_after_s)
    if status >= 500 and status != 501:
        return BackendUnavailable(message)
    return Refused(message, words=words, hint=_HINTS.get(status, ""))
