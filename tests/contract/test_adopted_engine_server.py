"""Adopted indices on servers that answer as Elasticsearch does on good and on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from searchsvc.elastic import engine as engine_module
from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    ConfigurationError,
    Overloaded,
    SearchError,
    UnknownIndex,
)
from searchsvc.schema import AdoptedIndex, TextField
from tests.support.embedded import analyzer
from tests.support.recorded_elasticsearch import recorded
from tests.support.scripted_elasticsearch import Answer, fails, hangs, page, says, scripted

ARTICLES = AdoptedIndex(name="articles", target="theirs", text_fields=(TextField(name="title"),))
FORBIDDEN = fails(403, "security_exception", "action [x] is unauthorized, granted by the index privileges [read,all]")
MISSING = says(recorded("error_missing_index")["body"], 404)
NO_OTHERS = says({})


def fields(*names: str, indices: tuple[str, ...] = ("theirs",), kind: str = "text", **more: Any) -> Answer:
    entry = {kind: {"type": kind, "metadata_field": False, "searchable": True, "aggregatable": False}}
    return says({"indices": list(indices), "fields": dict.fromkeys(names, entry), **more})


@asynccontextmanager
async def opened(url: str, index: AdoptedIndex = ARTICLES) -> AsyncIterator[ElasticEngine]:
    engine = ElasticEngine(connect([url]), analyzer(), {index.name: index})
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
def looks_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the index had been idle before every search."""
    monkeypatch.setattr(engine_module, "_ADOPTED_FRESH_S", 0.0)


async def test_an_open_index_costs_no_call() -> None:
    async with scripted(NO_OTHERS, fields("title")) as server, opened(server.url) as engine:
        first, again = [await engine.open("articles") for _ in range(2)]

    assert first is again
    assert first.physical == "theirs"
    assert [request.path for request in server.requests] == ["/*-v*-*/_alias", "/theirs/_field_caps"]


@pytest.mark.usefixtures("looks_every_time")
@pytest.mark.parametrize(
    "trouble",
    [
        fails(503, "no_shard_available_action_exception"),
        fails(400, "index_closed_exception"),
        fails(429, "circuit_breaking_exception"),
        page(502),
        hangs,
        fields("other", failed_indices=1, failures=[{"indices": ["theirs"]}]),
    ],
)
async def test_an_open_index_stays_open_when_a_look_fails(trouble: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_ADOPTED_LOOK_TIMEOUT_S", 0.1)
    async with scripted(NO_OTHERS, fields("title"), trouble) as server, opened(server.url) as engine:
        first = await engine.open("articles")

        assert await engine.open("articles") is first


@pytest.mark.usefixtures("looks_every_time")
async def test_an_index_in_use_is_looked_at_beside_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_PATIENCE_S", 0.0)
    async with (
        scripted(NO_OTHERS, fields("title"), fields("title", indices=("new",))) as server,
        opened(server.url) as engine,
    ):
        first = await engine.open("articles")
        assert await engine.open("articles") is first
        for _ in range(200):
            if (found := await engine.open("articles")) is not first:
                break
            await asyncio.sleep(0.005)

    assert found.physical == "new"


@pytest.mark.usefixtures("looks_every_time")
@pytest.mark.parametrize("gone", [MISSING, fields(indices=())])
async def test_what_was_open_and_is_gone_is_away_and_comes_back(gone: Answer) -> None:
    async with (
        scripted(NO_OTHERS, fields("title"), gone, gone, fields("title")) as server,
        opened(server.url) as engine,
    ):
        await engine.open("articles")
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="'theirs'") as caught:
                await engine.open("articles")
        back = await engine.open("articles")

    assert back.physical == "theirs"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (MISSING, ConfigurationError),
        (fields(indices=()), ConfigurationError),
        (fields("titles"), ConfigurationError),
        (fields("title", kind="keyword"), ConfigurationError),
        (FORBIDDEN, BackendRejected),
        (fails(401, "security_exception"), BackendRejected),
        (page(200, product=True), BackendRejected),
        (says({"fields": {}}), BackendRejected),
        (fails(400, "index_closed_exception"), BackendUnavailable),
        (fails(503, "no_shard_available_action_exception"), BackendUnavailable),
        (fails(429, "circuit_breaking_exception"), Overloaded),
        (hangs, BackendTimeout),
    ],
)
async def test_an_index_that_cannot_be_opened(
    answer: Answer, kind: type[SearchError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_ADOPTED_LOOK_TIMEOUT_S", 0.1)
    async with scripted(NO_OTHERS, answer) as server, opened(server.url) as engine:
        with pytest.raises(SearchError) as caught:
            await engine.open("articles")

    assert type(caught.value) is kind


async def test_a_missing_privilege_is_told_with_the_one_that_is_needed() -> None:
    async with scripted(FORBIDDEN) as server, opened(server.url) as engine:
        with pytest.raises(BackendRejected, match="unauthorized") as caught:
            await engine.open("articles")

    assert "privilege read on theirs" in caught.value.hint


@pytest.mark.usefixtures("looks_every_time")
async def test_rights_that_were_taken_away_close_the_index() -> None:
    async with scripted(NO_OTHERS, fields("title"), FORBIDDEN) as server, opened(server.url) as engine:
        await engine.open("articles")
        with pytest.raises(BackendRejected):
            await engine.open("articles")


async def test_credentials_for_adopted_indices_alone_see_no_others() -> None:
    async with scripted(FORBIDDEN) as server, opened(server.url) as engine:
        names = await engine.names()
        with pytest.raises(UnknownIndex, match="documents"):
            await engine.open("documents")

    assert names == ("articles",)


async def test_without_adopted_indices_a_missing_privilege_is_an_error() -> None:
    async with scripted(FORBIDDEN) as server:
        engine = ElasticEngine(connect([server.url]), analyzer())
        try:
            with pytest.raises(BackendRejected):
                await engine.names()
        finally:
            await engine.close()


@pytest.mark.parametrize("trouble", [fails(401, "security_exception"), fails(400, "x")])
async def test_other_refusals_of_the_list_of_names_are_errors(trouble: Answer) -> None:
    async with scripted(trouble) as server, opened(server.url) as engine:
        with pytest.raises(BackendRejected):
            await engine.names()


async def test_adopted_names_stand_beside_the_published_ones() -> None:
    async with scripted(says(recorded("aliases"))) as server, opened(server.url) as engine:
        assert await engine.names() == ("e-rec", "articles")


async def test_documents_are_looked_at_for_names_outside_the_mapping_alone() -> None:
    index = AdoptedIndex(
        name="articles", target="theirs", text_fields=ARTICLES.text_fields, returned=("a.b", "c.d", "title")
    )
    sample = {"took": 1, "hits": {"hits": [{"_source": {"a": [{"c": 1}, {"b": None}], "c.d": 1}}]}}
    async with scripted(NO_OTHERS, fields("title"), says(sample)) as server, opened(server.url, index) as engine:
        found = await engine.open("articles")

    assert found.schema.problems == ()
    assert server.requests[2].parameters["_source_includes"] == "a.b,c.d"
