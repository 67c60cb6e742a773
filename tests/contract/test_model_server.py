"""Whatever a model server does, both adapters answer with an error of this service, in time, and keep the key."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import traceback
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    ConfigurationError,
    Overloaded,
    StageError,
)
from searchsvc.inference import client
from searchsvc.inference.chat import OpenAIChat
from searchsvc.inference.client import ModelServer
from searchsvc.inference.reranker import VllmReranker
from searchsvc.model import Candidate, Deadline
from tests.support.model_servers import Handler, chat_answer, rerank_results, serving, serving_raw

KEY = "sk-very-secret-8d1f"
Ask = Callable[[ModelServer, Deadline], Awaitable[object]]


async def ask_reranker(server: ModelServer, deadline: Deadline) -> object:
    candidate = Candidate(doc_id="1", score=1.0, source={"text": "a text"})
    reranker = VllmReranker(server, max_tokens_per_doc=512)
    return await reranker.rerank("a query", [candidate], top_k=50, instruction=None, deadline=deadline)


async def ask_chat(server: ModelServer, deadline: Deadline) -> object:
    return await OpenAIChat(server, "some-model").chat(
        [{"role": "user", "content": "a question"}],
        schema=None,
        max_tokens=16,
        temperature=0.0,
        deadline=deadline,
    )


@pytest.fixture(params=[ask_reranker, ask_chat], ids=["reranker", "chat"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


async def outcome(ask: Ask, url: str, *, within_ms: float = 2000, key: str | None = KEY) -> StageError:
    """The error that a question to the server at `url` ends with."""
    server = ModelServer(url, api_key=key)
    started = time.monotonic()
    try:
        with pytest.raises(StageError) as caught:
            await ask(server, Deadline.after_ms(within_ms))
    finally:
        await server.close()
    assert time.monotonic() - started < within_ms / 1000 + 0.3
    return caught.value


def answers(status: int, text: str, *, content_type: str = "application/json") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type)

    return handler


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, BackendRejected) for status in (307, 400, 401, 402, 403, 404, 405, 409, 422, 501)],
        (408, BackendTimeout),
        *[(status, Overloaded) for status in (429, 503)],
        *[(status, BackendUnavailable) for status in (500, 502, 504, 520)],
    ],
)
async def test_a_status_has_one_meaning(ask: Ask, status: int, error: type[StageError]) -> None:
    async with serving(answers(status, '{"error": {"message": "what the server says"}}')) as url:
        caught = await outcome(ask, url)

    assert type(caught) is error or isinstance(caught, error)
    assert str(status) in caught.message
    assert "what the server says" in caught.message
    assert url in caught.message


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "says why", "type": "BadRequestError", "param": null, "code": 400}}',
        '{"error": "says why"}',
        '{"detail": "says why"}',
        '{"detail": [{"loc": ["body", "query"], "msg": "says why"}]}',
        '{"object": "error", "message": "says why", "code": 400}',
        '{"error": {"code": 400, "message": "1 validation error:\\n  says why"}}',
        "says why",
        "<html><body>says why</body></html>",
    ],
)
async def test_the_servers_own_words_are_told_whatever_their_shape(ask: Ask, body: str) -> None:
    async with serving(answers(400, body)) as url:
        caught = await outcome(ask, url)

    assert "says why" in caught.message
    assert "\n" not in caught.message


async def test_long_words_of_the_server_are_cut(ask: Ask) -> None:
    async with serving(answers(400, '{"error": "' + "x" * 5000 + '"}')) as url:
        caught = await outcome(ask, url)

    assert "x" * 300 in caught.message
    assert "x" * 301 not in caught.message


@pytest.mark.parametrize(
    "body",
    ["", "garbage", "<html>ok</html>", '{"results": [{"index": 0, "relev', '{"results": [NaN]}', "[1, 2]", "null", "3"],
)
async def test_an_answer_that_is_no_json_object_is_bad_output(ask: Ask, body: str) -> None:
    async with serving(answers(200, body)) as url:
        caught = await outcome(ask, url)

    assert isinstance(caught, BadModelOutput)


@pytest.mark.parametrize(("status", "megabytes"), [(200, 5), (200, 30), (400, 0.1), (401, 30), (503, 0.1)])
async def test_an_answer_that_is_too_large_is_bad_output(ask: Ask, status: int, megabytes: float) -> None:
    right = {**rerank_results([2.5]), **chat_answer("an answer"), "more": "x" * int(megabytes * 1024 * 1024)}
    async with serving(answers(status, json.dumps(right))) as url:
        caught = await outcome(ask, url)

    assert isinstance(caught, BadModelOutput)
    assert f"answered {status} with more than" in caught.message


async def test_an_answer_that_is_parsed_too_late_is_a_timeout(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(content: bytes) -> object:
        time.sleep(0.2)
        return loads(content)

    loads = client.orjson.loads
    monkeypatch.setattr(client.orjson, "loads", slow)
    async with serving(answers(200, json.dumps({**rerank_results([2.5]), **chat_answer("an answer")}))) as url:
        caught = await outcome(ask, url, within_ms=150)

    assert isinstance(caught, BackendTimeout)


async def test_words_of_the_server_in_lists_within_lists_are_told_as_they_are(ask: Ask) -> None:
    async with serving(answers(400, "[" * 1000 + "]" * 1000)) as url:
        caught = await outcome(ask, url)

    assert isinstance(caught, BackendRejected)
    assert "[" * 300 in caught.message


async def test_a_server_that_does_not_speak_http_is_bad_output(ask: Ask) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        await writer.drain()

    async with serving_raw(handler) as url:
        caught = await outcome(ask, url)

    assert isinstance(caught, BadModelOutput)


async def test_a_server_that_hangs_is_left_at_the_deadline(ask: Ask) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handler) as url:
        caught = await outcome(ask, url, within_ms=150)

    assert isinstance(caught, BackendTimeout)


async def test_a_server_that_hangs_within_the_body_is_left_at_the_deadline(ask: Ask) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"results": [')
        await asyncio.sleep(60)
        return response

    async with serving(handler) as url:
        caught = await outcome(ask, url, within_ms=150)

    assert isinstance(caught, BackendTimeout)


async def test_a_deadline_that_is_over_asks_nothing(ask: Ask) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({})

    async with serving(handler) as url:
        caught = await outcome(ask, url, within_ms=0)
        await asyncio.sleep(0.05)

    assert isinstance(caught, BackendTimeout)
    assert asked == []


async def test_a_port_that_nobody_listens_on_is_unavailable(ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        caught = await outcome(ask, f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert isinstance(caught, BackendUnavailable)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 200 OK\r\nCont"])
async def test_a_connection_that_is_reset_is_unavailable(ask: Ask, sent: bytes) -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()

    async with serving_raw(handler) as url:
        caught = await outcome(ask, url)

    assert isinstance(caught, BackendUnavailable)
    assert connections == 1  # it was new: that the server had closed it before cannot be the reason


async def test_cancellation_passes(ask: Ask) -> None:
    asked = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handler) as url:
        server = ModelServer(url)
        task = asyncio.ensure_future(ask(server, Deadline.after_ms(5000)))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.close()


def _http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("rude", [True, False], ids=["reset", "closed"])
async def test_a_kept_connection_that_the_server_closed_is_replaced(rude: bool) -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers once, then closes the moment that it is asked again: the race of a keep-alive that ran out."""
        nonlocal connections
        connections += 1
        await _read_request(reader)
        writer.write(_http(b'{"ok": true}'))
        await writer.drain()
        await _read_request(reader)
        if rude:
            writer.transport.abort()

    async with serving_raw(handler) as url:
        server = ModelServer(url)
        answers = [await server.post(server.base, {"n": n}, deadline=Deadline.after_ms(2000)) for n in range(2)]
        await server.close()

    assert answers == [{"ok": True}, {"ok": True}]
    assert connections == 2


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


