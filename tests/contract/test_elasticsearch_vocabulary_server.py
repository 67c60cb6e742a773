"""The vocabulary that a load leaves beside an index of a real Elasticsearch: appended to, cut off, taken over, gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from elasticsearch import AsyncElasticsearch

from searchsvc.documents import Document
from searchsvc.elastic import engine as engine_module
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.elastic.terms import terms_alias
from searchsvc.errors import BackendTimeout, Overloaded
from searchsvc.model import Deadline
from searchsvc.protocols import ExpandRequest, OpenIndex
from searchsvc.result import ExpansionTerm
from tests.support.elastic import delete_indices, elastic_engine, fill, own_name, query, raw_client, soon
from tests.support.requests import wanted

pytestmark = [pytest.mark.es, pytest.mark.slow]

NETWORK = Document(doc_id="net", title="Fix a broken network connection", text="Restart the router.")
PASSWORD = Document(doc_id="pw", title="Forgotten password", text="Reset the passwords of the account. Password!")
WIFI = Document(doc_id="wifi", title="无线网络连接不上", text="网络不通时先检查路由器，再重启电脑。", lang="zh")
HIDDEN_TOO = ["open", "hidden"]


@pytest.fixture
def name(es_url: str) -> Iterator[str]:
    chosen = own_name()
    yield chosen
    asyncio.run(delete_indices(es_url, [chosen]))


@pytest.fixture
async def engine(es_url: str) -> AsyncIterator[ElasticEngine]:
    async with elastic_engine(es_url) as opened:
        yield opened


async def _terms(index: OpenIndex, text: str) -> dict[str, ExpansionTerm]:
    assert index.neighbours is not None, index.no_neighbours
    expansion = await index.neighbours.expand(ExpandRequest(user_query=text, deadline=soon(), terms=64))
    return {term.surface: term for term in expansion.terms}


async def _vocabularies(client: AsyncElasticsearch, name: str) -> list[str]:
    reply = await client.indices.get(index=f"{name}-v1-*-terms-*", expand_wildcards=HIDDEN_TOO)
    return sorted(reply.body)


async def _words(client: AsyncElasticsearch, physical: str) -> dict[str, dict]:
    reply = await client.search(index=terms_alias(physical), query={"range": {"place": {"gte": 0}}}, size=1000)
    return {hit["_id"]: hit["_source"] for hit in reply.body["hits"]["hits"]}


@asynccontextmanager
async def _a_fresh_look(es_url: str, name: str) -> AsyncIterator[OpenIndex]:
    async with elastic_engine(es_url) as other:
        yield await other.open(name)


async def test_a_query_finds_words_of_the_other_language_and_its_own(engine: ElasticEngine, name: str) -> None:
    await fill(engine, name, [NETWORK, PASSWORD, WIFI])
    found = await _terms(await engine.open(name), "互联网")

    assert (found["网络"].apart, found["network"].apart) == (False, True)
    assert (found["network"].df, found["network"].source) == (1, "neighbours")


async def test_the_vocabulary_lies_beside_the_index_under_its_name(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    report = await fill(engine, name, [NETWORK, PASSWORD, WIFI])
    async with raw_client(es_url) as client:
        words = await _words(client, report.index)

    assert words["password"]["df"] == 1
    assert words["password"]["forms"] == {"password": 1, "passwords": 1}
    assert "network" in words["网络"]["neighbours"]["terms"]
    assert "the" not in words


async def test_it_is_no_index_that_can_be_listed_searched_or_swapped_to(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    report = await fill(engine, name, [NETWORK, PASSWORD, WIFI])
    statuses = [each for each in await engine.admin.status() if each.index.startswith(name)]
    async with raw_client(es_url) as client:
        listed = await client.indices.get(index=f"{name}*")
        (vocabulary,) = await _vocabularies(client, name)
        sizes = await client.indices.stats(index=f"{name}*", metric="store", expand_wildcards=HIDDEN_TOO)

    assert [(each.index, each.documents, each.alias) for each in statuses] == [(report.index, 3, name)]
    assert statuses[0].bytes == sizes.body["_all"]["primaries"]["store"]["size_in_bytes"]
    assert list(listed.body) == [report.index]
    assert [each for each in await engine.names() if each.startswith(name)] == [name]
    assert vocabulary.startswith(f"{report.index}-terms-")


async def test_an_append_keeps_the_words_that_were_there_and_counts_all(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    await fill(engine, name, [NETWORK, WIFI])
    report = await fill(engine, name, [PASSWORD, Document(doc_id="net-2", text="network passwords")])
    async with raw_client(es_url) as client:
        words = await _words(client, report.index)
        kept = await _vocabularies(client, name)

    assert {term: words[term]["df"] for term in ("network", "password", "router", "路由器")} == {
        "network": 2,
        "password": 2,
        "router": 1,
        "路由器": 1,
    }
    assert words["password"]["surface"] == "passwords"
    assert len(kept) == 1


async def test_a_word_that_no_document_holds_any_more_goes(engine: ElasticEngine, es_url: str, name: str) -> None:
    await fill(engine, name, [NETWORK, PASSWORD])
    report = await fill(engine, name, [Document(doc_id="net", text="nothing about it")])
    async with raw_client(es_url) as client:
        words = await _words(client, report.index)

    assert "router" not in words
    assert "password" in words


async def test_a_running_search_sees_the_words_of_an_append(
    engine: ElasticEngine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(engine, name, [PASSWORD])
    before = await engine.open(name)
    assert "网络" not in await _terms(before, "internet")
    await fill(engine, name, [WIFI])
    monkeypatch.setattr(engine_module, "_FRESH_S", 0.0)
    monkeypatch.setattr(engine_module, "_RECENT_S", 0.0)
    monkeypatch.setattr(engine_module, "_PATIENCE_S", 5.0)

    after = await engine.open(name)
    assert after is not before
    assert "网络" in await _terms(after, "internet")
    assert await engine.open(name) is after


@pytest.mark.slow
async def test_a_load_that_is_cut_off_while_words_are_compared_leaves_the_old_ones_in_use(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    await fill(engine, name, [NETWORK])

    def interrupt(done: int, total: int) -> None:
        raise KeyError("as if the process had ended")

    with pytest.raises(KeyError):
        await engine.admin.load(name, [WIFI], progress=lambda _: None, words=interrupt)
    async with _a_fresh_look(es_url, name) as index:
        assert "network" in await _terms(index, "wifi")
        assert "网络" not in await _terms(index, "wifi")

    report = await fill(engine, name, [PASSWORD])
    async with raw_client(es_url) as client:
        words = await _words(client, report.index)

    assert {"网络", "network", "password"} <= words.keys(), "the words of all documents, whoever loaded them"


async def test_a_half_written_vocabulary_is_removed_by_the_next_load(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyError("as if the process had ended")

    with pytest.raises(KeyError):
        await engine.admin.load(name, [NETWORK], progress=lambda _: None, words=interrupt)
    async with raw_client(es_url) as client:
        left = await _vocabularies(client, name)
        await fill(engine, name, [NETWORK])
        now = await _vocabularies(client, name)

    assert len(left) == len(now) == 1
    assert left != now


async def test_the_vocabulary_of_an_index_that_was_deleted_goes_with_the_next_load_of_the_name(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    first = await fill(engine, name, [NETWORK])
    async with raw_client(es_url) as client:
        await client.indices.delete(index=first.index)
        second = await fill(engine, name, [NETWORK])
        (kept,) = await _vocabularies(client, name)

    assert kept.startswith(second.index)


async def test_going_back_to_an_older_index_brings_its_words_back(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    first = await fill(engine, name, [NETWORK])
    await engine.admin.create(name)
    await fill(engine, name, [WIFI])
    await engine.admin.swap(name)
    async with _a_fresh_look(es_url, name) as index:
        assert "网络" in await _terms(index, "wifi")
    await engine.admin.swap(name, physical=first.index)
    async with _a_fresh_look(es_url, name) as index:
        assert "网络" not in await _terms(index, "wifi")


async def test_a_load_that_another_one_took_over_publishes_no_words(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    await fill(engine, name, [NETWORK])
    other: list[asyncio.Task] = []

    def takes_over(done: int, total: int) -> None:
        if not other:
            other.append(asyncio.create_task(fill(engine, name, [PASSWORD])))

    with pytest.raises(Overloaded):
        await engine.admin.load(name, [WIFI], progress=lambda _: None, words=takes_over)
    await other[0]
    async with raw_client(es_url) as client:
        (kept,) = await _vocabularies(client, name)
        words = await _words(client, kept.rpartition("-terms-")[0])

    assert {"网络", "network", "password"} <= words.keys()


async def test_an_index_whose_words_are_gone_is_searched_without_and_says_what_to_do(
    engine: ElasticEngine, es_url: str, name: str
) -> None:
    await fill(engine, name, [NETWORK])
    async with raw_client(es_url) as client:
        for vocabulary in await _vocabularies(client, name):
            await client.indices.delete(index=vocabulary)
    async with _a_fresh_look(es_url, name) as index:
        found = await index.retriever.retrieve(wanted(query("network")))

        assert len(found.ranking) == 1
        assert index.neighbours is None
        assert "searchsvc index load" in index.no_neighbours


async def test_whoever_has_no_time_for_the_first_reading_leaves_it_to_the_next(
    engine: ElasticEngine, name: str
) -> None:
    await fill(engine, name, [NETWORK, WIFI])
    index = await engine.open(name)
    assert index.neighbours is not None
    for milliseconds in (0.0, 0.1):
        with pytest.raises(BackendTimeout):
            await index.neighbours.expand(
                ExpandRequest(user_query="wifi", deadline=Deadline.after_ms(milliseconds), terms=8)
            )

    assert "network" in await _terms(index, "wifi")


async def test_closing_ends_a_reading_that_runs(es_url: str, name: str) -> None:
    async with elastic_engine(es_url) as engine:
        await fill(engine, name, [NETWORK, WIFI])
        index = await engine.open(name)
        assert index.neighbours is not None
        with pytest.raises(BackendTimeout):
            await index.neighbours.expand(ExpandRequest(user_query="wifi", deadline=Deadline.after_ms(0.1), terms=8))

    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("reading ")] == []


async def test_how_far_the_comparing_is_is_told_up_to_the_end(engine: ElasticEngine, name: str) -> None:
    told: list[tuple[int, int]] = []
    await engine.admin.load(
        name, [NETWORK, PASSWORD, WIFI], progress=lambda _: None, words=lambda *each: told.append(each)
    )

    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 10


async def test_documents_without_a_word_leave_an_empty_vocabulary(engine: ElasticEngine, name: str) -> None:
    await fill(engine, name, [Document(doc_id="1", text="42 的 the")])

    assert await _terms(await engine.open(name), "network") == {}
