"""State on a real Elasticsearch: the index that it makes, writes whose answer is lost, answers of something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import state as module
from searchsvc.elastic.state import ElasticsearchStateStore
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, Conflict, Overloaded
from searchsvc.state.choice import ChosenStateStore
from searchsvc.state.sqlite import SqliteStateStore
from tests.support.elastic import own_name, raw_client
from tests.support.model_servers import serving
from tests.support.scripted_elasticsearch import PRODUCT, Answer, cut_json, fails, hangs, page, says, scripted


@pytest.fixture
async def client(es_url: str) -> AsyncIterator[AsyncElasticsearch]:
    async with raw_client(es_url) as client:
        yield client


@pytest.fixture
async def index(client: AsyncElasticsearch) -> AsyncIterator[str]:
    name = own_name()
    yield name
    await client.indices.delete(index=name, ignore_unavailable=True)


@dataclass(slots=True)
class Between:
    """Stands between the service and Elasticsearch and spoils the next writes, in this order."""

    target: str
    spoil: list[str] = field(default_factory=list)
    """`refused`: a gateway answers in its place. `lost`: it is not passed on. `no answer`: it is, and the connection
    closed. `late`: it is, and never answered."""
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Done before the answer to a spoiled write fails."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_write = request.method == "PUT" and "/_doc/" in request.path
        how = self.spoil.pop(0) if is_write and self.spoil else ""
        if how == "refused":
            return web.Response(status=503, text="no upstream")
        if how != "lost":
            answer = await self._passed_on(request)
        if how and self.meanwhile is not None:
            await self.meanwhile()
        if how == "late":
            await asyncio.sleep(60)
        if how:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer

    async def _passed_on(self, request: web.Request) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                f"{self.target}{request.path_qs}",
                data=await request.read(),
                headers={name: request.headers[name] for name in ("accept", "content-type") if name in request.headers},
            ) as reply,
        ):
            return web.Response(
                body=await reply.read(), status=reply.status, headers=PRODUCT, content_type=reply.content_type
            )


@asynccontextmanager
async def between(es_url: str, index: str, *spoil: str) -> AsyncIterator[tuple[ElasticsearchStateStore, Between]]:
    proxy = Between(es_url, list(spoil))
    async with serving(proxy.handle) as url, raw_client(url) as client:
        yield ElasticsearchStateStore(client, index), proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.4)


@pytest.mark.es
async def test_the_index_is_hidden_and_maps_no_content(client: AsyncElasticsearch, index: str) -> None:
    store = ElasticsearchStateStore(client, index)
    await store.write("switches", "live", {"a": 1, "b": {"c": "text"}}, expected=None)
    found = (await client.indices.get(index=index)).body[index]
    everywhere = await client.search(index="*", query={"term": {"kind": "switches"}})

    assert set(found["mappings"]["properties"]) == {"kind", "name"}
    assert found["mappings"]["_meta"] == {"product": "searchsvc", "mapping": "state.v1"}
    assert index not in {hit["_index"] for hit in everywhere.body["hits"]["hits"]}


@pytest.mark.es
async def test_reading_and_writing_over_something_make_no_index(client: AsyncElasticsearch, index: str) -> None:
    store = ElasticsearchStateStore(client, index)
    await store.read("switches", "live")
    await store.names("switches")
    with pytest.raises(Conflict):
        await store.write("switches", "live", {}, expected="0-1")

    assert not await client.indices.exists(index=index)


@pytest.mark.es
async def test_an_index_deleted_while_it_runs_is_made_again_as_it_was(client: AsyncElasticsearch, index: str) -> None:
    store = ElasticsearchStateStore(client, index)
    revision = await store.write("switches", "live", {"a": 1}, expected=None)
    await client.indices.delete(index=index)
    with pytest.raises(Conflict):
        await store.write("switches", "live", {"a": 2}, expected=revision)
    await store.write("switches", "live", {"a": 3}, expected=None)

    found = (await client.indices.get_mapping(index=index)).body[index]
    assert set(found["mappings"]["properties"]) == {"kind", "name"}
    assert await store.names("switches") == ("live",)


@pytest.mark.es
async def test_more_names_than_a_page(client: AsyncElasticsearch, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    store = ElasticsearchStateStore(client, index)
    for name in ("d", "b", "c", "a"):
        await store.write("mapping", name, {}, expected=None)

    assert await store.names("mapping") == ("a", "b", "c", "d")


@pytest.mark.es
@pytest.mark.parametrize("how", ["refused", "lost", "no answer", "late"])
@pytest.mark.usefixtures("impatient")
async def test_a_write_without_an_answer_takes_effect_once(
    es_url: str, index: str, how: str, client: AsyncElasticsearch
) -> None:
    async with between(es_url, index) as (store, proxy):
        first = await store.write("switches", "live", {"a": 1}, expected=None)
        proxy.spoil = [how]
        second = await store.write("switches", "live", {"a": 2}, expected=first)
        stored = await store.read("switches", "live")
    kept = await client.search(index=index, version=True)

    assert proxy.spoil == []
    assert stored is not None
    assert (stored.value, stored.revision) == ({"a": 2}, second)
    assert [hit["_version"] for hit in kept.body["hits"]["hits"]] == [2]


@pytest.mark.es
@pytest.mark.parametrize("how", ["refused", "lost", "no answer"])
async def test_a_first_write_without_an_answer_takes_effect_once(
    es_url: str, index: str, how: str, client: AsyncElasticsearch
) -> None:
    async with between(es_url, index, how) as (store, _):
        revision = await store.write("switches", "live", {"a": 1}, expected=None)
        stored = await store.read("switches", "live")
    kept = await client.search(index=index, version=True)

    assert stored is not None
    assert (stored.value, stored.revision) == ({"a": 1}, revision)
    assert [hit["_version"] for hit in kept.body["hits"]["hits"]] == [1]


@pytest.mark.es
async def test_a_lost_write_after_which_somebody_else_wrote_the_same_content_is_a_conflict(
    es_url: str, index: str, client: AsyncElasticsearch
) -> None:
    other = ElasticsearchStateStore(client, index)
    first = await other.write("counter", "all", {"n": 1}, expected=None)
    async with between(es_url, index, "lost") as (store, proxy):
        proxy.meanwhile = partial(other.write, "counter", "all", {"n": 2}, expected=first)
        with pytest.raises(Conflict):
            await store.write("counter", "all", {"n": 2}, expected=first)


@pytest.mark.es
async def test_a_write_that_is_always_lost_tells_so(es_url: str, index: str) -> None:
    async with between(es_url, index, *["lost"] * 10) as (store, proxy):
        with pytest.raises(BackendUnavailable):
            await store.write("switches", "live", {"a": 1}, expected=None)
        assert await store.read("switches", "live") is None

    assert 6 <= len(proxy.spoil) <= 8  # two attempts; aiohttp repeats a PUT on a connection that was used before


@pytest.mark.es
async def test_on_a_cluster_without_security_the_store_is_elasticsearch(
    client: AsyncElasticsearch, index: str, tmp_path
) -> None:
    store = ChosenStateStore(ElasticsearchStateStore(client, index), SqliteStateStore(tmp_path))
    before = store.place
    await store.write("switches", "live", {"a": 1}, expected=None)

    assert (before, store.place) == ("undecided", "elasticsearch")
    assert list(tmp_path.iterdir()) == []
    assert await client.indices.exists(index=index)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (page(404, product=True), BackendRejected),
        (page(200, product=True), BackendRejected),
        (says([]), BackendRejected),
        (says({"found": True, "_source": {}}), BackendRejected),
        (says({"_source": {"value": "[1]", "write_id": "x"}, "_seq_no": 1, "_primary_term": 1}), BackendRejected),
        (says({"_source": {"value": "{", "write_id": "x"}, "_seq_no": 1, "_primary_term": 1}), BackendRejected),
        (cut_json(), BackendUnavailable),
        (fails(403, "security_exception"), BackendRejected),
        (fails(429, "es_rejected_execution_exception"), Overloaded),
        (fails(503, "no_shard_available_action_exception"), BackendUnavailable),
    ],
)
async def test_an_answer_that_is_no_state_is_an_error_of_ours(answer: Answer, error: type[Exception]) -> None:
    async with scripted(answer) as server, raw_client(server.url) as client:
        store = ElasticsearchStateStore(client)
        with pytest.raises(error):
            await store.read("switches", "live")


@pytest.mark.usefixtures("impatient")
async def test_while_the_cluster_does_not_answer_nothing_is_decided(tmp_path) -> None:
    allowed = says({"has_all_requested": False})
    async with scripted(hangs, allowed) as server, raw_client(server.url) as client:
        store = ChosenStateStore(ElasticsearchStateStore(client), SqliteStateStore(tmp_path))
        with pytest.raises(BackendTimeout):
            await store.read("switches", "live")
        undecided = store.place
        await store.write("switches", "live", {"a": 1}, expected=None)
        await store.read("switches", "live")

    assert (undecided, store.place) == ("undecided", "sqlite")
    assert len(server.requests) == 2  # decided once
