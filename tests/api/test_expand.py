"""`POST /v1/expand`: terms, weights, document frequencies and drops of one query."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


async def expand(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post("/v1/expand", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_it_tells_what_a_search_would_add(client: httpx.AsyncClient) -> None:
    body = {"method": "neighbours+dictionary"}

    reply = await expand(client, query="网络不通", expansion=body)

    searched = (await client.post("/v1/search", json={"query": "网络不通", "expansion": body})).json()
    assert reply["decision"] == "expanded"
    assert reply["expanded_query"] == searched["expanded_query"]
    assert [(term["term"], term["weight"], term["df"], term["kept"], term["reason"]) for term in reply["terms"]] == [
        (term["term"], term["weight"], term["df"], term["kept"], term["reason"])
        for term in searched["expansion"]["terms"]
    ]
    assert {term["hits_alone"] for term in reply["terms"]} == {None}
    assert reply["stage"]["stage"] == "expand"


async def test_without_a_method_it_is_the_default_one(client: httpx.AsyncClient) -> None:
    assert (await expand(client, query="网络不通"))["method"] == "neighbours"


async def test_auto_says_why_a_query_is_left_alone(client: httpx.AsyncClient) -> None:
    reply = await expand(client, query="ORA-00942", expansion={"mode": "auto"})

    assert (reply["decision"], reply["reason"], reply["terms"]) == ("skipped", "identifier", [])
    assert (reply["stage"]["status"], reply["stage"]["reason"]) == ("skipped", "policySkipped")


async def test_feedback_reads_what_the_query_finds(client: httpx.AsyncClient) -> None:
    reply = await expand(client, query="DNS resolution", expansion={"method": "prf"})

    assert reply["terms"]
    assert {term["source"] for term in reply["terms"]} == {"prf"}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, "/query"),
        ({"query": " "}, 422, "/query"),
        ({"query": "x", "expansion": {"method": "nope"}}, 422, "/expansion"),
        ({"query": "x", "expansion": {"method": "recorded"}}, 422, "/expansion"),
        ({"query": "x", "expansion": {"file": "a.jsonl"}}, 422, "/expansion/file"),
        ({"query": "x", "expansion": {"prompt": "nope", "method": "llm"}}, 422, "/expansion"),
        ({"query": "x", "rerank": "on"}, 422, "/rerank"),
    ],
)
async def test_bad_input_names_the_field(client: httpx.AsyncClient, body, status: int, pointer: str) -> None:
    reply = await client.post("/v1/expand", json=body)

    assert reply.status_code == status
    assert pointer in [error["pointer"] for error in reply.json()["errors"]]


async def test_an_unknown_index_is_told_with_the_nearest_name(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/expand", json={"query": "x", "index": "document"})

    assert reply.status_code == 404
    assert "documents" in reply.json()["next_step"]