async def test_connections_are_kept_and_shared() -> None:
    peers: set[object] = set()

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({})

    async with serving(handler) as url:
        server = ModelServer(url)
        for _ in range(5):
            await server.post(server.base, {}, deadline=Deadline.after_ms(2000))
        await server.close()

    assert len(peers) == 1


async def test_500_is_asked_once_more() -> None:
    bodies: list[bytes] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.read())
        if len(bodies) == 1:
            return web.json_response({"error": {"message": "EngineCore encountered an issue."}}, status=500)
        return web.json_response({"ok": True})

    async with serving(handler) as url:
        server = ModelServer(url)
        answer = await server.post(server.base, {"n": 1}, deadline=Deadline.after_ms(2000))
        await server.close()

    assert answer == {"ok": True}
    assert bodies == [b'{"n":1}', b'{"n":1}']


@pytest.mark.parametrize(("status", "requests"), [(400, 1), (401, 1), (429, 1), (500, 2), (502, 1), (503, 1), (504, 1)])
async def test_nothing_but_500_is_asked_again(status: int, requests: int) -> None:
    asked = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.json_response({}, status=status)

    async with serving(handler) as url:
        server = ModelServer(url)
        with pytest.raises(StageError):
            await server.post(server.base, {}, deadline=Deadline.after_ms(2000))
        await server.close()

    assert asked == requests


