"""Fields, facets, order, pages and wider filters over HTTP, on the embedded engine; and what bad ones get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime
from tests.api.conftest import DOCUMENTS, asking
from tests.api.test_search import SEARCH, assert_problem, search

EVERY = "网络 network null docker"
"""Matches all documents."""
ALL = {document.doc_id for document in DOCUMENTS}


def ids(reply: dict[str, Any]) -> list[str]:
    return [hit["doc_id"] for hit in reply["hits"]]


def counts(reply: dict[str, Any], field: str) -> dict[str, int]:
    return {each["value"]: each["count"] for each in reply["facets"][field]["values"]}


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        (["url"], {"url": "https://example.org/dns"}),
        (["lang", "product.version"], {"lang": "en", "product": {"version": 3}}),
        (["product"], {"product": {"version": 3}}),
        (["nothing", "title.raw"], {}),
        ([], {}),
    ],
)
async def test_only_the_fields_that_were_asked_for_come_back(client: httpx.AsyncClient, fields, source) -> None:
    reply = await search(client, query="resolution", expansion="off", fields=fields)

    assert reply["hits"][0]["source"] == source
    assert reply["hits"][0]["title"] == "DNS resolution fails"


async def test_facets_count_values_most_frequent_first(client: httpx.AsyncClient) -> None:
    reply = await search(client, query=EVERY, facets=["tags", "lang"])

    assert list(reply["facets"]) == ["tags", "lang"]
    assert counts(reply, "tags") == {"linux": 2, "network": 1, "dns": 1, "java": 1}
    assert reply["facets"]["tags"]["values"][0] == {"value": "linux", "count": 2}
    assert (reply["facets"]["tags"]["kind"], reply["facets"]["tags"]["other"]) == ("terms", 0)
    assert counts(reply, "lang")["en"] == 2


async def test_a_facet_tells_how_many_values_it_leaves_out(client: httpx.AsyncClient) -> None:
    reply = await search(client, query=EVERY, facets={"tags": {"size": 1}})

    assert reply["facets"]["tags"]["values"] == [{"value": "linux", "count": 2}]
    assert reply["facets"]["tags"]["other"] == 3


async def test_ranges_are_counted_in_the_order_of_the_request(client: httpx.AsyncClient) -> None:
    ranges = [{"gte": "2025-06-01"}, {"lt": "2025-06-01"}, {"gt": "2025-06-01T00:00:00Z"}]

    reply = await search(client, query=EVERY, facets={"updated_at": {"ranges": ranges}})

    facet = reply["facets"]["updated_at"]
    assert facet["kind"] == "ranges"
    assert facet["values"] == [{**bounds, "count": count} for bounds, count in zip(ranges, (1, 1, 0), strict=True)]


async def test_facets_are_those_of_the_original_query_whatever_comes_after_it(client: httpx.AsyncClient) -> None:
    plain = await search(client, query="网络不通", expansion="off", rerank="off", facets=["tags"])
    full = await search(client, query="网络不通", expansion="on", facets=["tags"])
    none = await search(client, query="网络不通", expansion="on", facets=["tags"], size=0)

    assert counts(plain, "tags") == {"linux": 1, "network": 1}
    assert len(full["hits"]) > len(plain["hits"])
    assert plain["facets"] == full["facets"] == none["facets"]
    assert none["hits"] == []


async def test_facets_see_what_the_filters_leave(client: httpx.AsyncClient) -> None:
    reply = await search(client, query=EVERY, filters={"lang": "en"}, facets=["tags"])

    assert counts(reply, "tags") == {"linux": 1, "dns": 1, "java": 1}


async def test_a_facet_without_a_match_is_empty(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="zzzz", expansion="off", facets=["tags"])

    assert reply["facets"] == {"tags": {"kind": "terms", "values": [], "other": 0, "error": 0}}


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ([{"updated_at": "desc"}, {"doc_id": "desc"}], ["dns", "net"], ["npe", "none"]),
        (["updated_at", "doc_id"], ["net", "dns"], ["none", "npe"]),
        (["doc_id"], ["dns", "net"], ["none", "npe"]),
    ],
)
async def test_hits_are_ordered_by_fields_and_those_without_a_value_come_last(
    client: httpx.AsyncClient, sort, first, last
) -> None:
    reply = await search(client, query=EVERY, sort=sort, expansion="on", rerank="on")

    assert ids(reply) == first + last
    assert [hit["rank"] for hit in reply["hits"]] == [1, 2, 3, 4]
    assert all(len(hit["sort"]) == len(sort) for hit in reply["hits"])


async def test_another_order_turns_expansion_and_reranking_off_visibly(client: httpx.AsyncClient) -> None:
    reply = await search(client, query=EVERY, sort=["doc_id"], expansion="on")

    stages = {stage["stage"]: stage for stage in reply["stages"]}
    assert (stages["expand"]["status"], stages["expand"]["reason"]) == ("skipped", "sortedByField")
    assert (stages["rerank"]["status"], stages["rerank"]["reason"]) == ("skipped", "sortedByField")
    assert reply["expansion"]["decision"] == "skipped"
    assert reply["degraded"] == []


@pytest.mark.parametrize("sort", ["relevance", []])
async def test_relevance_is_the_order_unless_another_is_asked_for(client: httpx.AsyncClient, sort) -> None:
    plain = await search(client, query=EVERY)
    asked = await search(client, query=EVERY, sort=sort)

    assert asked["hits"] == plain["hits"]
    assert "sort" not in asked["hits"][0]


@pytest.mark.parametrize("rerank", ["on", "off"])
async def test_one_document_stands_for_each_value_of_the_collapsed_field(client: httpx.AsyncClient, rerank) -> None:
    whole = await search(client, query="network names null", filters={"lang": "en"}, expansion="off", rerank=rerank)
    reply = await search(
        client, query="network names null", filters={"lang": "en"}, expansion="off", rerank=rerank, collapse="lang"
    )

    assert len(whole["hits"]) == 2
    assert len(reply["hits"]) == 1
    assert reply["total"]["value"] == 2


async def test_matched_words_of_the_asked_fields_are_marked(client: httpx.AsyncClient) -> None:
    reply = await search(
        client, query="resolution names", expansion="off", highlight=["title", "text", "tags"], fields=[]
    )

    first = reply["hits"][0]
    assert first["highlights"]["title"] == ["DNS <em>resolution</em> fails"]
    assert "<em>names</em>" in first["highlights"]["text"][0]
    assert "tags" not in first["highlights"]
    assert first["source"] == {}


async def test_without_being_asked_nothing_is_highlighted(client: httpx.AsyncClient) -> None:
    reply = await search(client, query="resolution", expansion="off")

    assert "highlights" not in reply["hits"][0]
    assert (reply["facets"], reply["next_cursor"]) == ({}, None)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"lang": {"not": "en"}}, {"net", "none"}),
        ({"tags": {"not": ["java", "dns"]}}, {"net", "none"}),
        ({"updated_at": {"not": {"gte": "2025-03-01"}}}, {"net", "npe", "none"}),
        ({"updated_at": {"exists": True}}, {"net", "dns"}),
        ({"updated_at": {"exists": False}}, {"npe", "none"}),
        ({"url": {"exists": True}}, {"dns"}),
        ({"tags": {"not": {"exists": True}}}, {"none"}),
        ({"tags": "linux", "lang": {"not": "zh"}}, {"dns"}),
    ],
)
async def test_filters_say_what_must_not_hold_and_what_exists(client: httpx.AsyncClient, filters, found) -> None:
    reply = await search(client, query=EVERY, filters=filters, expansion="on")

    assert set(ids(reply)) == found


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 50])
async def test_pages_behind_a_cursor_show_every_document_once(client: httpx.AsyncClient, size: int, depth: int) -> None:
    asked = {"query": EVERY, "rerank": {"depth": max(size, depth)}, "expansion": "off", "size": size}
    whole = await search(client, query=EVERY, expansion="off")

    pages = [await search(client, **asked, cursor="*")]
    while pages[-1]["next_cursor"] is not None:
        assert len(pages) < 9
        pages.append(await search(client, **asked, cursor=pages[-1]["next_cursor"]))

    shown = [hit for page in pages for hit in page["hits"]]
    assert sorted(hit["doc_id"] for hit in shown) == sorted(ALL)
    assert [hit["rank"] for hit in shown] == [1, 2, 3, 4]
    if depth == 50:
        assert [hit["doc_id"] for hit in shown] == ids(whole)


async def test_what_is_shown_may_change_from_page_to_page(client: httpx.AsyncClient) -> None:
    first = await search(client, query=EVERY, size=1, cursor="*", facets=["lang"])

    later = await search(
        client, query=EVERY, size=3, cursor=first["next_cursor"], fields=["lang"], highlight=["title"], explain=True
    )

    assert len(later["hits"]) == 3
    assert all(set(hit["source"]) <= {"lang"} and "highlights" in hit for hit in later["hits"])
    assert {stage["stage"] for stage in later["stages"]} >= {"retrieve", "expand", "rerank"}


@pytest.mark.parametrize(
    "change",
    [
        {"query": "docker"},
        {"filters": {"lang": "en"}},
        {"expansion": "on"},
        {"rerank": "off"},
        {"sort": ["doc_id"]},
        {"collapse": "lang"},
        {"cursor": "nonsense"},
        {"cursor": "eJw"},
        {"cursor": "\u0000"},
        {"cursor": "💥"},
    ],
)
async def test_a_cursor_belongs_to_its_search(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    first = await search(client, query=EVERY, size=1, cursor="*")
    body = {"query": EVERY, "size": 1, "cursor": first["next_cursor"], **change}

    problem = assert_problem(await client.post(SEARCH, json=body), 422, "/cursor")

    assert "*" in problem["next_step"]


def resolved(pointer: str, body: Any) -> Any:
    """What the JSON pointer leads to; fails where it leads nowhere."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        body = body[int(name)] if isinstance(body, list) else body[name]
    return body


