"""POST /v1/search on real parts: what comes back, and what bad input gets."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.api.app import create_app
from searchsvc.api.wire import Problem, SearchReply
from searchsvc.model import SearchRequest
from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime

SEARCH = "/v1/search"


NAMES = [
    *("query", "size", "from", "filters", "expansion", "rerank", "fields", "facets", "sort", "collapse", "highlight"),
    *("cursor", "lang", "tags", "mode", "depth", "gte", "not", "exists", "es", "ranges"),
]
"""Keys of bodies that are nearly right."""


async def search(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post(SEARCH, json=body)

    assert reply.status_code == 200, reply.text
    SearchReply.model_validate(reply.json())
    return reply.json()


def assert_problem(reply: httpx.Response, status: int, pointer: str | None = None) -> dict[str, Any]:
    """Every error has the one shape, names the field and the next step."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    Problem.model_validate(body)
    assert body["status"] == status
    assert body["detail"]
    assert body["next_step"]
    if pointer is not None:
        assert pointer in [error["pointer"] for error in body["errors"]]
    return body


async def test_an_answer_explains_itself(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="网络不通", explain=True)

    first = reply["hits"][0]
    assert first["doc_id"] == "net"
    assert first["rank"] == 1
    assert first["score_kind"] == "blend"
    assert first["retrieval"]["rank"] == 1
    assert first["movement"] == 0
    assert "<em>" in first["snippet"]
    retrieval, words, vectors = first["explanation"]["details"]
    assert first["score"] == pytest.approx(words["value"] + vectors["value"])
    mixture = retrieval["details"][0]
    assert mixture["description"] == "mixture 0.3 of the original query and 3 terms by neighbours, rank 1"
    terms = [each["value"] for each in mixture["details"] if each["description"].startswith("term ")]
    assert mixture["value"] == pytest.approx(sum(terms))
    base = mixture["details"][-1]
    assert base["description"] == "bm25 of the original query, rank 1"
    assert base["value"] == pytest.approx(first["retrieval"]["score"])
    assert [stage["stage"] for stage in reply["stages"]] == ["retrieve", "expand", "retrieve_expanded", "rerank"]
    assert reply["degraded"] == []
    assert reply["expansion"]["method"] == "neighbours"
    assert reply["total"] == {"value": 1, "relation": "eq"}


async def test_expansion_finds_the_other_language(client: httpx.AsyncClient) -> None:
    plain = await search(client, query="网络不通", expansion="off")
    expanded = await search(client, query="网络不通", expansion="on")

    assert [hit["doc_id"] for hit in plain["hits"]] == ["net"]
    assert "dns" in [hit["doc_id"] for hit in expanded["hits"]]
    new = next(hit for hit in expanded["hits"] if hit["doc_id"] == "dns")
    assert (new["retrieval"], new["movement"]) == (None, None)


async def test_the_source_is_the_document_as_it_was_loaded(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="resolution", expansion="off")

    assert reply["hits"][0]["source"] == {
        "title": "DNS resolution fails",
        "text": "The network is up but names are not resolved: look at /etc/resolv.conf.",
        "lang": "en",
        "tags": ["linux", "dns"],
        "url": "https://example.org/dns",
        "updated_at": "2025-06-01T00:00:00Z",
        "product": {"version": 3},
    }


async def test_the_snippet_is_raw_text_with_marks(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="null reference", expansion="off")

    snippet = reply["hits"][0]["snippet"]
    assert "<em>null</em>" in snippet
    assert "[/b] Read the stack trace & fix it" in snippet.replace("<em>", "").replace("</em>", "")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"lang": "en"}, {"dns", "npe"}),
        ({"tags": ["java", "dns"]}, {"dns", "npe"}),
        ({"tags": "linux", "lang": "zh"}, {"net"}),
        ({"updated_at": {"gte": "2025-03-01"}}, {"dns"}),
        ({"updated_at": {"lt": "2025-06-01T00:00:00Z"}}, {"net"}),
        ({"doc_id": "npe"}, {"npe"}),
        ({"url": "https://example.org/dns"}, {"dns"}),
        ({"lang": "fr"}, set()),
    ],
)
async def test_filters_hold_in_every_stage(client: httpx.AsyncClient, filters, found) -> None:
    reply = await search(client, query="网络 network null names java", filters=filters, expansion="on")

    assert {hit["doc_id"] for hit in reply["hits"]} == found


