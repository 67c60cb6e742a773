"""What pages do when Elasticsearch does not answer as it should, and what they ask of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.elastic.pages import MAX_PLACES, ElasticPages
from searchsvc.errors import BackendRejected, BackendTimeout, BackendUnavailable, Forbidden, InvalidRequest, SearchError
from searchsvc.model import Deadline, TermsFacet, WeightedQuery, WeightedTerm
from searchsvc.schema import Caller
from tests.support.recorded_elasticsearch import recorded
from tests.support.requests import wanted
from tests.support.scripted_elasticsearch import Answer, fails, hangs, says, scripted

INDEX = "documents-v1-20260102030405"
QUERY = WeightedQuery(text="", terms=(WeightedTerm(term="python", weight=1.0),))
OPENED = says({"id": "point-1"})
FULL = says({**recorded("search_explained"), "pit_id": "point-2"})
SHARD_FAILED = says({**recorded("search_shard_failed"), "pit_id": "point-2"})
GONE = fails(404, "search_context_missing_exception")
NO_POINT = fails(400, "illegal_argument_exception", "java.io.EOFException")
REFUSED_BY_SHARDS = says({"error": {"type": "search_phase_execution_exception", "failed_shards": []}}, 400)
NO_INDEX = fails(404, "index_not_found_exception")


def _lost_a_shard() -> dict[str, Any]:
    reply = {**recorded("search_shard_failed"), "pit_id": "point-2"}
    for failure in reply["_shards"]["failures"]:
        failure["reason"]["type"] = "search_context_missing_exception"
    return reply


def _no_shards() -> dict[str, Any]:
    shards = {"total": 0, "successful": 0, "skipped": 0, "failed": 0}
    hits = {"total": {"value": 0, "relation": "eq"}, "max_score": 0.0, "hits": []}
    return {"pit_id": "AAAA", "took": 0, "timed_out": False, "_shards": shards, "hits": hits}


@asynccontextmanager
async def pages(url: str) -> AsyncIterator[ElasticPages]:
    client = connect((url,))
    try:
        yield ElasticPages(Searches(client), INDEX)
    finally:
        await client.close()


async def test_a_first_stretch_opens_a_view_and_a_later_one_goes_on_in_it() -> None:
    async with scripted(OPENED, FULL, FULL) as server, pages(server.url) as ours:
        facets = (TermsFacet(field="lang"),)
        first = await ours.base(wanted(QUERY, top_k=2, facets=facets, explain=True), start=0, view="")
        later = await ours.base(wanted(QUERY, top_k=3), start=2, view=first.view)
    opening, searching, again = server.requests

    assert (opening.method, opening.path, opening.parameters) == ("POST", f"/{INDEX}/_pit", {"keep_alive": "5m"})
    assert (searching.path, again.path) == ("/_search", "/_search")
    body, next_body = json.loads(searching.body), json.loads(again.body)
    assert (body["from"], body["size"], body["pit"]) == (0, 3, {"id": "point-1", "keep_alive": "5m"})
    assert (next_body["from"], next_body["size"], next_body["pit"]["id"]) == (2, 4, "point-2")
    assert "aggs" not in body
    assert "preference" not in searching.parameters
    assert (len(first.candidates), first.last) == (2, False)
    assert (len(later.candidates), later.last) == (3, True)


@pytest.mark.parametrize(
    ("script", "view", "error"),
    [
        ((GONE,), "point-1", InvalidRequest),
        ((NO_INDEX,), "point-1", InvalidRequest),
        ((says(_lost_a_shard()),), "point-1", InvalidRequest),
        ((SHARD_FAILED,), "point-1", BackendUnavailable),
        ((NO_POINT,), "forged", InvalidRequest),
        ((says(_no_shards()),), "forged", InvalidRequest),
        ((REFUSED_BY_SHARDS,), "point-1", BackendRejected),
        ((OPENED, NO_POINT), "", BackendRejected),
        ((says(recorded("search_explained")),), "point-1", BackendRejected),
        ((NO_INDEX,), "", BackendUnavailable),
        ((says({"wrong": 1}),), "", BackendRejected),
        ((hangs,), "", BackendTimeout),
    ],
)
async def test_a_stretch_that_cannot_be_whole_is_an_error(
    script: tuple[Answer, ...], view: str, error: type[SearchError]
) -> None:
    async with scripted(*script) as server, pages(server.url) as ours:
        with pytest.raises(error) as caught:
            await ours.base(wanted(QUERY, deadline=Deadline.after_ms(300)), start=0, view=view)

    if isinstance(caught.value, InvalidRequest):
        assert caught.value.pointer == "/cursor"


async def test_pages_end_where_the_window_of_elasticsearch_does() -> None:
    async with scripted(FULL) as server, pages(server.url) as ours:
        page = await ours.base(wanted(QUERY, top_k=50), start=MAX_PLACES - 3, view="point-1")
        with pytest.raises(InvalidRequest, match="end after 10000 documents"):
            await ours.base(wanted(QUERY, top_k=50), start=MAX_PLACES, view="point-1")
    (request,) = server.requests

    assert json.loads(request.body)["size"] == 3
    assert (len(page.candidates), page.last) == (3, False)


async def test_a_query_without_terms_has_one_empty_page_and_costs_no_call() -> None:
    async with scripted(FULL) as server, pages(server.url) as ours:
        page = await ours.base(wanted(WeightedQuery(text="?", terms=())), start=0, view="")
        found = await ours.documents(wanted(QUERY), [])

    assert (page.candidates, page.last) == ((), True)
    assert found == {}
    assert server.requests == []


async def test_every_call_is_made_in_the_name_of_the_caller() -> None:
    caller = Caller("Basic dXNlcjpzZWNyZXQ=")
    async with scripted(OPENED, FULL, FULL) as server, pages(server.url) as ours:
        await ours.base(wanted(QUERY, caller=caller), start=0, view="")
        await ours.documents(wanted(QUERY, caller=caller), ["kb-1"])

    assert [request.authorization for request in server.requests] == [caller.authorization] * 3


@pytest.mark.parametrize("view", ["", "point-1"])
async def test_what_the_caller_may_not_see_is_forbidden(view: str) -> None:
    async with scripted(fails(403, "security_exception")) as server, pages(server.url) as ours:
        with pytest.raises(Forbidden):
            await ours.base(wanted(QUERY, caller=Caller("Basic x")), start=0, view=view)


@pytest.mark.parametrize(("answer", "error"), [(NO_INDEX, BackendUnavailable), (SHARD_FAILED, BackendUnavailable)])
async def test_documents_that_cannot_all_be_looked_for_are_an_error(answer: Answer, error: type[SearchError]) -> None:
    async with scripted(answer) as server, pages(server.url) as ours:
        with pytest.raises(error):
            await ours.documents(wanted(QUERY), ["kb-1"])


async def test_ids_that_no_document_can_have_are_not_asked_for() -> None:
    async with scripted(FULL) as server, pages(server.url) as ours:
        await ours.documents(wanted(QUERY), ["x" * 40_000, "kb-1", "\ud800"])
        assert await ours.documents(wanted(QUERY), ["x" * 40_000]) == {}
    (request,) = server.requests

    assert json.loads(request.body)["size"] == 1
