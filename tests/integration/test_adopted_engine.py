"""Indices that others made: what the engine does while they are swapped, closed or deleted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import engine as engine_module
from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendUnavailable, ConfigurationError, Reason, UnknownIndex
from searchsvc.forms import plain_query
from searchsvc.model import Range
from searchsvc.protocols import RetrieveRequest
from searchsvc.result import Retrieval
from searchsvc.schema import AdoptedIndex, TextField
from tests.support.adopted import make_articles
from tests.support.elastic import fill, generated, own_name, raw_client, soon
from tests.support.embedded import analyzer

pytestmark = pytest.mark.es

MAPPING: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "title": {"type": "text"},
        "tags": {"type": "keyword"},
        "stars": {"type": "integer"},
        "comments": {"type": "nested", "properties": {"text": {"type": "text"}}},
    },
}
RENAMED: dict[str, Any] = {**MAPPING, "properties": {**MAPPING["properties"], "title": {"type": "keyword"}}}
DOCUMENT = {"title": "router driver", "tags": ["a"], "stars": 3, "raw": {"html": "<p>"}, "comments": [{"text": "no"}]}


@pytest.fixture(autouse=True)
def looks_before_every_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every index had been idle for long, and nobody were in a hurry."""
    monkeypatch.setattr(engine_module, "_ADOPTED_FRESH_S", 0.0)
    monkeypatch.setattr(engine_module, "_PATIENCE_S", 10.0)


@pytest.fixture
async def client(es_url: str) -> AsyncIterator[AsyncElasticsearch]:
    async with raw_client(es_url) as client:
        yield client


@pytest.fixture
async def name(client: AsyncElasticsearch) -> AsyncIterator[str]:
    """A name of one's own; everything that begins with it is deleted at the end."""
    own = own_name()
    yield own
    found = await client.indices.get(index=f"{own}*", expand_wildcards="all")
    for index in found.body:
        await client.indices.delete(index=index)


async def make(client: AsyncElasticsearch, index: str, *, mapping: Mapping[str, Any] = MAPPING, **more: Any) -> None:
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    await client.indices.create(index=index, settings=settings, mappings=mapping, **more)
    await client.index(index=index, id=f"in-{index}", document=DOCUMENT, refresh=True)


def table(name: str, **changes: Any) -> AdoptedIndex:
    index = AdoptedIndex(
        name=name,
        target=name,
        text_fields=(TextField(name="title"), TextField(name="comments.text")),
        nested=("comments",),
        title="title",
        filters=("tags", "stars"),
        facets=("tags",),
    )
    return replace(index, **changes)


@asynccontextmanager
async def engine_of(url: str, *indices: AdoptedIndex) -> AsyncIterator[ElasticEngine]:
    engine = ElasticEngine(connect([url]), analyzer(), {index.name: index for index in indices})
    try:
        yield engine
    finally:
        await engine.close()


async def search(engine: ElasticEngine, name: str, text: str = "router", **more: Any) -> Retrieval:
    opened = await engine.open(name)
    query = plain_query(text, [text])
    return await opened.retriever.retrieve(RetrieveRequest(query=query, top_k=10, deadline=soon(), **more))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_index_that_fits_is_opened_once_and_named(es_url: str, client: AsyncElasticsearch, name: str) -> None:
    await make(client, name)
    async with engine_of(es_url, table(name)) as engine:
        opened, again = [await engine.open(name) for _ in range(2)]
        found = await search(engine, name, filters=(Range(field="stars", gte=3),))
        names = await engine.names()

    assert opened is again
    assert (opened.physical, opened.as_written, opened.schema.problems) == (name, True, ())
    assert sorted(opened.schema.fields) == ["stars", "tags"]
    assert [each.doc_id for each in found.ranking] == [f"in-{name}"]
    assert name in names


