"""A search whose chat endpoint misbehaves: the base answer is there in time, and the stage says what was wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from searchsvc.cli.warming import warming
from searchsvc.errors import ConfigurationError, Reason
from searchsvc.expansion.guard.breaker import IN_A_ROW
from searchsvc.model import ExpansionOptions, MethodShare, Mode, SearchRequest
from searchsvc.result import SearchResult, StageStatus, StageTrace
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime
from tests.support.embedded import SUPPORT_ARTICLES
from tests.support.model_servers import chat_answer, serving

KEY = "sk-very-secret-8d1f"
COMPLETION = json.dumps({"completion": "restart the router, check the network cable and the gateway"})


@dataclass
class Endpoint:
    """Answers with `status` and `body` after `delay_s`; keeps what it was asked."""

    status: int = 200
    body: Any = field(default_factory=lambda: chat_answer(COMPLETION))
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        await asyncio.sleep(self.delay_s)
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=text, headers=self.headers, content_type="application/json")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@asynccontextmanager
async def runtime_with(url: str, data_dir: Path, **expander: Any) -> AsyncIterator[Runtime]:
    group = {"url": url, "model": "qwen", "api_key": KEY, **expander}
    async with open_runtime(Settings(data_dir=data_dir, expander=group)) as runtime:
        if "articles" not in await runtime.engine.names():
            await runtime.engine.admin.load("articles", SUPPORT_ARTICLES, progress=lambda _: None)
        yield runtime


async def search(runtime: Runtime, user_query: str = "broken network", *, timeout_ms: int = 2000) -> SearchResult:
    options = ExpansionOptions(mode=Mode.ON, methods=(MethodShare(name="llm"),))
    request = SearchRequest(
        query_id="q", user_query=user_query, index="articles", expansion=options, timeout_ms=timeout_ms
    )
    return await runtime.service.search(request)


def expansion_of(result: SearchResult) -> StageTrace:
    return next(trace for trace in result.stages if trace.stage.startswith("expan"))


MODERATION = {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}}
MISBEHAVIOUR: list[tuple[str, Endpoint, Reason]] = [
    (
        "401",
        Endpoint(401, {"error": {"message": f"Incorrect API key {KEY}.", "code": "invalid_api_key"}}),
        Reason.REJECTED,
    ),
    ("arrears", Endpoint(400, {"code": "Arrearage", "message": "Access denied."}), Reason.REJECTED),
    (
        "unknown model",
        Endpoint(404, {"error": {"message": "no such model", "code": "model_not_found"}}),
        Reason.REJECTED,
    ),
    (
        "429",
        Endpoint(429, {"error": {"message": "slow", "code": "limit_requests"}}, {"Retry-After": "9"}),
        Reason.QUOTA_EXCEEDED,
    ),
    ("moderation", Endpoint(400, MODERATION), Reason.QUERY_REFUSED),
    (
        "too long",
        Endpoint(400, {"error": {"message": "This model's maximum context length is 9"}}),
        Reason.QUERY_REFUSED,
    ),
    ("500", Endpoint(500, {"error": {"message": "engine died"}}), Reason.TRANSIENT),
    ("503", Endpoint(503, "busy"), Reason.CAPACITY_OVERLOADED),
    ("200 with an error", Endpoint(200, MODERATION), Reason.QUERY_REFUSED),
    ("200 with a code", Endpoint(200, {"error": {"message": "upstream", "code": 502}}), Reason.TRANSIENT),
    ("HTML", Endpoint(200, "<html><h1>Sign in</h1></html>"), Reason.BAD_MODEL_OUTPUT),
    ("cut JSON", Endpoint(200, json.dumps(chat_answer(COMPLETION))[:-40]), Reason.BAD_MODEL_OUTPUT),
    (
        "cut completion",
        Endpoint(200, chat_answer('{"completion": "res', finish_reason="length")),
        Reason.BAD_MODEL_OUTPUT,
    ),
    ("1 MB", Endpoint(200, chat_answer("router " * 150_000)), Reason.BAD_MODEL_OUTPUT),
    ("empty", Endpoint(200, chat_answer("")), Reason.BAD_MODEL_OUTPUT),
    ("filtered", Endpoint(200, chat_answer("", finish_reason="content_filter")), Reason.QUERY_REFUSED),
]


@pytest.mark.parametrize(
    ("endpoint", "reason"), [case[1:] for case in MISBEHAVIOUR], ids=[case[0] for case in MISBEHAVIOUR]
)
async def test_what_was_wrong_is_told_and_the_base_answer_given(
    endpoint: Endpoint, reason: Reason, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(endpoint) as url, runtime_with(url, data_dir) as runtime:
        result = await search(runtime)

    trace = expansion_of(result)
    assert (trace.status, trace.reason) == (StageStatus.DEGRADED, reason)
    assert trace.message
    assert result.hits[0].candidate.doc_id == "dns"
    assert KEY not in repr(result) + caplog.text


async def test_an_endpoint_that_is_down(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with runtime_with(f"http://127.0.0.1:{taken.getsockname()[1]}", data_dir) as runtime:
            reasons = [expansion_of(await search(runtime, f"network {n}")).reason for n in range(IN_A_ROW + 1)]

    assert reasons == [Reason.TRANSIENT] * IN_A_ROW + [Reason.CIRCUIT_OPEN]


async def test_a_slow_endpoint_is_pending_and_serves_the_next_search(data_dir: Path) -> None:
    endpoint = Endpoint(delay_s=0.6)
    async with serving(endpoint) as url, runtime_with(url, data_dir) as runtime:
        await search(runtime, "warm", timeout_ms=50)  # dictionaries are read once a process
        started = time.monotonic()
        late = await search(runtime, timeout_ms=200)
        took_s = time.monotonic() - started
        await _until(lambda: runtime.chat is not None and runtime.chat.stats()["cached"] == 2)
        served = await search(runtime, timeout_ms=2000)

    assert (expansion_of(late).status, expansion_of(late).reason) == (StageStatus.PENDING, Reason.EXPANSION_LATE)
    assert late.degraded == ()
    assert took_s < 0.6
    assert expansion_of(served).status is StageStatus.OK
    assert len(endpoint.asked) == 2


async def test_a_quota_leaves_the_endpoint_alone(data_dir: Path) -> None:
    endpoint = Endpoint(429, {"error": {"message": "slow down", "code": "limit_requests"}}, {"Retry-After": "9"})
    async with serving(endpoint) as url, runtime_with(url, data_dir) as runtime:
        traces = [expansion_of(await search(runtime, f"network {n}")) for n in range(3)]

    assert [trace.reason for trace in traces] == [Reason.QUOTA_EXCEEDED] * 3
    assert all("limit_requests" in trace.message for trace in traces)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("status", "calls", "arrived"), [(502, 2, True), (504, 2, True), (503, 1, False), (429, 1, False)]
)
async def test_what_a_gateway_says_in_passing_is_asked_once_more(
    status: int, calls: int, arrived: bool, data_dir: Path
) -> None:
    asked: list[str] = []

    async def once(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response(chat_answer(COMPLETION), status=status if len(asked) == 1 else 200)

    async with serving(once) as url, runtime_with(url, data_dir) as runtime:
        result = await search(runtime)

    assert len(asked) == calls
    assert (expansion_of(result).status is StageStatus.OK) == arrived


async def test_many_searches_for_the_same_share_one_call(data_dir: Path) -> None:
    endpoint = Endpoint(delay_s=0.05)
    async with serving(endpoint) as url, runtime_with(url, data_dir) as runtime:
        results = await asyncio.gather(*(search(runtime) for _ in range(8)))

    assert {expansion_of(result).status for result in results} == {StageStatus.OK}
    assert len(endpoint.asked) == 1


async def test_completions_in_a_file_outlive_the_service(tmp_path: Path) -> None:
    endpoint = Endpoint()
    async with serving(endpoint) as url:
        for _ in range(2):
            async with runtime_with(url, tmp_path, cache="sqlite") as runtime:
                assert expansion_of(await search(runtime)).status is StageStatus.OK

    assert len(endpoint.asked) == 1


async def test_a_forbidden_external_endpoint_is_sent_nothing(data_dir: Path) -> None:
    async with runtime_with(
        "https://dashscope.aliyuncs.com/compatible-mode/v1", data_dir, external="forbid"
    ) as runtime:
        trace = expansion_of(await search(runtime))

    assert (trace.status, trace.reason) == (StageStatus.DEGRADED, Reason.EXTERNAL_FORBIDDEN)


async def test_a_loopback_endpoint_is_not_external(data_dir: Path) -> None:
    endpoint = Endpoint()
    async with serving(endpoint) as url, runtime_with(url, data_dir, external="forbid") as runtime:
        await search(runtime, "network of someone@example.com")

    assert "someone@example.com" in json.dumps(endpoint.asked[0])


async def test_serving_fetches_the_completions_of_a_query_log(tmp_path: Path, data_dir: Path) -> None:
    log = tmp_path / "queries.txt"
    log.write_text("broken network\nforgotten password\nbroken network\n", "utf-8")
    endpoint = Endpoint()
    async with serving(endpoint) as url, runtime_with(url, data_dir, warm_up=log, warm_up_rpm=6000) as runtime:
        chat = runtime.chat
        assert chat is not None
        async with warming(runtime):
            await _until(lambda: chat.stats()["cached"] == 2)
        await search(runtime, "Broken network")

    assert len(endpoint.asked) == 2
    assert chat.stats()["hits"] == 1


async def test_a_query_log_without_a_chat_model_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "queries.txt"
    log.write_text("broken network\n", "utf-8")
    async with open_runtime(Settings(data_dir=tmp_path, expander={"warm_up": log})) as runtime:
        with pytest.raises(ConfigurationError, match="no chat model"):
            async with warming(runtime):
                raise AssertionError


async def test_closing_while_a_call_is_under_way_ends_it(data_dir: Path) -> None:
    endpoint = Endpoint(delay_s=30)
    started = time.monotonic()
    async with serving(endpoint) as url, runtime_with(url, data_dir) as runtime:
        await search(runtime, timeout_ms=100)

    assert time.monotonic() - started < 5


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
