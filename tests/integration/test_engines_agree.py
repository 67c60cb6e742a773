"""The same corpus in both engines: the same answers, scores and snippets, and the same account of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from searchsvc.api.convert import to_reply, to_request
from searchsvc.api.wire import SearchBody
from searchsvc.demo import demo_documents, demo_queries
from searchsvc.documents import Document
from searchsvc.model import Deadline, Exists, WeightedQuery
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime
from tests.support.elastic import delete_indices, own_name
from tests.support.requests import wanted

pytestmark = [pytest.mark.es, pytest.mark.slow]


EDGES = (
    Document(doc_id="edge-1", text="edge memory", lang="", url="", tags=("", "docker")),
    Document(doc_id="edge-2", text="edge memory"),
    Document(doc_id="Edge-3", text="edge memory", lang="zh", updated_at="1969-12-31T23:59:59.999+00:00"),
    Document(doc_id="边", text="edge", url="https://x/" + "long" * 3000, tags=("t" * 9000,), updated_at="2026-W05-1"),
    Document(doc_id="edge-4", text="edge", lang="😀", url="https://x/\n", updated_at="2026-01-26T08:00:00.0009+08:00"),
)
"""Values that are empty, missing, longer than a keyword may be, or written in an unusual way."""


def _documents() -> list[Document]:
    return [*demo_documents(), *EDGES]


@pytest.fixture(scope="module")
def index(es_url: str) -> Iterator[str]:
    name = own_name()
    yield name
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agree")


@pytest.fixture
async def engines(es_url: str, data_dir: Path, index: str) -> AsyncIterator[tuple[Runtime, Runtime]]:
    both = (
        Settings(engine="embedded", data_dir=data_dir),
        Settings(engine="elasticsearch", elasticsearch={"url": es_url}),
    )
    async with AsyncExitStack() as stack:
        runtimes = [await stack.enter_async_context(open_runtime(settings)) for settings in both]
        for runtime in runtimes:
            if index not in await runtime.engine.names():
                await runtime.engine.admin.load(index, _documents(), progress=lambda _: None)
        yield runtimes[0], runtimes[1]


async def _search(runtime: Runtime, index: str, query: str, **more: Any) -> dict[str, Any]:
    body = SearchBody.model_validate({"query": query, "index": index, "expansion": "off", "rerank": "off", **more})
    return to_reply(await runtime.service.search(to_request(body)))


@pytest.mark.slow
async def test_both_return_the_same_top_ten_for_every_demo_query(engines, index: str) -> None:
    embedded, elastic = engines
    for query in demo_queries():
        one, other = await _search(embedded, index, query.text), await _search(elastic, index, query.text)

        assert [hit["doc_id"] for hit in one["hits"]] == [hit["doc_id"] for hit in other["hits"]], query.text
        for left, right in zip(one["hits"], other["hits"], strict=True):
            assert math.isclose(left["score"], right["score"], rel_tol=1e-5)
            for key in ("snippet", "title", "source", "score_kind"):
                assert left[key] == right[key]
        assert one["total"] == other["total"]


@pytest.mark.parametrize(
    "filters",
    [
        {"lang": "zh"},
        {"tags": ["docker", "git"]},
        {"updated_at": {"gte": "2025-06-01", "lt": "2025-09-01T00:00:00Z"}},
        {"lang": "en", "tags": "java"},
        {"lang": {"exists": True}, "url": {"exists": False}},
        {"tags": {"exists": True}},
        {"tags": {"exists": False}},
        {"updated_at": {"exists": False}},
        {"doc_id": {"exists": True}, "lang": {"exists": False}},
        {"lang": {"not": "zh"}, "tags": {"not": ["docker", "git"]}},
        {"updated_at": {"not": {"gte": "2025-06-01", "lt": "2026-06-01"}}},
        {"url": {"not": {"exists": True}}},
    ],
)
async def test_filters_mean_the_same(engines, index: str, filters: dict[str, Any]) -> None:
    embedded, elastic = engines
    for query in ("网络 连接 失败 error", "java docker 内存 memory", "the", "edge"):
        one = await _search(embedded, index, query, filters=filters, size=50)
        other = await _search(elastic, index, query, filters=filters, size=50)

        assert [hit["doc_id"] for hit in one["hits"]] == [hit["doc_id"] for hit in other["hits"]]
        assert one["total"] == other["total"]


async def test_of_a_query_of_thousands_of_terms_the_same_are_left_out(engines, index: str) -> None:
    embedded, elastic = engines
    query = " ".join(["网络", *(f"w{number}" for number in range(1100)), "python"])
    one, other = await _search(embedded, index, query, size=50), await _search(elastic, index, query, size=50)

    assert [hit["doc_id"] for hit in one["hits"]] == [hit["doc_id"] for hit in other["hits"]] != []
    assert one["total"] == other["total"]


async def test_explanations_name_the_same_terms(engines, index: str) -> None:
    embedded, elastic = engines
    for query in demo_queries()[:20]:
        one = await _search(embedded, index, query.text, explain=True, size=5)
        other = await _search(elastic, index, query.text, explain=True, size=5)

        for left, right in zip(one["hits"], other["hits"], strict=True):
            terms = [
                {each["description"]: each["value"] for each in hit["explanation"]["details"]} for hit in (left, right)
            ]
            assert terms[0].keys() == terms[1].keys()
            assert math.isclose(sum(terms[0].values()), left["score"], rel_tol=1e-4)
            assert all(math.isclose(terms[0][term], terms[1][term], rel_tol=1e-4) for term in terms[0])


async def test_without_models_elasticsearch_expands_by_neighbours_and_says_that_nothing_reranks(
    engines, index: str
) -> None:
    _, elastic = engines

    reply = await _search(elastic, index, "网络不通", expansion="on", rerank="on", timeout_ms=20_000)

    reasons = {stage["stage"]: (stage["status"], stage["reason"]) for stage in reply["stages"]}
    assert reasons["expand"] == ("ok", None)
    assert reasons["rerank"] == ("skipped", "notConfigured")
    assert reply["degraded"] == []
    assert reply["expansion"]["method"] == "neighbours"


async def test_expanded_by_neighbours_both_rank_alike(engines, index: str) -> None:
    for query in demo_queries()[::10]:
        replies = [await _search(runtime, index, query.text, expansion="on", timeout_ms=20_000) for runtime in engines]

        one, other = ([hit["doc_id"] for hit in reply["hits"]] for reply in replies)
        assert one == other, query.text
        terms = [
            [(each["term"], each["df"], each["kept"]) for each in reply["expansion"]["terms"]] for reply in replies
        ]
        assert terms[0] == terms[1]


async def test_document_frequencies_are_the_same(engines, index: str) -> None:
    terms = ["网络", "python", "docker", "never-there", "modul"]
    counts = []
    for runtime in engines:
        opened = await runtime.engine.open(index)
        counts.append(await opened.statistics.document_frequencies(terms, deadline=Deadline.after_ms(5000)))

    assert counts[0] == counts[1]
    assert counts[0].df["never-there"] == 0
    assert counts[0].df["docker"] > 10


FACETS = {
    "lang": {},
    "tags": {"size": 3},
    "url": {"size": 5},
    "updated_at": {
        "ranges": [{"lt": "2025-06-01"}, {"gt": "2025-06-01", "lte": "2026-01-26T00:00:00Z"}, {"gte": "2026-01-26"}]
    },
}


@pytest.mark.parametrize("query", ["网络 连接 失败 error", "edge memory", "the", "never-there", "?!"])
async def test_facets_are_the_same(engines, index: str, query: str) -> None:
    embedded, elastic = engines
    for filters in ({}, {"lang": {"not": "en"}}):
        one = await _search(embedded, index, query, facets=FACETS, filters=filters)
        other = await _search(elastic, index, query, facets=FACETS, filters=filters)

        assert one["facets"] == other["facets"]


async def test_the_days_of_a_facet_are_the_same(engines, index: str) -> None:
    embedded, elastic = engines
    one = await _search(embedded, index, "edge 网络 error", facets={"updated_at": {"size": 4}})
    other = await _search(elastic, index, "edge 网络 error", facets={"updated_at": {"size": 4}})

    assert one["facets"] == other["facets"]
    assert len(one["facets"]["updated_at"]["values"]) == 4


ORDERS: list[dict[str, Any]] = [
    {"sort": ["updated_at"]},
    {"sort": [{"updated_at": "desc"}]},
    {"sort": ["lang", {"updated_at": "desc"}]},
    {"sort": [{"lang": "desc"}, {"doc_id": "desc"}]},
    {"sort": ["url"]},
    {"sort": [{"doc_id": "desc"}]},
    {"collapse": "lang"},
    {"collapse": "url"},
    {"collapse": "lang", "sort": [{"updated_at": "desc"}]},
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("query", ["edge memory 内存", "网络 error", "never-there"])
async def test_orders_and_groups_are_the_same(engines, index: str, order: dict[str, Any], query: str) -> None:
    embedded, elastic = engines
    one, other = (
        await _search(embedded, index, query, size=50, **order),
        await _search(elastic, index, query, size=50, **order),
    )

    assert [hit["doc_id"] for hit in one["hits"]] == [hit["doc_id"] for hit in other["hits"]]
    assert [hit.get("sort") for hit in one["hits"]] == [hit.get("sort") for hit in other["hits"]]
    assert one["total"] == other["total"]
    for left, right in zip(one["hits"], other["hits"], strict=True):
        assert math.isclose(left["score"], right["score"], rel_tol=1e-5)


async def _all_pages(runtime: Runtime, index: str, query: str, **more: Any) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    cursor = "*"
    while cursor is not None:
        reply = await _search(runtime, index, query, cursor=cursor, **more)
        lines += [(hit["rank"], hit["doc_id"]) for hit in reply["hits"]]
        cursor = reply["next_cursor"]
    return lines


@pytest.mark.parametrize(
    "order", [{}, {"sort": [{"updated_at": "desc"}]}, {"filters": {"lang": {"not": "en"}}}], ids=str
)
@pytest.mark.parametrize("size", [7, 50])
async def test_pages_hold_every_match_once_in_the_same_order(
    engines, index: str, order: dict[str, Any], size: int
) -> None:
    every = []
    for runtime in engines:
        pages = await _all_pages(runtime, index, "edge memory 内存 网络 error", size=size, **order)
        whole = await _search(runtime, index, "edge memory 内存 网络 error", size=1, **order)

        assert [rank for rank, _ in pages] == list(range(1, whole["total"]["value"] + 1))
        assert len({doc_id for _, doc_id in pages}) == len(pages) > 30
        every.append(pages)

    assert every[0] == every[1]


@pytest.mark.parametrize("field", ["lang", "doc_id"])
async def test_pages_hold_every_group_once(engines, index: str, field: str) -> None:
    embedded, elastic = engines
    one = await _all_pages(embedded, index, "edge memory 网络", size=2, collapse=field)
    other = await _all_pages(elastic, index, "edge memory 网络", size=2, collapse=field)

    assert one == other
    assert len({doc_id for _, doc_id in one}) == len(one) > 3


async def test_documents_of_a_page_are_the_same(engines, index: str) -> None:
    filters = (Exists(field="lang"),)
    found = []
    for runtime in engines:
        request = wanted(WeightedQuery(text="", terms=()), filters=filters)
        opened = await runtime.engine.open(index)
        found.append(await opened.pages.documents(request, ["edge-1", "Edge-3", "edge-4", "gone"]))

    assert found[0] == found[1]
    assert set(found[0]) == {"Edge-3", "edge-4"}