async def test_the_articles_fit_a_table_of_theirs(es_url: str, name: str) -> None:
    await make_articles(es_url, name, count=30)
    index = AdoptedIndex(
        name="articles",
        target=name,
        text_fields=(TextField(name="title", boost=3), TextField(name="body"), TextField(name="comments.text")),
        nested=("comments",),
        title="title",
        snippet="body",
        returned=("title", "body", "tags", "comments"),
        filters=("tags", "lang", "published_at", "price", "comments.author", "url"),
        facets=("tags", "lang"),
        rerank_text=("title", "body"),
    )
    async with engine_of(es_url, index) as engine:
        opened = await engine.open("articles")

    assert opened.schema.problems == ()
    assert opened.schema.fields["comments.author"].nested == "comments"


async def test_all_that_is_wrong_is_told_at_the_first_opening(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    await make(client, name)
    wrong = table(name, text_fields=(TextField(name="titel"),), nested=(), facets=("comments.text",), base_query="{")
    async with engine_of(es_url, wrong) as engine:
        with pytest.raises(ConfigurationError) as caught:
            await engine.open(name)

    assert 'text_fields: "titel" is not there' in caught.value.message
    assert "Did you mean title?" in caught.value.message
    assert 'facets: "comments.text" is text' in caught.value.message
    assert "base_query" in caught.value.message
    assert all(line.startswith(f"[indices.{name}] ") for line in caught.value.message.splitlines())


async def test_names_that_documents_hold_outside_the_mapping_are_right(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    await make(client, name)
    async with engine_of(es_url, table(name, returned=("raw.html", "title"))) as engine:
        assert (await engine.open(name)).schema.problems == ()
    async with engine_of(es_url, table(name, returned=("raw.htm", "title"))) as engine:
        with pytest.raises(ConfigurationError, match=r'returned: "raw\.htm" is not there'):
            await engine.open(name)


@pytest.mark.parametrize("target", ["{name}-nowhere", "{name}-no*"])
async def test_a_target_that_is_not_there_is_an_error_of_the_table(es_url: str, name: str, target: str) -> None:
    missing = target.format(name=name)
    async with engine_of(es_url, table(name, target=missing)) as engine:
        with pytest.raises(ConfigurationError, match=f"no index, alias or data stream '{name}-no") as caught:
            await engine.open(name)

    assert caught.value.hint


async def test_a_name_that_this_service_has_published_cannot_be_adopted(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    async with engine_of(es_url) as engine:
        await fill(engine, name, generated(3))
    async with engine_of(es_url, table(name, target=f"{name}-v1-*")) as engine:
        with pytest.raises(ConfigurationError, match=f"index of this service that is called {name}"):
            await engine.open(name)


async def test_an_unknown_index_is_told_beside_adopted_ones(es_url: str, client: AsyncElasticsearch, name: str) -> None:
    await make(client, name)
    async with engine_of(es_url, table(name)) as engine:
        with pytest.raises(UnknownIndex):
            await engine.open(f"{name}-other")


async def test_an_index_swapped_behind_an_alias_is_noticed(
    es_url: str, client: AsyncElasticsearch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make(client, f"{name}-1", aliases={name: {}})
    await make(client, f"{name}-2")
    async with engine_of(es_url, table(name)) as engine:
        first = await engine.open(name)
        await _swap(client, name, f"{name}-1", f"{name}-2")
        second = await engine.open(name)
        found = await search(engine, name)

    assert (first.physical, second.physical) == (f"{name}-1", f"{name}-2")
    assert second.schema == first.schema
    assert [each.doc_id for each in found.ranking] == [f"in-{name}-2"]
    assert warnings(caplog) == []


async def test_a_field_renamed_by_a_swap_is_told_once_and_searches_go_on_visibly(
    es_url: str, client: AsyncElasticsearch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make(client, f"{name}-1", aliases={name: {}})
    await make(client, f"{name}-2", mapping=RENAMED)
    async with engine_of(es_url, table(name)) as engine:
        await engine.open(name)
        await _swap(client, name, f"{name}-1", f"{name}-2")
        changed, again = [await engine.open(name) for _ in range(2)]
        found = await search(engine, name, "no")

        assert len(changed.schema.problems) == 1
        assert 'text_fields: "title" is keyword: it is not text' in changed.schema.problems[0]
        assert again is changed
        assert [each.doc_id for each in found.ranking] == [f"in-{name}-2"]
        assert (found.partial_reason, found.partial != "") == (Reason.MAPPING_CHANGED, True)
        assert len(warnings(caplog)) == 1
        assert changed.schema.problems[0] in warnings(caplog)[0]
        assert f"New: {name}-2. Gone: {name}-1." in warnings(caplog)[0]

        await _swap(client, name, f"{name}-2", f"{name}-1")
        healed = await search(engine, name)

    assert healed.partial == ""
    assert "No longer:" in warnings(caplog)[1]


async def test_a_mapping_that_grows_changes_nothing(
    es_url: str, client: AsyncElasticsearch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make(client, name)
    async with engine_of(es_url, table(name)) as engine:
        first = await engine.open(name)
        await client.indices.put_mapping(index=name, properties={"new": {"type": "text"}})

        assert await engine.open(name) is first
    assert warnings(caplog) == []


@pytest.mark.parametrize("pattern", [False, True], ids=["by name", "by wildcard"])
@pytest.mark.parametrize("how", ["closed", "deleted"])
async def test_an_index_taken_down_while_it_is_searched_is_away_until_it_is_back(
    es_url: str, client: AsyncElasticsearch, name: str, how: str, pattern: bool
) -> None:
    index = f"{name}-1"
    await make(client, index)
    async with engine_of(es_url, table(name, target=f"{name}-*" if pattern else index)) as engine:
        await search(engine, name)
        await (client.indices.close(index=index) if how == "closed" else client.indices.delete(index=index))
        for _ in range(2):
            with pytest.raises(BackendUnavailable) as caught:
                await search(engine, name)
        if how == "closed":
            await client.indices.open(index=index, wait_for_active_shards=1)
        else:
            await make(client, index)
        back = await search(engine, name)

    assert caught.value.hint
    assert len(back.ranking) == 1


async def test_a_closed_index_cannot_be_opened_and_can_later(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    await make(client, name)
    await client.indices.close(index=name)
    async with engine_of(es_url, table(name)) as engine:
        with pytest.raises(BackendUnavailable, match="closed") as caught:
            await engine.open(name)
        await client.indices.open(index=name, wait_for_active_shards=1)
        await engine.open(name)

    assert "_open" in caught.value.hint


async def test_a_red_index_beside_a_good_one_is_told_and_the_fields_stay_as_they_were(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    await make(client, f"{name}-1")
    async with engine_of(es_url, table(name, target=f"{name}-*", doc_id="_index/_id")) as engine:
        first = await engine.open(name)
        nowhere = {"number_of_replicas": 0, "index.routing.allocation.require._name": "nowhere"}
        await client.indices.create(index=f"{name}-2", settings=nowhere, wait_for_active_shards=0)
        found = await search(engine, name)

        assert await engine.open(name) is first
    assert len(found.ranking) == 1
    assert "shards did not answer" in found.partial


async def test_indices_of_a_wildcard_that_do_not_agree_are_told_apart(
    es_url: str, client: AsyncElasticsearch, name: str
) -> None:
    await make(client, f"{name}-1")
    await make(client, f"{name}-2", mapping=RENAMED)
    async with engine_of(es_url, table(name, target=f"{name}-*", doc_id="_index/_id")) as engine:
        with pytest.raises(ConfigurationError) as caught:
            await engine.open(name)

    assert f'text_fields: "title" is keyword in {name}-2 and text in {name}-1' in caught.value.message


async def test_a_wildcard_stands_for_all_its_indices(es_url: str, client: AsyncElasticsearch, name: str) -> None:
    await make(client, f"{name}-1")
    await make(client, f"{name}-2")
    async with engine_of(es_url, table(name, target=f"{name}-*", doc_id="_index/_id")) as engine:
        opened = await engine.open(name)
        found = await search(engine, name)

    assert opened.physical == f"{name}-1,{name}-2"
    assert {each.doc_id for each in found.ranking} == {f"{name}-{n}/in-{name}-{n}" for n in (1, 2)}


async def _swap(client: AsyncElasticsearch, alias: str, old: str, new: str) -> None:
    actions = [{"remove": {"index": old, "alias": alias}}, {"add": {"index": new, "alias": alias}}]
    await client.indices.update_aliases(actions=actions)