DEEP: Any = {"term": {"lang": "en"}}
for _ in range(100):
    DEEP = {"bool": {"must": [DEEP]}}
BAD = [
    ({"fields": "title"}, "/fields"),
    ({"fields": [1]}, "/fields/0"),
    ({"fields": [""]}, "/fields/0"),
    ({"fields": ["x"] * 65}, "/fields"),
    ({"facets": "tags"}, "/facets"),
    ({"facets": None}, "/facets"),
    ({"facets": ["tags", 1]}, "/facets/1"),
    ({"facets": ["tags", "tgas"]}, "/facets/1"),
    ({"facets": {"tgas": {}}}, "/facets/tgas"),
    ({"facets": {"tags": []}}, "/facets/tags"),
    ({"facets": {"tags": {"size": 0}}}, "/facets/tags/size"),
    ({"facets": {"tags": {"size": 1001}}}, "/facets/tags/size"),
    ({"facets": {"tags": {"sise": 3}}}, "/facets/tags/sise"),
    ({"facets": {"tags": {"ranges": []}}}, "/facets/tags/ranges"),
    ({"facets": {"updated_at": {"ranges": [{"lt": "2025"}], "size": 3}}}, "/facets/updated_at"),
    ({"facets": {"updated_at": {"ranges": [{}]}}}, "/facets/updated_at/ranges/0"),
    ({"facets": {"updated_at": {"ranges": [{"from": "2025"}]}}}, "/facets/updated_at/ranges/0/from"),
    ({"facets": {"updated_at": {"ranges": [{"lt": "soon"}]}}}, "/facets/updated_at"),
    ({"facets": {"lang": {"ranges": [{"lt": "zh"}]}}}, "/facets/lang"),
    ({"facets": ["doc_id"]}, "/facets/0"),
    ({"facets": [f"f{number}" for number in range(33)]}, "/facets"),
    ({"sort": "updated_at"}, "/sort"),
    ({"sort": {"updated_at": "asc"}}, "/sort"),
    ({"sort": None}, "/sort"),
    ({"sort": [None]}, "/sort/0"),
    ({"sort": ["doc_id", "rank"]}, "/sort/1"),
    ({"sort": ["tags"]}, "/sort/0"),
    ({"sort": [{"updatedat": "desc"}]}, "/sort/0"),
    ({"sort": [{"updated_at": "down"}]}, "/sort/0/updated_at"),
    ({"sort": [{}]}, "/sort/0"),
    ({"sort": [{"doc_id": "asc", "lang": "asc"}]}, "/sort/0"),
    ({"sort": ["doc_id"] * 9}, "/sort"),
    ({"collapse": ["lang"]}, "/collapse"),
    ({"collapse": "tags"}, "/collapse"),
    ({"collapse": ""}, "/collapse"),
    ({"highlight": "title"}, "/highlight"),
    ({"highlight": ["title"] * 9}, "/highlight"),
    ({"cursor": ""}, "/cursor"),
    ({"cursor": 7}, "/cursor"),
    ({"cursor": "*", "from": 5}, "/from"),
    ({"cursor": "*", "size": 100}, "/size"),
    ({"filters": None}, "/filters"),
    ({"filters": []}, "/filters"),
    ({"filters": {"lang": None}}, "/filters/lang"),
    ({"filters": {"lang": True}}, "/filters/lang"),
    ({"filters": {"lang": ["en", 3]}}, "/filters/lang"),
    ({"filters": {"lang": ["en", ["zh"]]}}, "/filters/lang/1"),
    ({"filters": {"lang": {"not": None}}}, "/filters/lang"),
    ({"filters": {"lang": {"not": []}}}, "/filters/lang/not"),
    ({"filters": {"lang": {"not": {}}}}, "/filters/lang/not"),
    ({"filters": {"lang": {"not": {"not": "en"}}}}, "/filters/lang/not/not"),
    ({"filters": {"lang": {"not": "en", "exists": True}}}, "/filters/lang"),
    ({"filters": {"lang": {"exists": "yes"}}}, "/filters/lang/exists"),
    ({"filters": {"lang": {"exist": True}}}, "/filters/lang/exist"),
    ({"filters": {"updated_at": {"gte": "2025", "gt": "2025"}}}, "/filters/updated_at"),
    ({"filters": {"updated_at": {"gte": 5}}}, "/filters/updated_at"),
    ({"filters": {"updated_at": {"gte": ["2025"]}}}, "/filters/updated_at/gte"),
    ({"filters": {"updated_at": {"gte": False}}}, "/filters/updated_at/gte"),
    ({"filters": {"tags": float("nan")}}, "/filters/tags"),
    ({"filters": {"tags": float("inf")}}, "/filters/tags"),
    ({"filters": {"tags": 10**300}}, "/filters/tags"),
    ({"filters": {"<object>": None}}, None),
    ({"filters": {"": "x"}}, "/filters/"),
    ({"filters": {"x" * 300: "x"}}, "/filters/" + "x" * 300),
    ({"filters": {f"f{number}": "x" for number in range(33)}}, "/filters"),
    ({"filters": {"es": "lang:en"}}, "/filters/es"),
    ({"filters": {"es": {}}}, "/filters/es"),
    ({"filters": {"es": {"term": {"lang": "en"}, "match_all": {}}}}, "/filters/es"),
    ({"filters": {"es": {"term": {"price": float("inf")}}}}, "/filters/es"),
    ({"filters": {"es": {"term": {"price": 10**300}}}}, "/filters/es"),
    ({"filters": {"es": {"term": {"lang": "\ud800"}}}}, "/filters/es"),
    ({"filters": {"es": {"term": {"\ud800": "en"}}}}, "/filters/es"),
    ({"filters": {"es": DEEP}}, "/filters/es"),
]


