"""What a provider's refusals mean: configuration, this query, quota, weather; and what each provider is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    Overloaded,
    QueryRefused,
    QuotaExceeded,
    StageError,
)
from searchsvc.inference.chat import OpenAIChat
from searchsvc.inference.client import ModelServer
from searchsvc.inference.presets import Provider, preset_for
from searchsvc.inference.urls import is_external
from searchsvc.model import Deadline
from searchsvc.protocols import ChatReply
from tests.support.model_servers import Handler, chat_answer, serving

KEY = "sk-very-secret-8d1f"
MODERATION = {
    "error": {
        "code": "data_inspection_failed",
        "message": "Output data may contain inappropriate content.",
        "type": "data_inspection_failed",
        "param": None,
    }
}


def answers(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)

    return handler


async def ask(handler: Handler, *, provider: Provider = "auto", within_ms: float = 2000) -> ChatReply:
    async with serving(handler) as url:
        server = ModelServer(url, api_key=KEY)
        try:
            return await OpenAIChat(server, "some-model", provider).chat(
                [{"role": "user", "content": "a question"}],
                schema={"type": "object"},
                max_tokens=64,
                temperature=0.0,
                deadline=Deadline.after_ms(within_ms),
            )
        finally:
            await server.close()


async def refusal(handler: Handler, *, provider: Provider = "auto", within_ms: float = 2000) -> StageError:
    with pytest.raises(StageError) as caught:
        await ask(handler, provider=provider, within_ms=within_ms)
    return caught.value


def error(message: str, code: str | None = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


CONFIGURATION = [
    (401, error("Incorrect API key provided.", "invalid_api_key", "invalid_request_error")),
    (401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."}),
    (403, {"code": "AccessDenied.Unpurchased", "message": "Access to model denied."}),
    (403, error("Country, region, or territory not supported", "unsupported_country_region_territory")),
    (400, error("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage")),
    (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
    (403, error("The free tier of the model has been exhausted.", "AllocationQuota.FreeTierOnly")),
    (429, {"code": "PrepaidBillOverdue", "message": "The prepaid bill is overdue."}),
    (404, error("The model `nope` does not exist or you do not have access to it.", "model_not_found")),
    (402, error("Insufficient Balance", "invalid_request_error", "unknown_error")),
    (404, error("The model `nope` does not exist. Valid aliases: qwen.", None, "NotFoundError")),
]
QUERY = [
    (400, MODERATION),
    (400, {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
    (400, error("The response was filtered.", "content_filter")),
    (400, error("This model's maximum context length is 8192 tokens.", "context_length_exceeded")),
    (400, {"error": {"message": "This model's maximum context length is 4096 tokens.", "code": 400}}),
    (413, "<html>Request Entity Too Large</html>"),
    (400, error("the request exceeds the available context size", None, "exceed_context_size_error")),
    (400, error("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]")),
]
QUOTA = [
    (429, error("You exceeded your current requests list", "limit_requests", "limit_requests"), "limit_requests"),
    (429, error("You exceeded your current quota", "insufficient_quota"), "insufficient_quota"),
    (429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded."}, "Throttling.RateQuota"),
    (429, error("Rate limit reached on tokens per min (TPM): Limit 30000", "rate_limit_exceeded"), "TPM"),
    (403, error("Allocated quota exceeded", "Throttling.AllocationQuota"), "Throttling.AllocationQuota"),
    (429, "slow down", "slow down"),
]


@pytest.mark.parametrize(("status", "body"), CONFIGURATION)
@pytest.mark.parametrize("provider", ["auto", "dashscope", "openai", "vllm"])
async def test_configuration(status: int, body: Any, provider: Provider) -> None:
    caught = await refusal(answers(status, body), provider=provider)

    assert isinstance(caught, BackendRejected)
    assert caught.hint


@pytest.mark.parametrize(("status", "body"), QUERY)
async def test_this_query(status: int, body: Any) -> None:
    assert type(await refusal(answers(status, body))) is QueryRefused


@pytest.mark.parametrize(("status", "body", "limit"), QUOTA)
async def test_quota_names_the_limit(status: int, body: Any, limit: str) -> None:
    caught = await refusal(answers(status, body))

    assert isinstance(caught, QuotaExceeded)
    assert limit in caught.message


@pytest.mark.parametrize(
    ("status", "kind"), [(500, BackendUnavailable), (502, BackendUnavailable), (408, BackendTimeout), (503, Overloaded)]
)
async def test_weather(status: int, kind: type[StageError]) -> None:
    caught = await refusal(answers(status, error("bad luck", "internal_error")))

    assert type(caught) is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "9" * 400}, 86_400.0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_read(headers: Mapping[str, str], seconds: float | None, status: int) -> None:
    caught = await refusal(answers(status, error("later"), headers))

    assert isinstance(caught, Overloaded)
    assert caught.retry_after_s == seconds


async def test_retry_after_may_be_a_date() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    caught = await refusal(answers(429, error("later"), {"Retry-After": then}))

    assert isinstance(caught, Overloaded)
    assert caught.retry_after_s == pytest.approx(90, abs=3)


async def test_insufficient_quota_is_money_with_openai_and_a_limit_elsewhere() -> None:
    body = error("You exceeded your current quota", "insufficient_quota")

    assert "credit" in (await refusal(answers(429, body), provider="openai")).hint
    assert "--tpm" in (await refusal(answers(429, body), provider="dashscope")).hint


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (MODERATION, QueryRefused),
        (error("You exceeded your current requests list", "limit_requests"), QuotaExceeded),
        ({"code": "Arrearage", "message": "Access denied."}, BackendRejected),
        ({"error": {"message": "Provider returned error", "code": 502}}, BackendUnavailable),
        ({"error": {"message": "No auth credentials found", "code": 401}}, BackendRejected),
        ({"error": {"message": "Rate limited", "code": 429}}, QuotaExceeded),
        ({"error": "something"}, BadModelOutput),
        ({"error": {"message": "something"}, "choices": []}, BadModelOutput),
    ],
)
async def test_an_error_that_came_with_200_means_what_it_says(body: Any, kind: type[StageError]) -> None:
    assert isinstance(await refusal(answers(200, body)), kind)


async def test_an_answer_that_says_error_null_is_an_answer() -> None:
    reply = await ask(answers(200, {**chat_answer("text"), "error": None}))

    assert reply.text == "text"


@pytest.mark.parametrize("content", ["", None])
async def test_a_filtered_answer_refuses_the_query(content: str | None) -> None:
    assert type(await refusal(answers(200, chat_answer(content, finish_reason="content_filter")))) is QueryRefused


@pytest.mark.parametrize("body", ["<html><h1>Welcome</h1></html>", '{"choices": [{"mess', "[]", ""])
async def test_html_and_cut_json_are_bad_output(body: str) -> None:
    assert type(await refusal(answers(200, body))) is BadModelOutput


async def test_a_megabyte_of_text_is_bad_output() -> None:
    caught = await refusal(answers(200, chat_answer("word " * 200_000)))

    assert type(caught) is BadModelOutput
    assert len(caught.message) < 400


async def test_a_slow_server_is_left_in_time() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    assert type(await refusal(handler, within_ms=100)) is BackendTimeout


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
async def test_the_key_is_in_no_message_and_no_log(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caught = await refusal(answers(status, error(f"you sent Bearer {KEY}", f"code-{KEY}", KEY)))

    told = "".join(traceback.format_exception(caught)) + caught.hint + caplog.text + repr(vars(caught))
    assert KEY not in told


@pytest.mark.parametrize(
    ("provider", "thinking", "bound"),
    [
        ("dashscope", {"enable_thinking"}, "max_tokens"),
        ("vllm", {"chat_template_kwargs"}, "max_tokens"),
        ("openai", set(), "max_completion_tokens"),
        ("generic", {"enable_thinking", "chat_template_kwargs"}, "max_tokens"),
        ("auto", {"enable_thinking", "chat_template_kwargs"}, "max_tokens"),
    ],
)
async def test_each_provider_is_asked_in_its_own_way(provider: Provider, thinking: set[str], bound: str) -> None:
    bodies: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return web.json_response(chat_answer("text"))

    await ask(handler, provider=provider)

    assert {"enable_thinking", "chat_template_kwargs"} & bodies[0].keys() == thinking
    assert bodies[0][bound] == 64
    assert {"max_tokens", "max_completion_tokens"} & bodies[0].keys() == {bound}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "openai"),
        ("https://notopenai.com/v1", "generic"),
        ("https://api.openai.com.example.org/v1", "generic"),
        ("http://127.0.0.1:8000", "generic"),
    ],
)
def test_the_provider_is_told_by_the_host(url: str, name: str) -> None:
    assert preset_for(URL(url)).name == name


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "10.1.2.3",
        "192.168.0.9",
        "172.16.4.4",
        "localhost",
        "vllm",
        "llm.internal",
        "a.local",
    ],
)
def test_private_hosts_are_not_external(host: str) -> None:
    assert not is_external(URL(f"http://{host}:8000/v1"))


@pytest.mark.parametrize(
    "host",
    [
        "dashscope.aliyuncs.com",
        "8.8.8.8",
        "[2001:4860:4860::8888]",
        "[::ffff:8.8.8.8]",
        "134744072",
        "localhost.example.com",
        "api.openai.com.",
    ],
)
def test_other_hosts_are_external(host: str) -> None:
    assert is_external(URL(f"https://{host}/v1"))
