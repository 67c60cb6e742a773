"""The same corpus in both engines: the same neighbours, with the same similarities and document frequencies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from searchsvc.demo import demo_documents, demo_queries
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.protocols import ExpandRequest, OpenIndex
from searchsvc.result import Expansion
from tests.support.elastic import delete_indices, elastic_engine, own_name, soon
from tests.support.embedded import analyzer

pytestmark = [pytest.mark.es, pytest.mark.slow]


@pytest.fixture(scope="module")
def index(es_url: str) -> Iterator[str]:
    name = own_name()
    yield name
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("neighbours")


@pytest.fixture
async def opened(es_url: str, data_dir: Path, index: str) -> AsyncIterator[tuple[OpenIndex, OpenIndex]]:
    """The demo corpus, in both loaded in two parts, so that the second one continues a vocabulary."""
    documents = list(demo_documents())
    async with AsyncExitStack() as stack:
        elastic = await stack.enter_async_context(elastic_engine(es_url))
        embedded = EmbeddedEngine(data_dir, analyzer())
        stack.push_async_callback(embedded.close)
        for engine in (embedded, elastic):
            if index not in await engine.names():
                for part in (documents[:120], documents[120:]):
                    await engine.admin.load(index, part, progress=lambda _: None)
        yield await embedded.open(index), await elastic.open(index)


async def _expansion(index: OpenIndex, query: str) -> Expansion:
    assert index.neighbours is not None
    return await index.neighbours.expand(ExpandRequest(user_query=query, deadline=soon(), terms=64))


async def test_every_demo_query_has_the_same_neighbours_on_both(opened) -> None:
    embedded, elastic = opened
    proposed = 0
    for query in [each.text for each in demo_queries()]:
        one, other = await _expansion(embedded, query), await _expansion(elastic, query)

        assert [term.term for term in one.terms] == [term.term for term in other.terms], query
        for left, right in zip(one.terms, other.terms, strict=True):
            assert left.frequency == pytest.approx(right.frequency, abs=1e-4)
            assert (left.df, left.surface, left.source_text) == (right.df, right.surface, right.source_text)
        assert one.doc_count == other.doc_count == 217
        proposed += len(one.terms)
    assert proposed > 300
