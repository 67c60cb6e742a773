"""The circuit breaker, and what the endpoint tells it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    CircuitOpen,
    Overloaded,
    QueryRefused,
    QuotaExceeded,
    StageError,
)
from searchsvc.expansion.guard.breaker import COOL_S, IN_A_ROW, LEAST, WINDOW_S, Breaker
from searchsvc.expansion.guard.endpoint import MAX_PAUSE_S, Endpoint
from searchsvc.model import Deadline


@dataclass
class Clock:
    now: float = 100.0
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(lambda: self.now)

    def calls(self, outcomes: str) -> None:
        """One call after the other: x failed, o went well."""
        for outcome in outcomes:
            self.breaker.ended(self.breaker.admit(), failed=outcome == "x")


def test_it_opens_after_failures_in_a_row() -> None:
    clock = Clock()
    clock.calls("x" * (IN_A_ROW - 1))
    assert clock.breaker.state == "closed"
    clock.calls("x")

    assert clock.breaker.state == "open"
    with pytest.raises(CircuitOpen, match="30 s"):
        clock.breaker.check()


def test_it_opens_when_half_of_the_latest_calls_fail() -> None:
    clock = Clock()
    clock.calls("ox" * (LEAST // 2 - 1) + "o")
    assert clock.breaker.state == "closed"
    clock.calls("x")

    assert clock.breaker.state == "open"


def test_failures_of_long_ago_do_not_count() -> None:
    clock = Clock()
    clock.calls("ox" * (LEAST // 2 - 1))
    clock.now += WINDOW_S + 1
    clock.calls("oxox")

    assert clock.breaker.state == "closed"


@given(st.text("ox", max_size=60).filter(lambda outcomes: "xx" not in outcomes))
def test_a_share_below_the_limit_never_opens_it(outcomes: str) -> None:
    clock = Clock()
    clock.calls(outcomes.replace("x", "oox"))

    assert clock.breaker.state == "closed"


def test_one_call_tries_after_a_while_and_the_others_wait() -> None:
    clock = Clock()
    clock.calls("x" * IN_A_ROW)
    clock.now += COOL_S
    assert clock.breaker.state == "half-open"
    probe = clock.breaker.admit()
    with pytest.raises(CircuitOpen, match="tries it just now"):
        clock.breaker.admit()
    clock.breaker.ended(probe, failed=False)

    assert clock.breaker.state == "closed"
    clock.calls("x" * (IN_A_ROW - 1))
    assert clock.breaker.state == "closed"


def test_a_failed_try_leaves_it_alone_again() -> None:
    clock = Clock()
    clock.calls("x" * IN_A_ROW)
    clock.now += COOL_S
    clock.calls("x")

    assert clock.breaker.state == "open"
    clock.now += COOL_S - 1
    with pytest.raises(CircuitOpen):
        clock.breaker.check()


def test_a_try_that_was_cut_off_leaves_room_for_another() -> None:
    clock = Clock()
    clock.calls("x" * IN_A_ROW)
    clock.now += COOL_S
    clock.breaker.dropped(clock.breaker.admit())
    clock.calls("o")

    assert clock.breaker.state == "closed"


def test_calls_from_before_it_opened_say_nothing_afterwards() -> None:
    clock = Clock()
    old = [clock.breaker.admit() for _ in range(3)]
    clock.calls("x" * IN_A_ROW)
    clock.breaker.ended(old[0], failed=False)
    assert clock.breaker.state == "open"
    clock.now += COOL_S
    probe = clock.breaker.admit()
    clock.breaker.ended(old[1], failed=True)
    clock.breaker.dropped(old[2])
    with pytest.raises(CircuitOpen):
        clock.breaker.check()
    clock.breaker.ended(probe, failed=False)

    assert clock.breaker.state == "closed"


async def call(endpoint: Endpoint, error: BaseException | None = None) -> None:
    async with endpoint.call(until=Deadline.after_ms(500)):
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (BackendUnavailable("down"), True),
        (BackendTimeout("slow"), True),
        (BadModelOutput("html"), True),
        (Overloaded("503"), True),
        (QueryRefused("moderation"), False),
        (BackendRejected("401"), False),
        (asyncio.CancelledError(), False),
        (ZeroDivisionError(), False),
    ],
)
async def test_the_weather_opens_it_and_nothing_else_does(error: BaseException, opens: bool) -> None:
    endpoint = Endpoint(4)
    for _ in range(IN_A_ROW):
        with pytest.raises(type(error)):
            await call(endpoint, error)

    assert (endpoint.breaker.state == "open") == opens
    assert endpoint.in_flight == 0


async def test_a_quota_never_opens_it() -> None:
    now = 0.0
    endpoint = Endpoint(4, clock=lambda: now)
    for _ in range(2 * LEAST):
        with pytest.raises(QuotaExceeded):
            await call(endpoint, QuotaExceeded("limit_tokens", retry_after_s=1))
        now += 2

    assert endpoint.breaker.state == "closed"


@pytest.mark.parametrize(("asked_s", "paused_s"), [(2.0, 2.0), (None, 5.0), (86_400.0, MAX_PAUSE_S), (0.0, 0.0)])
async def test_a_quota_pauses_as_long_as_the_server_asks_within_reason(asked_s: float | None, paused_s: float) -> None:
    endpoint = Endpoint(4, clock=lambda: 10.0)
    with pytest.raises(QuotaExceeded):
        await call(endpoint, QuotaExceeded("limit_tokens", retry_after_s=asked_s))

    assert endpoint.paused_s == pytest.approx(paused_s)
    if paused_s:
        with pytest.raises(QuotaExceeded, match="limit_tokens It is asked again in"):
            await call(endpoint)


async def test_calls_that_wait_for_a_place_see_that_it_opened_meanwhile() -> None:
    endpoint = Endpoint(1)

    async def failing() -> None:
        async with endpoint.call(until=Deadline.after_ms(500)):
            await asyncio.sleep(0)
            raise BackendUnavailable("down")

    outcomes = await asyncio.gather(*(failing() for _ in range(IN_A_ROW + 3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [BackendUnavailable] * IN_A_ROW + [CircuitOpen] * 3


async def test_a_place_is_given_back_whatever_happens() -> None:
    endpoint = Endpoint(1)
    errors: list[BaseException] = [BackendRejected("no"), asyncio.CancelledError(), KeyError("a bug")]
    for error in errors:
        with pytest.raises(type(error)):
            await call(endpoint, error)
    await call(endpoint)

    assert endpoint.in_flight == 0


async def test_a_call_without_a_place_in_time_is_overload_and_no_failure_of_the_server() -> None:
    endpoint = Endpoint(1)
    async with endpoint.call(until=Deadline.after_ms(500)):
        for _ in range(IN_A_ROW):
            with pytest.raises(Overloaded):
                async with endpoint.call(until=Deadline.after_ms(5)):
                    raise AssertionError

    assert endpoint.breaker.state == "closed"


def test_every_reason_is_either_weather_or_not() -> None:
    assert issubclass(QuotaExceeded, Overloaded)  # so that the order of the tests in the endpoint matters
    assert issubclass(CircuitOpen, StageError)
