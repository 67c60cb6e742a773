"""The pace of batch commands, on a clock that passes only while somebody sleeps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import QuotaExceeded
from searchsvc.expansion.guard.pacing import MAX_HOLD_S, BudgetSpent, Pace


@dataclass
class Time:
    """Seconds that pass by sleeping."""

    now: float = 0.0
    starts: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def pace(self, rpm: float | None = None, tpm: float | None = None, max_tokens: int | None = None) -> Pace:
        return Pace(rpm, tpm, max_tokens, clock=self.clock, sleep=self.sleep)

    async def call(self, pace: Pace, tokens: int = 0, *, took: float = 0.0, expected: int | None = None) -> None:
        async with pace.call(tokens if expected is None else expected):
            self.starts.append(self.now)
            self.now += took
        pace.spent(tokens)


async def test_without_limits_nothing_waits() -> None:
    time = Time()
    pace = time.pace()
    for _ in range(100):
        await time.call(pace, 1000)

    assert time.now == 0
    assert pace.used == 100_000


async def test_calls_are_spaced_evenly() -> None:
    time = Time()
    pace = time.pace(rpm=30)
    for _ in range(4):
        await time.call(pace)

    assert time.starts == pytest.approx([0, 2, 4, 6])


async def test_a_call_that_was_none_after_all_makes_nobody_wait() -> None:
    time = Time()
    pace = time.pace(rpm=30)
    for cached in (True, True, False, False):
        await time.call(pace)
        if cached:
            pace.unused()

    assert time.starts == pytest.approx([0, 0, 0, 2])


async def test_a_pause_of_the_caller_is_no_credit_for_a_burst() -> None:
    time = Time()
    pace = time.pace(rpm=30)
    await time.call(pace)
    time.now = 100
    await time.call(pace)
    await time.call(pace)

    assert time.starts == pytest.approx([0, 100, 102])


@given(
    rpm=st.floats(1, 600),
    tpm=st.floats(100, 100_000),
    calls=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 20)), max_size=40),
)
def test_no_minute_holds_more_calls_or_tokens_than_allowed(
    rpm: float, tpm: float, calls: list[tuple[int, int, float]]
) -> None:
    time = Time()
    pace = time.pace(rpm=rpm, tpm=tpm)

    async def run() -> None:
        for expected, tokens, took in calls:
            await time.call(pace, tokens, took=took, expected=expected)

    asyncio.run(run())
    for index, start in enumerate(time.starts):
        within = [at for at in time.starts if start <= at < start + 60 - 1e-6]
        assert len(within) <= rpm + 1
        taken = [tokens for (_, tokens, _), at in zip(calls, time.starts, strict=True) if start <= at < start + 60]
        assert sum(taken[:-1]) <= tpm + 1, index  # the last is known only when it is over


async def test_what_a_call_took_counts_instead_of_what_was_expected() -> None:
    time = Time()
    pace = time.pace(tpm=60)
    await time.call(pace, 5, expected=50)
    await time.call(pace, 5, expected=50)

    assert time.starts == pytest.approx([0, 5])


async def test_waiting_calls_keep_their_order_and_distance() -> None:
    time = Time()
    pace = time.pace(rpm=60)
    await asyncio.gather(*(time.call(pace) for _ in range(3)))

    assert sorted(time.starts) == time.starts
    assert time.now == pytest.approx(2)


async def test_the_budget_stops_before_it_is_passed() -> None:
    time = Time()
    pace = time.pace(max_tokens=100)
    await time.call(pace, 60)
    with pytest.raises(BudgetSpent, match="60 tokens are used, and the next call may take 50: the limit is 100"):
        await time.call(pace, 50)
    await time.call(pace, 40)

    assert pace.used == 100


async def test_calls_in_flight_hold_their_share_of_the_budget() -> None:
    pace = Time().pace(max_tokens=100)
    async with pace.call(60):
        with pytest.raises(BudgetSpent):
            async with pace.call(60):
                raise AssertionError
    async with pace.call(60):  # the first took nothing
        pass


async def test_a_quota_holds_back_every_later_call() -> None:
    time = Time()
    pace = time.pace()
    with pytest.raises(QuotaExceeded):
        async with pace.call():
            raise QuotaExceeded("limit_requests", retry_after_s=7)
    await time.call(pace)

    assert time.starts == pytest.approx([7])


async def test_calls_that_waited_when_a_hold_came_are_spaced_after_it() -> None:
    time = Time()
    pace = time.pace(rpm=60)
    await time.call(pace)

    async def held(seconds: float) -> None:
        time.now += seconds
        if len(time.starts) == 1:
            pace.hold(10 - time.now)

    pace._sleep = held
    await time.call(pace)
    await time.call(pace)

    assert time.starts == pytest.approx([0, 10, 11])


async def test_a_server_that_asks_for_hours_is_asked_again_sooner() -> None:
    time = Time()
    pace = time.pace()
    pace.hold(86_400)
    await time.call(pace)

    assert time.now == pytest.approx(MAX_HOLD_S)


@pytest.mark.parametrize(("refusals", "asked"), [(0, 1), (2, 3), (3, 3)])
async def test_work_is_asked_again_after_a_quota_three_times_in_all(refusals: int, asked: int) -> None:
    time = Time()
    pace = time.pace()

    async def work() -> str:
        time.starts.append(time.now)
        if len(time.starts) <= refusals:
            raise QuotaExceeded("limit_tokens", retry_after_s=3)
        return "done"

    if refusals == 3:
        with pytest.raises(QuotaExceeded):
            await pace.paced(work)
    else:
        assert await pace.paced(work) == "done"
    assert time.starts == pytest.approx([3.0 * place for place in range(asked)])


async def test_a_call_that_is_cancelled_while_it_waits_gives_its_tokens_back() -> None:
    pace = Pace(rpm=1, max_tokens=100)
    async with pace.call(10):
        pass
    task = asyncio.ensure_future(pace.paced(asyncio.Event().wait, 90))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pace._reserved == 0