async def test_500_is_not_asked_again_when_the_rest_of_the_time_is_too_short() -> None:
    asked = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.2)
        return web.json_response({}, status=500)

    async with serving(handler) as url:
        server = ModelServer(url)
        with pytest.raises(BackendUnavailable):
            await server.post(server.base, {}, deadline=Deadline.after_ms(300))
        await server.close()

    assert asked == 1


async def test_a_closed_server_can_be_used_again() -> None:
    async with serving(answers(200, "{}")) as url:
        server = ModelServer(url)
        await server.close()
        assert await server.post(server.base, {}, deadline=Deadline.after_ms(2000)) == {}
        await server.close()
        assert await server.post(server.base, {}, deadline=Deadline.after_ms(2000)) == {}
        await server.close()
        await server.close()


@pytest.mark.parametrize("key", [KEY, f"  {KEY}\n"])
async def test_the_key_is_a_bearer_token(key: str) -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({})

    async with serving(handler) as url:
        for api_key in (key, None):
            server = ModelServer(url, api_key=api_key)
            await server.post(server.base, {}, deadline=Deadline.after_ms(2000))
            await server.close()

    assert seen == [f"Bearer {KEY}", None]


async def test_the_key_does_not_follow_a_redirect(ask: Ask) -> None:
    elsewhere: list[str] = []

    async def other(request: web.Request) -> web.StreamResponse:
        elsewhere.append(request.path)
        return web.json_response({})

    async with serving(other) as other_url:

        async def handler(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(other_url)

        async with serving(handler) as url:
            caught = await outcome(ask, url)

    assert isinstance(caught, BackendRejected)
    assert elsewhere == []


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("body", [f'{{"error": "Incorrect API key: {KEY}"}}', f"no JSON: {KEY}"])
async def test_the_key_is_in_no_message_repr_traceback_or_log(
    ask: Ask, status: int, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with serving(answers(status, body)) as url:
        server = ModelServer(url, api_key=KEY)
        with pytest.raises(StageError) as caught:
            await ask(server, Deadline.after_ms(2000))
        await server.close()

    told = "".join(traceback.format_exception(caught.value, chain=True))
    assert KEY not in told
    assert KEY not in repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert KEY not in repr(server) + str(server)
    assert KEY not in caplog.text


async def test_the_key_is_not_told_by_a_server_that_does_not_speak_http(ask: Ask) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"what is " + await reader.readuntil(b"\r\n\r\n"))
        await writer.drain()

    async with serving_raw(handler) as url:
        caught = await outcome(ask, url)

    assert KEY not in "".join(traceback.format_exception(caught, chain=True))


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (f"HTTP/1.1 2x0 Bearer {KEY}\r\n\r\n", BadModelOutput),
        (f"HTTP/1.1 200 OK\r\nbroken header {KEY}\r\n\r\n", BadModelOutput),
        (f"HTTP/1.1 200 Bearer {KEY}\r\nX-Seen: Bearer {KEY}\r\n", BackendUnavailable),
        (f"HTTP/1.1 200 OK\r\nX-Seen: {KEY}\r\nContent-Length: 100\r\n\r\n{KEY}", BackendUnavailable),
        (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n", None),
        (f"HTTP/1.1 400 {KEY}\r\nContent-Length: 0\r\n\r\n", BackendRejected),
    ],
    ids=["status line", "header", "cut in the headers", "cut in the body", "chunk", "reason"],
)
async def test_the_key_is_told_by_no_broken_answer(ask: Ask, sent: str, error: type[StageError] | None) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent.encode())
        await writer.drain()

    async with serving_raw(handler) as url:
        caught = await outcome(ask, url)

    assert error is None or isinstance(caught, error)
    assert KEY not in "".join(traceback.format_exception(caught, chain=True))