@pytest.mark.parametrize(("part", "pointer"), BAD, ids=lambda value: str(value)[:60])
async def test_what_is_wrong_is_named_by_its_place_in_the_body(client: httpx.AsyncClient, part, pointer) -> None:
    body = {"query": "a", **part}
    content = json.dumps(body).encode()  # escapes what cannot be sent as UTF-8

    reply = await client.post(SEARCH, content=content, headers={"Content-Type": "application/json"})

    problem = assert_problem(reply, 422, pointer)
    assert len(reply.content) < 20_000
    if pointer is not None:
        for error in problem["errors"]:
            resolved(error["pointer"], body)
    for word in ("Body", "<object>", "<list>", "pydantic"):
        assert word not in problem["detail"] or "<object>" in str(part)


async def test_raw_filters_are_refused_until_an_operator_allows_them(client: httpx.AsyncClient) -> None:
    reply = await client.post(SEARCH, json={"query": "a", "filters": {"es": {"term": {"lang": "en"}}}})

    problem = assert_problem(reply, 403)
    assert "ALLOW_RAW_FILTERS" in problem["next_step"]


async def test_the_embedded_engine_has_no_raw_filters_even_where_they_are_allowed(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, api={"allow_raw_filters": True})
    async with open_runtime(settings) as runtime, asking(runtime) as client:
        if "documents" not in await runtime.engine.names():
            await runtime.engine.admin.load("documents", DOCUMENTS, progress=lambda _: None)
        reply = await client.post(SEARCH, json={"query": "a", "filters": {"es": {"term": {"lang": "en"}}}})

    assert_problem(reply, 422, "/filters/es")
