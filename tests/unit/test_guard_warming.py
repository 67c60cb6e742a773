"""The cache is filled from a log of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    CircuitOpen,
    ExternalForbidden,
    InvalidRequest,
    QueryRefused,
    QuotaExceeded,
    SearchError,
)
from searchsvc.expansion.guard.breaker import COOL_S
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.expansion.guard.warming import most_frequent, warm
from searchsvc.model import Form
from searchsvc.protocols import ExpandRequest
from searchsvc.result import Expansion


@dataclass
class Time:
    now: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def pace(self, rpm: float | None = None) -> Pace:
        return Pace(rpm, clock=lambda: self.now, sleep=self.sleep)


@dataclass
class LoggedExpander:
    """Fails each query of `errors` with the next of its errors, until there is none left."""

    errors: Mapping[str, list[SearchError]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    default_form: Form = Form.MIXTURE
    default_weight: float = 0.5

    async def expand(self, request: ExpandRequest) -> Expansion:
        assert request.deadline.left_s() > 50
        self.asked.append(request.user_query)
        waiting = self.errors.get(request.user_query)
        if waiting:
            raise waiting.pop(0)
        return Expansion(method="llm", text="", terms=(), doc_count=1)


async def test_each_query_is_asked_once_the_most_frequent_first() -> None:
    expander = LoggedExpander()
    warmed = await warm(["b", "a", "A ", "c", "a", "B", " "], expander, Time().pace())

    assert expander.asked == ["a", "b", "c"]
    assert (warmed.done, warmed.failed, warmed.stopped) == (3, 0, "")


async def test_it_keeps_its_pace() -> None:
    time = Time()
    await warm("abcd", LoggedExpander(), time.pace(rpm=30))

    assert time.now == pytest.approx(6)


async def test_one_query_that_fails_does_not_stop_it() -> None:
    expander = LoggedExpander({"b": [QueryRefused("moderation")], "c": [BackendTimeout("slow")]})
    warmed = await warm("abcd", expander, Time().pace())

    assert (warmed.done, warmed.failed, warmed.stopped) == (2, 2, "")


async def test_a_quota_is_waited_for_and_the_query_asked_again() -> None:
    time = Time()
    expander = LoggedExpander({"b": [QuotaExceeded("limit_requests", retry_after_s=20)]})
    warmed = await warm("abc", expander, time.pace())

    assert expander.asked == ["a", "b", "b", "c"]
    assert warmed.done == 3
    assert time.now == pytest.approx(20)


async def test_a_quota_that_does_not_pass_stops_it() -> None:
    expander = LoggedExpander({"b": [QuotaExceeded("insufficient_quota") for _ in range(3)]})
    warmed = await warm("abc", expander, Time().pace())

    assert expander.asked == ["a", "b", "b", "b"]
    assert (warmed.done, warmed.stopped) == (1, "insufficient_quota")


async def test_an_open_circuit_is_waited_for() -> None:
    time = Time()
    warmed = await warm("ab", LoggedExpander({"a": [CircuitOpen("down")]}), time.pace())

    assert (warmed.done, warmed.failed) == (1, 1)
    assert time.now == pytest.approx(COOL_S)


@pytest.mark.parametrize(
    "error", [BackendRejected("401"), ExternalForbidden("outside"), InvalidRequest("no such prompt", pointer="/p")]
)
async def test_what_refuses_all_queries_stops_it(error: SearchError) -> None:
    expander = LoggedExpander({"b": [error]})
    warmed = await warm("abcd", expander, Time().pace())

    assert expander.asked == ["a", "b"]
    assert (warmed.done, warmed.stopped) == (1, error.message)


@pytest.mark.parametrize(
    ("queries", "order"),
    [([], []), (["", " \n"], []), (["x", "Y", "y"], ["Y", "x"]), (["ＡＢ", "ab", "c"], ["ＡＢ", "c"])],
)
def test_the_order_is_by_count_then_as_they_came(queries: Sequence[str], order: Sequence[str]) -> None:
    assert most_frequent(queries) == order
