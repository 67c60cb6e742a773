"""Pages on a real Elasticsearch: every document once, whatever happens to the index meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendUnavailable, InvalidRequest
from searchsvc.model import Filters, RawFilter, SearchRequest, SortKey
from tests.support.elastic import delete_indices, elastic_engine, fill, generated, own_name, query, raw_client
from tests.support.embedded import retrieved_ids
from tests.support.pages import all_pages, behind
from tests.support.requests import wanted

pytestmark = pytest.mark.es

DOCUMENTS = tuple(generated(300))
TEXT = "python module"


@pytest.fixture(scope="module")
def corpus(es_url: str) -> Iterator[str]:
    name = own_name()

    async def load() -> None:
        async with elastic_engine(es_url) as engine:
            await fill(engine, name, DOCUMENTS)

    asyncio.run(load())
    yield name
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture
async def engine(es_url: str) -> AsyncIterator[ElasticEngine]:
    async with elastic_engine(es_url) as opened:
        yield opened


@pytest.fixture
async def own(es_url: str, engine: ElasticEngine) -> AsyncIterator[str]:
    """The name of an index that a test may change."""
    name = own_name()
    await fill(engine, name, DOCUMENTS[:100])
    yield name
    await delete_indices(es_url, [name])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    window=st.lists(st.sampled_from([each.doc_id for each in DOCUMENTS]), unique=True, max_size=40),
    shown=st.integers(0, 40),
    sizes=st.lists(st.integers(20, 90), min_size=1, max_size=3),
    sort=st.sampled_from(((), (SortKey(field="updated_at", descending=True),), (SortKey(field="lang"),))),
)
async def test_the_window_and_then_the_original_order_hold_every_document_once(
    engine, corpus, window, shown, sizes, sort
) -> None:
    opened = await engine.open(corpus)
    request, shown = SearchRequest(query_id="1", user_query=TEXT, sort=sort), min(shown, len(window))

    every = await opened.retriever.retrieve(wanted(query(TEXT), top_k=1000, sort=sort))
    first = behind(window, request=request, shown=shown)
    lines = await all_pages(first, request=request, query=query(TEXT), pages=opened.pages, sizes=sizes)

    assert len(every.ranking) > 200
    others = [doc_id for doc_id in retrieved_ids(every) if doc_id not in window]
    assert [doc_id for _, doc_id in lines] == [*window[shown:], *others]
    assert [rank for rank, _ in lines] == list(range(shown + 1, shown + len(lines) + 1))


async def test_an_index_that_changes_between_pages_is_read_as_it_was(engine, own) -> None:
    opened = await engine.open(own)
    before = retrieved_ids(await opened.retriever.retrieve(wanted(query(TEXT), top_k=1000)))
    first = await opened.pages.base(wanted(query(TEXT), top_k=10), start=0, view="")

    await fill(engine, own, [Document(doc_id=f"new-{number}", text=TEXT) for number in range(50)])
    later = await opened.pages.base(wanted(query(TEXT), top_k=1000), start=10, view=first.view)
    now = await opened.pages.base(wanted(query(TEXT), top_k=1000), start=0, view="")

    assert [each.doc_id for each in (*first.candidates, *later.candidates)] == before
    assert (first.last, later.last) == (False, True)
    assert len(now.candidates) == len(before) + 50


async def test_a_view_that_has_gone_is_the_cursors_fault(engine, own, es_url) -> None:
    opened = await engine.open(own)
    view = (await opened.pages.base(wanted(query(TEXT)), start=0, view="")).view
    async with raw_client(es_url) as raw:
        await raw.close_point_in_time(id=view)
    with pytest.raises(InvalidRequest, match="have gone") as caught:
        await opened.pages.base(wanted(query(TEXT)), start=10, view=view)

    assert caught.value.pointer == "/cursor"
    assert 'cursor "*"' in caught.value.hint


async def test_an_index_that_is_deleted_between_pages_is_the_servers_fault(engine, own, es_url) -> None:
    opened = await engine.open(own)
    view = (await opened.pages.base(wanted(query(TEXT)), start=0, view="")).view
    async with raw_client(es_url) as raw:
        await raw.indices.delete(index=opened.physical)
    for known in (view, ""):
        with pytest.raises(BackendUnavailable):
            await opened.pages.base(wanted(query(TEXT)), start=10, view=known)


async def test_documents_are_those_of_now_that_the_filters_let_through(engine, own, es_url) -> None:
    opened = await engine.open(own)
    chinese: Filters = (RawFilter(query={"term": {"lang": "zh"}}),)
    async with raw_client(es_url) as raw:
        await raw.delete(index=opened.physical, id="doc-000003", refresh=True)
    ids = ["doc-000001", "doc-000002", "doc-000003", "none"]

    found = await opened.pages.documents(wanted(query(TEXT)), ids)
    filtered = await opened.pages.documents(wanted(query(TEXT), filters=chinese), ids)

    assert set(found) == {"doc-000001", "doc-000002"}
    assert found["doc-000001"].source == DOCUMENTS[1].source()
    assert {each.score for each in found.values()} == {0.0}
    assert set(filtered) == {"doc-000001"}


async def test_a_filter_in_the_words_of_elasticsearch_is_taken_as_it_is(engine, corpus) -> None:
    opened = await engine.open(corpus)
    raw = RawFilter(query={"bool": {"must": [{"prefix": {"url": "https://kb.example/1"}}, {"term": {"lang": "zh"}}]}})
    every = await opened.retriever.retrieve(wanted(query(TEXT), top_k=300))
    found = await opened.retriever.retrieve(wanted(query(TEXT), top_k=300, filters=(raw,)))

    expected = [
        each.doc_id
        for each in every.ranking
        if each.source["url"].startswith("https://kb.example/1") and each.source["lang"] == "zh"
    ]
    assert retrieved_ids(found) == expected
    assert len(expected) > 10


@pytest.mark.parametrize("raw", [{"nope": {}}, {"term": {"lang": {"a": 1}}}, {"range": {"updated_at": {"gte": "zzz"}}}])
async def test_such_a_filter_that_cannot_be_read_is_the_callers_fault(engine, corpus, raw) -> None:
    opened = await engine.open(corpus)
    request = wanted(query(TEXT), filters=(RawFilter(query=raw),))
    for asking in (
        opened.retriever.retrieve(request),
        opened.pages.base(request, start=0, view=""),
        opened.pages.documents(request, ["doc-000001"]),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await asking
        assert caught.value.pointer == "/filters/es"
