"""How the engine finds the index behind a name, and what it does when it cannot look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from searchsvc.elastic import engine as engine_module
from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, SearchError, UnknownIndex
from searchsvc.protocols import OpenIndex
from searchsvc.text import Analyzer
from tests.support.model_servers import serving
from tests.support.recorded_elasticsearch import recorded
from tests.support.scripted_elasticsearch import Answer, fails, hangs, page, says, scripted

OLD, NEW = "documents-v1-20260102030405", "documents-v1-20260102030406"
UNAVAILABLE = fails(503, "no_shard_available_action_exception")
MISSING = says(recorded("error_missing_index")["body"], 404)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def points_to(*indices: str, analyzer: str, product: str = "searchsvc", vocabulary: bool = False) -> Answer:
    meta = {"product": product, "analyzer": analyzer, "complete": True}
    if vocabulary:
        meta |= {"vocabulary": True, "load": {"token": "1", "began_at": "2026-01-02T03:04:05+00:00"}}
    return says({index: {"mappings": {"_meta": meta}} for index in indices})


def head(*, analyzer: str = "", version: int = 1) -> Any:
    """The head of a vocabulary, found."""
    about = {"version": version, "words": 0, "documents": 0, "encoder": "use-multilingual-v3", "analyzer": analyzer}
    hit = {"_index": f"{OLD}-terms-1", "_id": "/head", "_score": 1.0, "_source": {"place": -1, "head": about}}
    return {"took": 1, "timed_out": False, "_shards": {"total": 1, "failed": 0}, "hits": {"hits": [hit]}}


@asynccontextmanager
async def opened(url: str, analyzer: Analyzer) -> AsyncIterator[ElasticEngine]:
    engine = ElasticEngine(connect([url]), analyzer)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
def looks_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the index had been idle before every search."""
    monkeypatch.setattr(engine_module, "_FRESH_S", 0.0)
    monkeypatch.setattr(engine_module, "_RECENT_S", 0.0)


@pytest.fixture
def looks_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_searches_that_come_together_look_once(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint)) as server,
        opened(server.url, analyzer) as engine,
    ):
        indices: list[Any] = await asyncio.gather(*(engine.open("documents") for _ in range(20)))

    assert len({id(index) for index in indices}) == 1
    assert len(server.requests) == 1


@pytest.mark.usefixtures("looks_in_the_background")
async def test_an_open_index_is_served_at_once_while_the_look_at_its_alias_hangs(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint), hangs) as server,
        opened(server.url, analyzer) as engine,
    ):
        first = await engine.open("documents")
        for _ in range(20):
            async with asyncio.timeout(0.1):
                assert await engine.open("documents") is first
            await asyncio.sleep(0.005)

    assert len(server.requests) == 2


@pytest.mark.usefixtures("looks_every_time")
async def test_an_index_that_was_idle_is_served_after_a_moment_while_the_look_hangs(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint), hangs) as server,
        opened(server.url, analyzer) as engine,
    ):
        first = await engine.open("documents")
        async with asyncio.timeout(0.35):
            assert await engine.open("documents") is first


@pytest.mark.usefixtures("looks_in_the_background")
@pytest.mark.parametrize("later", [MISSING, points_to(OLD, analyzer="other"), points_to(NEW, analyzer="other")])
async def test_a_look_in_the_background_closes_what_may_not_be_searched_any_more(
    later: Answer, analyzer: Analyzer
) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint), later) as server,
        opened(server.url, analyzer) as engine,
    ):
        first = await engine.open("documents")
        assert await engine.open("documents") is first
        with pytest.raises((UnknownIndex, BackendRejected)):
            await _until_other(engine, first)


@pytest.mark.usefixtures("looks_in_the_background")
async def test_a_swap_is_noticed_in_the_background(analyzer: Analyzer) -> None:
    old, new = (points_to(index, analyzer=analyzer.fingerprint) for index in (OLD, NEW))
    async with scripted(old, new) as server, opened(server.url, analyzer) as engine:
        first = await engine.open("documents")
        assert await engine.open("documents") is first

        assert (await _until_other(engine, first)).physical == NEW


async def _until_other(engine: ElasticEngine, first: OpenIndex) -> OpenIndex:
    for _ in range(200):
        found = await engine.open("documents")
        if found is not first:
            return found
        await asyncio.sleep(0.005)
    pytest.fail("it stayed the same")


async def test_a_first_look_goes_on_when_the_search_that_began_it_has_no_time_left(analyzer: Analyzer) -> None:
    answer = points_to(OLD, analyzer=analyzer.fingerprint)
    asked: list[str] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        await asyncio.sleep(0.2)
        found = answer()
        assert found is not None
        return found

    async with serving(slow) as url, opened(url, analyzer) as engine:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await engine.open("documents")
        opened_late = await engine.open("documents")

    assert opened_late.physical == OLD
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (MISSING, "is gone. Load its documents again"),
        (fails(403, "security_exception"), "grant it the index privilege read"),
        (says(head(analyzer="other")), "by another version. Load its documents again"),
        (says(head(version=2)), "by another version. Load its documents again"),
        (UNAVAILABLE, "could not be read"),
    ],
)
async def test_an_index_whose_words_cannot_be_read_is_open_without_them_and_says_why(
    answer: Answer, said: str, analyzer: Analyzer
) -> None:
    ours = points_to(OLD, analyzer=analyzer.fingerprint, vocabulary=True)
    async with scripted(ours, answer) as server, opened(server.url, analyzer) as engine:
        index = await engine.open("documents")

    assert index.physical == OLD
    assert index.neighbours is None
    assert said in index.no_neighbours
    assert server.requests[1].path == f"/{OLD}-terms/_search"


async def test_an_index_of_an_earlier_version_has_no_words_and_says_what_to_do(analyzer: Analyzer) -> None:
    async with (
        scripted(points_to(OLD, analyzer=analyzer.fingerprint)) as server,
        opened(server.url, analyzer) as engine,
    ):
        index = await engine.open("documents")

    assert "Load its documents again" in index.no_neighbours


@pytest.mark.usefixtures("looks_every_time")
async def test_words_that_could_not_be_read_for_a_moment_are_there_after_the_next_look(analyzer: Analyzer) -> None:
    ours = points_to(OLD, analyzer=analyzer.fingerprint, vocabulary=True)
    found = says(head(analyzer=analyzer.fingerprint))
    async with scripted(ours, UNAVAILABLE, UNAVAILABLE, ours, found) as server, opened(server.url, analyzer) as engine:
        first, second = await engine.open("documents"), await engine.open("documents")

    assert (first.neighbours is None, second.neighbours is None) == (True, False)


async def test_closing_ends_a_look_that_hangs(analyzer: Analyzer) -> None:
    async with scripted(hangs) as server:
        before = asyncio.all_tasks()
        async with opened(server.url, analyzer) as engine:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await engine.open("documents")

        assert [task for task in asyncio.all_tasks() - before if task.get_name() == "opening documents"] == []
