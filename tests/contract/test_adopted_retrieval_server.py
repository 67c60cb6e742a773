"""What the readers of an adopted index ask of Elasticsearch, and what they make of bad answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from searchsvc.elastic.adopted.retriever import AdoptedPages, AdoptedRetriever
from searchsvc.elastic.adopted.statistics import AdoptedStatistics
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    Forbidden,
    InvalidRequest,
    Overloaded,
    SearchError,
    Unauthenticated,
)
from searchsvc.forms import plain_query
from searchsvc.model import AnyOf, Deadline, Range, RangesFacet, RawFilter, TermsFacet
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, Caller, FieldKind, IndexField, IndexSchema, TextField
from tests.support.embedded import analyzer
from tests.support.recorded_elasticsearch import recorded
from tests.support.requests import wanted
from tests.support.scripted_elasticsearch import Answer, cut_json, fails, hangs, page, says, scripted

ARTICLES = AdoptedIndex(name="articles", target="theirs-*", text_fields=(TextField(name="title"),), title="title")
SCHEMA = IndexSchema(fields={"stars": IndexField(name="stars", kind=FieldKind.NUMBER)})
FOUND = {**recorded("search_explained"), "pit_id": "point-2"}
COUNTED = {**recorded("search_empty"), "aggregations": {"df": {"buckets": [{"doc_count": 3}]}}}
PARTLY = {**FOUND, "_shards": recorded("search_shard_failed")["_shards"]}
CALLER = Caller("Basic ZXZlOnNlY3JldA==")
NO_VALUE = says(
    {
        "error": {
            "type": "search_phase_execution_exception",
            "root_cause": [{"type": "query_shard_exception", "reason": "failed to create query: Value [3e9] is no"}],
        },
        "status": 400,
    },
    400,
)

Doing = Callable[["Readers", RetrieveRequest], Awaitable[Any]]


class Readers:
    def __init__(self, searches: Searches, index: AdoptedIndex) -> None:
        self.retriever = AdoptedRetriever(searches, index, SCHEMA)
        self.statistics = AdoptedStatistics(searches, index, SCHEMA, analyzer())
        self.pages = AdoptedPages(searches, index, SCHEMA)


async def retrieving(readers: Readers, request: RetrieveRequest) -> Any:
    return await readers.retriever.retrieve(request)


async def counting(readers: Readers, request: RetrieveRequest) -> Any:
    return await readers.statistics.document_frequencies(["a"], deadline=request.deadline, caller=request.caller)


async def paging(readers: Readers, request: RetrieveRequest) -> Any:
    return await readers.pages.base(request, start=0, view="point-1")


async def fetching(readers: Readers, request: RetrieveRequest) -> Any:
    return await readers.pages.documents(request, ["kb-1"])


EVERY = (retrieving, counting, paging, fetching)


@asynccontextmanager
async def readers(url: str, index: AdoptedIndex = ARTICLES) -> AsyncIterator[Readers]:
    client = connect((url,), username="svc", password="service-password")
    try:
        yield Readers(Searches(client), index)
    finally:
        await client.close()


def request(**more: Any) -> RetrieveRequest:
    return wanted(plain_query("python", ["python"]), **more)


async def test_a_search_is_one_call_that_pins_and_names_nothing() -> None:
    async with scripted(says(FOUND)) as server, readers(server.url) as ours:
        found = await ours.retriever.retrieve(request())
    (asked,) = server.requests

    assert (asked.method, asked.path, set(asked.parameters)) == ("POST", "/theirs-*/_search", {"timeout"})
    assert json.loads(asked.body)["query"] == {"match": {"title": {"query": "python", "boost": 1.0}}}
    assert [each.doc_id for each in found.ranking] == ["kb-1", "kb-2", "kb-3"]
    assert found.detail == {"index": "theirs-*", "server_took_ms": 7.0, "attempts": 1}


async def test_names_are_scored_only_where_they_are_measured() -> None:
    async with scripted(says(FOUND)) as server, readers(server.url) as ours:
        for more in ({}, {"expanding": True}, {"explain": True}):
            await ours.retriever.retrieve(request(**more))

    assert ["include_named_queries_score" in each.parameters for each in server.requests] == [False, True, True]


@pytest.mark.parametrize("doing", EVERY)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (fails(503, "search_phase_execution_exception"), BackendUnavailable),
        (fails(400, "index_closed_exception"), BackendUnavailable),
        (fails(404, "index_not_found_exception"), (BackendUnavailable, InvalidRequest)),
        (fails(429, "es_rejected_execution_exception"), Overloaded),
        (fails(403, "security_exception"), BackendRejected),
        (fails(400, "parsing_exception"), (BackendRejected, InvalidRequest)),
        (page(400), BackendRejected),
        (page(502), BackendUnavailable),
        (page(200, product=True), BackendRejected),
        (cut_json(), BackendUnavailable),
        (says({"hits": {}}), BackendRejected),
        (says([]), BackendRejected),
        (hangs, BackendTimeout),
    ],
)
async def test_what_goes_wrong_is_told_as_what_it_is(doing: Doing, answer: Answer, kind: type[SearchError]) -> None:
    """A view that is gone or no view at all is the cursor's fault."""
    async with scripted(answer) as server, readers(server.url) as ours:
        deadline = Deadline.after_ms(150) if answer is hangs else Deadline.after_ms(20_000)
        with pytest.raises(kind) as caught:
            await doing(ours, request(deadline=deadline, filters=(AnyOf(field="stars", values=(1,)),)))

    if isinstance(caught.value, BackendUnavailable) and answer not in (hangs,):
        assert caught.value.hint