async def test_pages_of_one_window_neither_overlap_nor_leave_gaps(client: httpx.AsyncClient) -> None:
    query = "网络 network null docker"
    whole = await search(client, query=query)
    pages = [await search(client, query=query, size=1, **{"from": start}) for start in range(4)]

    assert [page["hits"][0]["doc_id"] for page in pages] == [hit["doc_id"] for hit in whole["hits"]]
    assert [page["hits"][0]["rank"] for page in pages] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("value", "decision", "reason"),
    [
        ("off", "skipped", "off"),
        ("on", "expanded", "on"),
        ("neighbours", "expanded", "on"),
        ({"method": "neighbours", "form": "mixture", "weight": 0.3, "terms": 3}, "expanded", "on"),
        ("auto", "expanded", "auto"),
    ],
)
async def test_expansion_does_what_was_asked(client: httpx.AsyncClient, value, decision, reason) -> None:
    reply = await search(client, query="网络 连接", expansion=value)

    assert (reply["expansion"]["decision"], reply["expansion"]["reason"]) == (decision, reason)
    if isinstance(value, dict):
        assert sum(term["kept"] for term in reply["expansion"]["terms"]) <= 3
        assert reply["expansion"]["form"] == "mixture"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"query": ""}, "/query"),
        ({"query": " \t\n"}, "/query"),
        ({"query": "\x00"}, "/query"),
        ({"query": "a" * 100_000}, "/query"),
        ({"query": 7}, "/query"),
        ({}, "/query"),
        ({"query": "a", "qurey": "b"}, "/qurey"),
        ({"query": "a", "size": -1}, "/size"),
        ({"query": "a", "size": "ten"}, "/size"),
        ({"query": "a", "size": 30, "from": 30}, "/size"),
        ({"query": "a", "size": 20, "rerank": {"depth": 10}}, "/size"),
        ({"query": "a", "rerank": {"depth": 201}}, "/rerank/depth"),
        ({"query": "a", "rerank": "maybe"}, "/rerank"),
        ({"query": "a", "rerank": {"query": "both", "dpeth": 3}}, "/rerank/dpeth"),
        ({"query": "a", "expansion": "nope"}, "/expansion"),
        ({"query": "a", "expansion": {"form": "nope"}}, "/expansion/form"),
        ({"query": "a", "expansion": {"weight": 2}}, "/expansion/weight"),
        ({"query": "a", "filters": {"nope": "x"}}, "/filters/nope"),
        ({"query": "a", "filters": {"lang": {"gte": "a"}}}, "/filters/lang"),
        ({"query": "a", "filters": {"lang": []}}, "/filters/lang"),
        ({"query": "a", "filters": {"updated_at": {}}}, "/filters/updated_at"),
        ({"query": "a", "filters": {"updated_at": {"gte": "yesterday"}}}, "/filters/updated_at"),
        ({"query": "a", "filters": {"updated_at": {"from": "2025"}}}, "/filters/updated_at/from"),
        ({"query": "a", "filters": {"lang": 3}}, "/filters/lang"),
        ({"query": "a", "filters": "lang:en"}, "/filters"),
        ({"query": "a", "timeout_ms": 0}, "/timeout_ms"),
        ({"query": "a", "explain": "perhaps"}, "/explain"),
        ({"query": "a", "size": True}, "/size"),
        ({"query": "a", "size": "10"}, "/size"),
        ({"query": "a", "from_": 1}, "/from_"),
        ({"query": "a", "a[0]": 1}, "/a[0]"),
        ({"query": "a", "str": 1}, "/str"),
        ({"query": "a", "xBody": 1}, "/xBody"),
        ({"query": "a", "a/b~c": 1}, "/a~1b~0c"),
        ({"query": "a", "filters": {"str": 7}}, "/filters/str"),
        ({"query": "a", "filters": {"\ud800": "x"}}, None),
        ({"query": "a", "expansion": {"str": 1}}, "/expansion/str"),
        ({"query": "a", "expansion": "x" * 65}, "/expansion"),
        ({"query": "a", "filters": {"tags": ["x"] * 1025}}, "/filters/tags"),
        ({"query": "a", "filters": {"tags": ["ok", None]}}, "/filters/tags/1"),
        ({"query": "a", "filters": {"updated_at": {"gte": "0001-01-01T00:00:00+23:59"}}}, "/filters/updated_at"),
        ({"query": "a", "filters": {"updated_at": "2026-01-31T12:00:00+01:00:30"}}, "/filters/updated_at"),
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field(client: httpx.AsyncClient, body, pointer) -> None:
    content = json.dumps(body).encode()  # escapes what cannot be sent as UTF-8

    reply = await client.post(SEARCH, content=content, headers={"Content-Type": "application/json"})

    assert_problem(reply, 422, pointer)


