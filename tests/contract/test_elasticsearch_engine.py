"""How the engine finds the index behind a name, and what it does when it cannot look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from searchsvc.elastic import engine as engine_module
from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, SearchError, UnknownIndex
from searchsvc.text import Analyzer
from tests.support.recorded_elasticsearch import recorded
from tests.support.scripted_elasticsearch import Answer, fails, hangs, page, says, scripted

OLD, NEW = "documents-v1-20260102030405", "documents-v1-20260102030406"
UNAVAILABLE = fails(503, "no_shard_available_action_exception")
MISSING = says(recorded("error_missing_index")["body"], 404)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def points_to(*indices: str, analyzer: str, product: str = "searchsvc") -> Answer:
    meta = {"product": product, "analyzer": analyzer, "complete": True}
    return says({index: {"mappings": {"_meta": meta}} for index in indices})


@asynccontextmanager
async def opened(url: str, analyzer: Analyzer) -> AsyncIterator[ElasticEngine]:
    engine = ElasticEngine(connect([url]), analyzer)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
def looks_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a second passed between two searches."""
    monkeypatch.setattr(engine_module, "_FRESH_S", 0.0)


async def test_an_open_index_costs_no_call(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint)) as server,
        opened(server.url, analyzer) as engine,
    ):
        first = await engine.open("documents")
        again = await engine.open("documents")

    assert first is again
    assert first.physical == OLD
    assert len(server.requests) == 1


@pytest.mark.usefixtures("looks_every_time")
async def test_the_same_index_stays_the_same_object_and_another_is_noticed(analyzer: Analyzer) -> None:
    old, new = (points_to(index, analyzer=analyzer.fingerprint) for index in (OLD, NEW))
    async with scripted(old, old, new) as server, opened(server.url, analyzer) as engine:
        first, again, other = [await engine.open("documents") for _ in range(3)]

    assert first is again
    assert (first.physical, other.physical) == (OLD, NEW)


@pytest.mark.usefixtures("looks_every_time")
@pytest.mark.parametrize("trouble", [UNAVAILABLE, page(502), hangs, fails(429, "circuit_breaking_exception")])
async def test_an_open_index_stays_open_when_a_look_fails(
    trouble: Answer, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_NEXT_LOOK_TIMEOUT_S", 0.1)
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint), trouble) as server,
        opened(server.url, analyzer) as engine,
    ):
        first = await engine.open("documents")

        assert await engine.open("documents") is first


@pytest.mark.usefixtures("looks_every_time")
async def test_an_index_that_is_taken_down_is_unknown(analyzer: Analyzer) -> None:
    old = points_to(OLD, analyzer=analyzer.fingerprint)
    async with scripted(old, MISSING) as server, opened(server.url, analyzer) as engine:
        await engine.open("documents")
        with pytest.raises(UnknownIndex):
            await engine.open("documents")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (MISSING, UnknownIndex),
        (points_to("documents", analyzer="x"), UnknownIndex),
        (points_to(OLD, analyzer="x", product="other"), BackendRejected),
        (points_to("theirs", analyzer="x"), BackendRejected),
        (points_to(OLD, NEW, analyzer="x"), BackendRejected),
        (points_to(OLD, analyzer="other"), BackendRejected),
        (says({}), BackendRejected),
        (page(200, product=True), BackendRejected),
        (fails(403, "security_exception"), BackendRejected),
        (UNAVAILABLE, BackendUnavailable),
        (hangs, BackendTimeout),
    ],
)
async def test_a_name_that_cannot_be_opened(
    answer: Answer, kind: type[SearchError], analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_FIRST_LOOK_TIMEOUT_S", 0.1)
    async with scripted(answer) as server, opened(server.url, analyzer) as engine:
        with pytest.raises(SearchError) as caught:
            await engine.open("documents")

    assert type(caught.value) is kind


async def test_another_analyser_is_told_with_the_next_step(analyzer: Analyzer) -> None:
    async with scripted(points_to(OLD, analyzer="other")) as server, opened(server.url, analyzer) as engine:
        with pytest.raises(BackendRejected) as caught:
            await engine.open("documents")

    assert "'other'" in caught.value.message
    assert "index swap" in caught.value.hint


@pytest.mark.parametrize("name", ["*", "_all", "a,b", "documents*", "<now>", "../x", ""])
async def test_a_name_with_a_meaning_of_its_own_is_never_sent(name: str, analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint)) as server,
        opened(server.url, analyzer) as engine,
    ):
        with pytest.raises(UnknownIndex):
            await engine.open(name)

    assert server.requests == []


async def test_the_published_names_are_listed(analyzer: Analyzer) -> None:
    async with scripted(says(recorded("aliases"))) as server, opened(server.url, analyzer) as engine:
        names = await engine.names()

    assert names == ("e-rec",)
    assert engine.name == "elasticsearch"


async def test_searches_that_come_together_look_once(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint)) as server,
        opened(server.url, analyzer) as engine,
    ):
        indices: list[Any] = await asyncio.gather(*(engine.open("documents") for _ in range(20)))

    assert len({id(index) for index in indices}) == 1
    assert len(server.requests) == 1