@pytest.mark.parametrize("before", [283, 290, 299, 1190, 65_000])
async def test_no_cut_leaves_a_part_of_the_key(ask: Ask, before: int) -> None:
    async with serving(answers(400, " " * before + KEY + "x" * 300)) as blanks:
        after_blanks = await outcome(ask, blanks)
    async with serving(answers(400, "x" * before + KEY)) as words:
        after_words = await outcome(ask, words)

    assert KEY[:4] not in after_blanks.message + after_words.message


@pytest.mark.parametrize("base", [f"//user:{KEY}@", f"//{KEY}@"])
async def test_credentials_of_the_url_that_a_server_repeats_are_not_told(ask: Ask, base: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=f"{request.headers['Authorization']} is {base}")

    async with serving(handler) as url:
        caught = await outcome(ask, url.replace("//", base), key=None)

    assert "Basic *** is //" in caught.message
    assert KEY not in caught.message


async def test_a_key_in_the_query_string_that_a_server_repeats_is_not_told(ask: Ask) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=f"{request.path_qs} or {request.query['key']}")

    async with serving(handler) as url:
        caught = await outcome(ask, f"{url}/v1?v=1&key=very%2Fsecret%2Fkey", key=None)

    assert "v=1&key=*** or ***" in caught.message


@pytest.mark.parametrize(
    "key", [f"{KEY}\x00", f"a\r\nb{KEY}", f"\x7f{KEY}", f"{KEY}\x1b[0m.", f"“{KEY}”", f"{KEY}\udc80"]
)
def test_a_key_that_no_header_can_hold_is_a_configuration_error(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelServer("http://127.0.0.1:1", api_key=key)

    assert KEY not in "".join(traceback.format_exception(caught.value, chain=True))


@pytest.mark.parametrize(
    "url",
    [f"http://us%3Aer:{KEY}@127.0.0.1:1", f"http://user:{KEY}问@127.0.0.1:1", "http://" + "a" * 70 + ".example:1"],
    ids=["user", "password", "host"],
)
async def test_what_the_http_client_cannot_send_is_an_error_of_this_service(ask: Ask, url: str) -> None:
    caught = await outcome(ask, url, key=None)

    assert isinstance(caught, BackendRejected | BackendUnavailable)
    assert KEY not in "".join(traceback.format_exception(caught, chain=True))


async def test_credentials_of_the_url_are_used_and_never_told(ask: Ask) -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error": "no"}, status=403)

    async with serving(handler) as url:
        caught = await outcome(ask, url.replace("//", f"//user:{KEY}@"), key=None)

    assert seen[0] is not None
    assert seen[0].startswith("Basic ")
    assert KEY not in str(caught)


def test_a_key_besides_credentials_in_the_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelServer(f"http://user:{KEY}@127.0.0.1:1", api_key="other")

    assert KEY not in str(caught.value)


async def test_answers_that_are_right_pass(ask: Ask) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/rerank"):
            return web.json_response(rerank_results([2.5]))
        return web.json_response(chat_answer("an answer"))

    async with serving(handler) as url:
        server = ModelServer(url)
        assert await ask(server, Deadline.after_ms(2000))
        await server.close()
