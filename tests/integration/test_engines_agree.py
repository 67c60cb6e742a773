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
from searchsvc.model import Deadline
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime
from tests.support.elastic import delete_indices, own_name

pytestmark = pytest.mark.es


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
                await runtime.engine.admin.load(index, demo_documents(), progress=lambda _: None)
        yield runtimes[0], runtimes[1]


async def _search(runtime: Runtime, index: str, query: str, **more: Any) -> dict[str, Any]:
    body = SearchBody.model_validate({"query": query, "index": index, "expansion": "off", "rerank": "off", **more})
    return to_reply(await runtime.service.search(to_request(body)))


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
    ],
)
async def test_filters_mean_the_same(engines, index: str, filters: dict[str, Any]) -> None:
    embedded, elastic = engines
    for query in ("网络 连接 失败 error", "java docker 内存 memory", "the"):
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


async def test_without_models_the_stages_on_elasticsearch_are_skipped_and_say_why(engines, index: str) -> None:
    _, elastic = engines

    reply = await _search(elastic, index, "网络不通", expansion="on", rerank="on")

    reasons = {stage["stage"]: (stage["status"], stage["reason"]) for stage in reply["stages"]}
    assert reasons["expand"] == ("skipped", "notConfigured")
    assert reasons["rerank"] == ("skipped", "notConfigured")
    assert reply["degraded"] == []


async def test_document_frequencies_are_the_same(engines, index: str) -> None:
    terms = ["网络", "python", "docker", "never-there", "modul"]
    counts = []
    for runtime in engines:
        opened = await runtime.engine.open(index)
        counts.append(await opened.statistics.document_frequencies(terms, deadline=Deadline.after_ms(5000)))

    assert counts[0] == counts[1]
    assert counts[0].df["never-there"] == 0
    assert counts[0].df["docker"] > 10
