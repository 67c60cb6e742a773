"""Which methods a request may ask for, in which words, and what the answer says of each term."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


async def search(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post("/v1/search", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize(
    "expansion",
    [
        "neighbours+prf*0.5",
        {"method": "neighbours+prf*0.5"},
        {"methods": [{"name": "neighbours"}, {"name": "prf", "weight": 0.5}]},
    ],
)
async def test_several_methods_expand_together(client: httpx.AsyncClient, expansion: Any) -> None:
    reply = await search(client, query="网络不通", expansion=expansion)

    assert reply["expansion"]["method"] == "neighbours+prf"
    (trace,) = [each for each in reply["stages"] if each["stage"] == "expand"]
    assert [(each["method"], each["share"]) for each in trace["methods"]] == [("neighbours", 1.0), ("prf", 0.5)]


async def test_the_lexicon_finds_the_other_language(client: httpx.AsyncClient) -> None:
    plain = await search(client, query="超时", expansion="off", rerank="off")

    reply = await search(client, query="超时", expansion="dictionary", rerank="off")

    assert "none" not in [hit["doc_id"] for hit in plain["hits"]]
    assert "none" in [hit["doc_id"] for hit in reply["hits"]]
    (term,) = [each for each in reply["expansion"]["terms"] if each["hits_alone"]]
    assert (term["source"], term["kept"], term["df"], term["hits_alone"]) == ("dictionary", True, 1, 1)


async def test_every_term_says_where_it_comes_from_and_what_became_of_it(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="null pointer", expansion="dictionary+neighbours")

    terms = reply["expansion"]["terms"]
    assert terms
    for term in terms:
        assert term["source"]
        assert term["source_text"]
        assert term["kept"] or term["reason"]
        assert (term["hits_alone"] is not None) == term["kept"]


async def test_shadow_answers_as_off_and_says_what_it_would_have_done(client: httpx.AsyncClient) -> None:
    plain = await search(client, query="网络不通", expansion="off")

    reply = await search(client, query="网络不通", expansion="shadow")

    assert [(hit["doc_id"], hit["score"]) for hit in reply["hits"]] == [
        (hit["doc_id"], hit["score"]) for hit in plain["hits"]
    ]
    assert reply["expansion"]["decision"] == "skipped"
    assert reply["expansion"]["reason"].startswith("shadow: it would be expanded")
    assert reply["expansion"]["terms"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expansion": "nope"}, "/expansion"),
        ({"expansion": "neighbours+nope"}, "/expansion"),
        ({"expansion": "prf+prf"}, "/expansion/method"),
        ({"expansion": "prf*0"}, "/expansion/method"),
        ({"expansion": "prf*x"}, "/expansion/method"),
        ({"expansion": {"method": "prf", "methods": [{"name": "prf"}]}}, "/expansion/methods"),
        ({"expansion": {"methods": [{"name": "prf", "weight": -1}]}}, "/expansion/methods/0/weight"),
        ({"expansion": {"methods": []}}, "/expansion/methods"),
        ({"expansion": "recorded"}, "/expansion"),
        ({"expansion": {"method": "prf", "file": "x.jsonl"}}, "/expansion/file"),
        ({"expansion": {"method": "prf", "run": "a/b"}}, "/expansion/run"),
        ({"expansion_wait": "forever"}, "/expansion_wait"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    reply = await client.post("/v1/search", json={"query": "网络不通", **body})

    assert reply.status_code == 422, reply.text
    assert pointer in [error["pointer"] for error in reply.json()["errors"]]