@pytest.mark.parametrize("doing", [counting, paging, fetching])
async def test_a_part_is_no_answer_to_counting_and_paging(doing: Doing) -> None:
    async with scripted(says(PARTLY)) as server, readers(server.url) as ours:
        with pytest.raises(BackendUnavailable, match="1 of 2 shards"):
            await doing(ours, request())


async def test_a_part_is_an_answer_to_a_search_and_said() -> None:
    async with scripted(says(PARTLY)) as server, readers(server.url) as ours:
        found = await ours.retriever.retrieve(request())

    assert "1 of 2 shards" in found.partial
    assert len(found.ranking) == 3


@pytest.mark.parametrize("doing", EVERY)
async def test_every_call_runs_in_the_callers_name(doing: Doing) -> None:
    answer = says({**FOUND, **COUNTED, "hits": FOUND["hits"]})
    async with scripted(answer) as server, readers(server.url) as ours:
        await doing(ours, request(caller=CALLER))
        await doing(ours, request())

    assert [each.authorization for each in server.requests[:1]] == [CALLER.authorization]
    assert server.requests[1].authorization.startswith("Basic c3ZjOn")


async def test_a_point_in_time_is_opened_in_the_callers_name_on_the_name_as_it_is() -> None:
    async with scripted(says({"id": "point-1"}), says(FOUND)) as server, readers(server.url) as ours:
        found = await ours.pages.base(request(caller=CALLER, top_k=2), start=0, view="")

    assert [each.path for each in server.requests] == ["/theirs-*/_pit", "/_search"]
    assert {each.authorization for each in server.requests} == {CALLER.authorization}
    assert (len(found.candidates), found.last, found.view) == (2, False, "point-2")


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (403, Forbidden)])
@pytest.mark.parametrize("doing", EVERY)
async def test_what_a_caller_may_not_is_the_callers(doing: Doing, status: int, kind: type[SearchError]) -> None:
    async with scripted(fails(status, "security_exception", "user [eve]")) as server, readers(server.url) as ours:
        with pytest.raises(kind) as caught:
            await doing(ours, request(caller=CALLER))

    assert "eve" not in str(caught.value)


@pytest.mark.parametrize("doing", [retrieving, fetching])
@pytest.mark.parametrize(
    ("condition", "answer", "pointer"),
    [
        (RawFilter(query={"tem": {}}), fails(400, "parsing_exception"), "/filters/es"),
        (AnyOf(field="stars", values=(3e9,)), NO_VALUE, "/filters"),
        (AnyOf(field="stars", values=(10**30,)), NO_VALUE, "/filters"),
    ],
)
async def test_filters_that_elasticsearch_refuses_are_the_callers(doing: Doing, condition, answer, pointer) -> None:
    async with scripted(answer) as server, readers(server.url) as ours:
        with pytest.raises(InvalidRequest) as caught:
            await doing(ours, request(filters=(condition,)))

    assert caught.value.pointer == pointer


async def test_an_explanation_that_cannot_be_had_costs_nothing_but_itself() -> None:
    index = replace(ARTICLES, target="theirs")
    async with scripted(says(FOUND), fails(403, "security_exception")) as server, readers(server.url, index) as ours:
        found = await ours.retriever.retrieve(request(explain=True, caller=CALLER))

    assert found.detail["analysed"] == {}
    assert {each.authorization for each in server.requests} == {CALLER.authorization}
    assert [each.path for each in server.requests] == ["/theirs/_search", "/_mtermvectors"]


async def test_a_name_with_signs_of_its_own_stays_one_name() -> None:
    index = replace(ARTICLES, target="<logs-{now/d}>,other")
    async with scripted(says(FOUND)) as server, readers(server.url, index) as ours:
        await ours.retriever.retrieve(request())

    assert server.requests[0].path == "/<logs-{now/d}>,other/_search"


BOUND_REFUSED = says(
    {
        "error": {
            "type": "search_phase_execution_exception",
            "reason": "all shards failed",
            "failed_shards": [
                {
                    "reason": {
                        "type": "illegal_argument_exception",
                        "reason": "Value [3e9] is out of range for an integer",
                    }
                }
            ],
        },
        "status": 400,
    },
    400,
)


async def test_a_bound_of_a_facet_that_the_field_cannot_have_is_the_mistake_of_whoever_asks() -> None:
    counted = RangesFacet(field="stars", ranges=(Range(field="stars", gte=3e9),))
    async with scripted(BOUND_REFUSED) as server, readers(server.url) as ours:
        with pytest.raises(InvalidRequest, match="out of range") as caught:
            await ours.retriever.retrieve(request(facets=(counted,)))
    assert caught.value.pointer == "/facets"


async def test_without_bounds_what_shards_refuse_is_the_fault_of_the_table() -> None:
    async with scripted(BOUND_REFUSED) as server, readers(server.url) as ours:
        with pytest.raises(BackendRejected):
            await ours.retriever.retrieve(request(facets=(TermsFacet(field="stars"),)))


async def test_a_raw_filter_that_reads_elsewhere_is_forbidden_without_a_word_of_the_services_account() -> None:
    reason = "action [indices:data/read/get] is unauthorized for user [svc] with effective roles [reader]"
    refused = says({"error": {"type": "security_exception", "reason": reason}, "status": 403}, 403)
    raw = RawFilter(query={"terms": {"tags": {"index": "secrets", "id": "1", "path": "tags"}}})
    async with scripted(refused) as server, readers(server.url) as ours:
        with pytest.raises(Forbidden) as caught:
            await ours.retriever.retrieve(request(filters=(raw,)))
    assert "svc" not in str(caught.value)