async def test_a_page_beyond_the_window_names_depth(client: httpx.AsyncClient) -> None:
    body = assert_problem(await client.post(SEARCH, json={"query": "a", "size": 60}), 422)

    assert "depth" in body["detail"]
    assert "rerank.depth" in body["next_step"]


async def test_an_unknown_index_names_those_that_there_are(client: httpx.AsyncClient) -> None:
    body = assert_problem(await client.post(SEARCH, json={"query": "a", "index": "document"}), 404, "/index")

    assert "documents" in body["detail"] + body["next_step"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"query": "a"', 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"a"', 422),
        (b'{"query": "\\ud800"}', 422),
        (b'{"query": "a\\ud800b", "filters": {"lang": "\\udfff"}}', 422),
        (b"", 422),
    ],
)
async def test_broken_bodies_are_refused(client: httpx.AsyncClient, content: bytes, status: int) -> None:
    reply = await client.post(SEARCH, content=content, headers={"Content-Type": "application/json"})

    assert_problem(reply, status)


@pytest.mark.parametrize(
    "query",
    [
        "网络\x00不通",
        "[/b] <|im_end|> <think>",
        "a OR b AND (c* \\ ~2 ^5 _exists_:x",
        "???",
        "\u202e\u200b网络",
        "😀 𠮷野家",
        "ﷺ" * 100,
        "the " * 2000,
    ],
)
async def test_strange_queries_are_answered(client: httpx.AsyncClient, query: str) -> None:
    reply = await search(client, query=query)

    assert reply["degraded"] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=4,
            )
        ),
        max_leaves=6,
    )
)
async def test_no_body_breaks_the_service(client: httpx.AsyncClient, body: Any) -> None:
    content = json.dumps(body).encode()

    reply = await client.post(SEARCH, content=content, headers={"Content-Type": "application/json"})

    if reply.status_code != 200:
        assert_problem(reply, reply.status_code)
    assert reply.status_code in (200, 403, 404, 422)


async def test_an_impossible_deadline_is_a_timeout_not_a_hang(client: httpx.AsyncClient) -> None:
    reply = await client.post(SEARCH, json={"query": "网络", "timeout_ms": 1})

    if reply.status_code != 200:
        assert_problem(reply, 504)


@pytest.mark.parametrize(
    "body",
    [
        {"query": "a", "filters": {"tags": [1] * 16_000}},
        {"query": "a", "filters": {f"k{number}": None for number in range(16_000)}},
        {"query": "a", "facets": [None] * 16_000},
        {"query": "a", "sort": [{}] * 16_000},
        {"query": "a", **{f"k{number}": 1 for number in range(4000)}},
    ],
)
async def test_thousands_of_mistakes_take_no_time_and_fill_no_reply(client: httpx.AsyncClient, body) -> None:
    started = time.perf_counter()
    problem = assert_problem(await client.post(SEARCH, json=body), 422)

    assert time.perf_counter() - started < 1
    assert len(problem["errors"]) <= 20


async def test_a_huge_body_is_refused(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post(SEARCH, json={"query": "a" * 2_000_000}), 413)


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post(SEARCH, content=b'{"query": "a"}', headers={"Content-Type": "text/plain"}), 415)


async def test_a_slash_too_many_is_not_redirected(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post(f"{SEARCH}/", json={"query": "a"}), 404)


class _Slow:
    """A service whose search takes long, and which knows whether it was stopped."""

    stopped = False

    async def search(self, _: SearchRequest) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.stopped = True
            raise


async def test_a_search_is_stopped_when_its_client_goes_away(data_dir: Path) -> None:
    service = _Slow()
    messages = [
        {"type": "http.request", "body": b'{"query": "a"}', "more_body": False},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.05 if len(messages) == 1 else 0)
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": SEARCH,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    async with open_runtime(Settings(data_dir=data_dir)) as runtime:
        app = create_app(dataclasses.replace(runtime, service=service))
        async with asyncio.timeout(5):
            await app(scope, receive, send)

    assert service.stopped
    assert sent[0]["status"] == 499


async def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setattr("searchsvc.api.bodies.MAX_SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": SEARCH, "query_string": b"", "headers": []}
    async with open_runtime(Settings(data_dir=data_dir)) as runtime, asyncio.timeout(5):
        await create_app(runtime)(scope, receive, send)

    assert sent[0]["status"] == 408
