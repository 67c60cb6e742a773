"""What a search does when Elasticsearch does not answer as it should: the class of the error, the calls, the time."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.elastic.retriever import ElasticRetriever
from searchsvc.elastic.statistics import ElasticStatistics
from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    Overloaded,
    SearchError,
)
from searchsvc.model import Deadline, WeightedQuery, WeightedTerm
from searchsvc.result import Retrieval
from tests.support.embedded import analyzer
from tests.support.model_servers import serving_raw
from tests.support.recorded_elasticsearch import recorded
from tests.support.requests import wanted
from tests.support.scripted_elasticsearch import (
    Answer,
    Server,
    cut_json,
    fails,
    hangs,
    page,
    says,
    scripted,
    without_product,
)

INDEX = "documents-v1-20260102030405"
DEADLINE_MS = 800
SLACK_MS = 400
NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""

FULL = says(recorded("search_explained"))
TIMED_OUT = says(recorded("search_timed_out"))
SHARD_FAILED = says(recorded("search_shard_failed"))
PARTLY_OVERLOADED = says(recorded("search_partly_overloaded"))
UNAVAILABLE = fails(503, "no_shard_available_action_exception")

Outcome = TypeVar("Outcome")


def query(*terms: str) -> WeightedQuery:
    return WeightedQuery(text="", terms=tuple(WeightedTerm(term=term, weight=1.0) for term in terms))


@asynccontextmanager
async def searches(*urls: str) -> AsyncIterator[Searches]:
    client = connect(urls)
    try:
        yield Searches(client)
    finally:
        await client.close()


async def retrieve(url: str, *more: str, deadline_ms: float = DEADLINE_MS, explain: bool = False) -> Retrieval:
    async with searches(url, *more) as through:
        return await ElasticRetriever(through, INDEX).retrieve(
            wanted(query("python", "失败"), deadline=Deadline.after_ms(deadline_ms), explain=explain)
        )


async def timed(work: Callable[[], Awaitable[Outcome]]) -> tuple[Outcome | SearchError, float]:
    """What came of it, and the milliseconds that it took."""
    started = time.monotonic()
    try:
        outcome: Outcome | SearchError = await work()
    except SearchError as error:
        outcome = error
    return outcome, (time.monotonic() - started) * 1000


async def test_a_full_answer_takes_one_call() -> None:
    async with scripted(FULL) as server:
        retrieval = await retrieve(server.url, explain=True)

    assert [each.doc_id for each in retrieval.ranking] == ["kb-1", "kb-2", "kb-3"]
    assert retrieval.total.value == 3
    assert retrieval.partial == ""
    assert retrieval.detail == {"index": INDEX, "terms": 2, "server_took_ms": 7.0, "attempts": 1}
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", f"/{INDEX}/_search")
    assert request.parameters["include_named_queries_score"] == "true"
    assert json.loads(request.body)["size"] == 10


async def test_the_server_is_told_to_stop_before_we_stop_listening() -> None:
    async with scripted(FULL) as server:
        await retrieve(server.url, deadline_ms=1000)
    server_ms = int(server.requests[0].parameters["timeout"].removesuffix("ms"))

    assert 300 <= server_ms < 500


async def test_a_query_without_terms_finds_nothing_and_costs_no_call() -> None:
    async with scripted(FULL) as server, searches(server.url) as through:
        retrieval = await ElasticRetriever(through, INDEX).retrieve(wanted(query()))

    assert len(retrieval.ranking) == 0
    assert retrieval.total.value == 0
    assert server.requests == []


async def test_a_query_goes_to_the_same_copy_every_time_and_others_to_others() -> None:
    async with scripted(FULL) as server, searches(server.url) as through:
        retriever = ElasticRetriever(through, INDEX)
        for terms in (("a", "b"), ("a", "b"), ("a", "c")):
            await retriever.retrieve(wanted(query(*terms), top_k=1, deadline=Deadline.after_ms(DEADLINE_MS)))
    first, again, other = (request.parameters["preference"] for request in server.requests)

    assert first == again != other
    assert not first.startswith("_")


@pytest.mark.parametrize(
    ("answer", "kind", "calls"),
    [
        (fails(400, "parsing_exception"), BackendRejected, 1),
        (fails(400, "task_cancelled_exception"), Overloaded, 1),
        (fails(401, "security_exception"), BackendRejected, 1),
        (fails(403, "security_exception"), BackendRejected, 1),
        (fails(404, "index_not_found_exception"), BackendUnavailable, 1),
        (fails(429, "es_rejected_execution_exception"), Overloaded, 1),
        (fails(429, "circuit_breaking_exception"), Overloaded, 1),
        (says(recorded("error_overloaded")["body"], 429), Overloaded, 1),
        (fails(500, "null_pointer_exception"), BackendRejected, 1),
        (page(502), BackendUnavailable, 2),
        (UNAVAILABLE, BackendUnavailable, 2),
        (page(503), BackendUnavailable, 2),
        (fails(504, "search_timeout_exception"), BackendTimeout, 2),
        (page(200), BackendRejected, 1),
        (page(200, product=True), BackendRejected, 1),
        (without_product(recorded("search_explained")), BackendRejected, 1),
        (says({"took": 1}), BackendRejected, 1),
        (says([]), BackendRejected, 1),
        (cut_json(), BackendUnavailable, 2),
        (hangs, BackendTimeout, 2),
    ],
)
async def test_a_bad_answer_becomes(answer: Answer, kind: type[SearchError], calls: int) -> None:
    async with scripted(answer) as server:
        outcome, took_ms = await timed(lambda: retrieve(server.url))

    assert type(outcome) is kind
    assert len(server.requests) == calls
    assert took_ms < DEADLINE_MS + SLACK_MS


async def test_nobody_there_is_told_at_once() -> None:
    outcome, took_ms = await timed(lambda: retrieve(NOBODY))

    assert type(outcome) is BackendUnavailable
    assert took_ms < SLACK_MS


async def test_a_connection_that_breaks_off_is_no_answer() -> None:
    async def breaks_off(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: 999\r\n\r\n{"took"')
        await writer.drain()

    async with serving_raw(breaks_off) as url:
        outcome, took_ms = await timed(lambda: retrieve(url))

    assert type(outcome) is BackendUnavailable
    assert took_ms < DEADLINE_MS + SLACK_MS


@pytest.mark.parametrize("bad_first", [UNAVAILABLE, page(502), hangs, cut_json(), TIMED_OUT, SHARD_FAILED])
async def test_a_second_call_makes_good_what_the_first_did_not(bad_first: Answer) -> None:
    async with scripted(bad_first, FULL) as server:
        retrieval, took_ms = await timed(lambda: retrieve(server.url))

    assert isinstance(retrieval, Retrieval)
    assert retrieval.partial == ""
    assert retrieval.detail["attempts"] == 2
    assert took_ms < DEADLINE_MS
    assert "preference" not in server.requests[1].parameters


async def test_another_host_answers_for_one_that_is_down() -> None:
    async with scripted(FULL) as server:
        outcomes = [await retrieve(NOBODY, server.url) for _ in range(4)]

    assert all(len(outcome.ranking) == 3 for outcome in outcomes)


async def test_one_of_three_hosts_is_enough() -> None:
    async with scripted(FULL) as server:
        outcomes = [await retrieve(NOBODY, "http://127.0.0.1:1", server.url) for _ in range(6)]

    assert all(len(outcome.ranking) == 3 for outcome in outcomes)


async def test_after_a_timeout_no_query_is_pinned_to_a_copy() -> None:
    async with scripted(FULL, hangs, FULL) as server, searches(server.url) as through:
        retriever = ElasticRetriever(through, INDEX)
        for _ in range(3):
            await retriever.retrieve(wanted(query("a"), top_k=1, deadline=Deadline.after_ms(DEADLINE_MS)))

    assert ["preference" in request.parameters for request in server.requests] == [True, True, False, False]


async def test_a_timeout_of_a_search_that_had_hardly_any_time_unpins_nobody() -> None:
    async with scripted(FULL, hangs, FULL) as server, searches(server.url) as through:
        retriever = ElasticRetriever(through, INDEX)
        for deadline_ms in (DEADLINE_MS, 300, DEADLINE_MS):
            await retriever.retrieve(wanted(query("a"), top_k=1, deadline=Deadline.after_ms(deadline_ms)))

    assert ["preference" in request.parameters for request in server.requests] == [True, True, False, True]


async def test_another_host_answers_for_one_that_hangs_and_is_asked_first_from_then_on() -> None:
    async with scripted(hangs) as hung, scripted(FULL) as well, searches(hung.url, well.url) as through:
        retriever = ElasticRetriever(through, INDEX)
        for _ in range(6):
            retrieval = await retriever.retrieve(wanted(query("python"), deadline=Deadline.after_ms(DEADLINE_MS)))
            assert len(retrieval.ranking) == 3

    assert len(hung.requests) == 1


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ((SHARD_FAILED, SHARD_FAILED), 2),
        ((TIMED_OUT, TIMED_OUT), 2),
        ((SHARD_FAILED, hangs), 2),
        ((SHARD_FAILED, UNAVAILABLE), 2),
        ((PARTLY_OVERLOADED, FULL), 1),
    ],
)
async def test_a_partial_answer_that_stays_partial_is_used_and_says_so(answers: tuple[Answer, ...], calls: int) -> None:
    async with scripted(*answers) as server:
        retrieval, took_ms = await timed(lambda: retrieve(server.url))

    assert isinstance(retrieval, Retrieval)
    assert retrieval.partial.endswith(".")
    assert len(server.requests) == calls
    assert took_ms < DEADLINE_MS + SLACK_MS


async def test_without_time_no_call_is_made() -> None:
    async with scripted(FULL) as server:
        outcome, _ = await timed(lambda: retrieve(server.url, deadline_ms=0))

    assert type(outcome) is BackendTimeout
    assert server.requests == []


@pytest.mark.parametrize("deadline_ms", [30, 100, 700])
async def test_a_deadline_holds(deadline_ms: float) -> None:
    async with scripted(hangs) as server:
        outcome, took_ms = await timed(lambda: retrieve(server.url, deadline_ms=deadline_ms))

    assert type(outcome) is BackendTimeout
    assert took_ms < deadline_ms + SLACK_MS


async def count_terms(server: Server) -> Any:
    async with searches(server.url) as through:
        statistics = ElasticStatistics(through, INDEX, analyzer())
        return await statistics.document_frequencies(
            ("python", "absent", "python", "失败"), deadline=Deadline.after_ms(DEADLINE_MS)
        )


async def test_terms_are_counted_once_each_in_one_call() -> None:
    async with scripted(says(recorded("frequencies"))) as server:
        counts = await count_terms(server)

    assert counts.df == {"python": 2, "absent": 0, "失败": 1}
    assert counts.doc_count == 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [SHARD_FAILED, TIMED_OUT, UNAVAILABLE])
async def test_counts_of_a_part_of_the_index_are_no_answer(answer: Answer) -> None:
    async with scripted(answer) as server:
        outcome, _ = await timed(lambda: count_terms(server))

    assert type(outcome) is BackendUnavailable
