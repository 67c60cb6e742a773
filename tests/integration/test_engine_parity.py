"""Both engines rank alike: the demo collection, every judged query, the same documents, order and scores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from searchsvc.demo import demo_documents, demo_queries
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.model import AnyOf, Filters
from searchsvc.protocols import OpenIndex
from searchsvc.result import Retrieval
from tests.support.elastic import delete_indices, elastic_engine, fill, own_name, query, soon
from tests.support.embedded import analyzer, load, retrieved_ids

pytestmark = pytest.mark.es


@pytest.fixture(scope="module")
def demo(es_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A name under which the demo collection is in Elasticsearch and in this data folder."""
    name, folder = own_name(), tmp_path_factory.mktemp("parity")

    async def fill_both() -> None:
        embedded = EmbeddedEngine(folder, analyzer())
        async with elastic_engine(es_url) as elastic:
            await fill(elastic, name, demo_documents())
            await load(embedded, name, demo_documents())
        await embedded.close()

    asyncio.run(fill_both())
    yield name, folder
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture
async def indices(es_url: str, demo: tuple[str, Path]) -> AsyncIterator[tuple[OpenIndex, OpenIndex]]:
    """Elasticsearch's, and the embedded engine's."""
    name, folder = demo
    embedded = EmbeddedEngine(folder, analyzer())
    async with elastic_engine(es_url) as elastic:
        yield await elastic.open(name), await embedded.open(name)
    await embedded.close()


async def _both(indices: tuple[OpenIndex, OpenIndex], text: str, filters: Filters = ()) -> list[Retrieval]:
    return [
        await index.retriever.retrieve(query(text), top_k=10, filters=filters, deadline=soon()) for index in indices
    ]


async def test_every_demo_query_has_the_same_top_ten_and_total(indices) -> None:
    queries = demo_queries()
    overlap = 0.0
    for judged in queries:
        elastic, embedded = await _both(indices, judged.text)
        found = set(retrieved_ids(elastic))
        overlap += len(found & set(retrieved_ids(embedded))) / max(1, len(found))

        assert elastic.total == embedded.total
        assert [each.score for each in elastic.ranking] == pytest.approx(
            [each.score for each in embedded.ranking], rel=1e-5
        )
    assert overlap / len(queries) >= 0.99


async def test_filters_mean_the_same(indices) -> None:
    for language in ("zh", "en"):
        filters = (AnyOf(field="lang", values=(language,)),)
        elastic, embedded = await _both(indices, "python linux 网络 错误", filters)

        assert retrieved_ids(elastic) == retrieved_ids(embedded)
        assert len(elastic.ranking) == 10
        assert {candidate.source["lang"] for candidate in embedded.ranking} == {language}


async def test_document_frequencies_are_the_same(indices) -> None:
    terms = ["python", "网络", "network", "absent"]
    elastic, embedded = [await index.statistics.document_frequencies(terms, deadline=soon()) for index in indices]

    assert elastic == embedded
