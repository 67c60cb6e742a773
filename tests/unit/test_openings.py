from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from searchsvc.errors import BackendUnavailable
from searchsvc.openings import Openings
from searchsvc.protocols import OpenIndex


class Work:
    """An opening that ends when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self._error = error

    async def __call__(self) -> OpenIndex:
        self.begun += 1
        await self.go_on.wait()
        if self._error is not None:
            raise self._error
        unused: Any = None
        return OpenIndex(physical="p", retriever=unused, statistics=unused, pages=unused)


async def _gives_up(openings: Openings, work: Work) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await openings.result("documents", work)


async def test_those_who_give_up_leave_the_opening_to_those_who_come_next() -> None:
    openings, work = Openings(), Work()
    for _ in range(3):
        await _gives_up(openings, work)
    work.go_on.set()

    assert (await openings.result("documents", work)).physical == "p"
    assert work.begun == 1


async def test_another_name_and_an_opening_after_the_end_are_begun_anew() -> None:
    openings, work = Openings(), Work()
    work.go_on.set()
    for name in ("documents", "documents", "other"):
        await openings.result(name, work)

    assert work.begun == 3


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    openings, work = Openings(), Work(BackendUnavailable("away"))
    waiting = [asyncio.create_task(openings.result("documents", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.go_on.set()

    assert [str(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == ["away", "away"]
    well = Work()
    well.go_on.set()
    assert (await openings.result("documents", well)).physical == "p"


async def test_an_error_that_nobody_waits_for_is_no_complaint() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    openings, work = Openings(), Work(BackendUnavailable("away"))
    await _gives_up(openings, work)
    work.go_on.set()
    await asyncio.sleep(0.01)
    gc.collect()

    assert complaints == []


async def test_closing_ends_what_runs() -> None:
    openings = Openings()
    await _gives_up(openings, Work())
    await openings.close()

    assert asyncio.all_tasks() == {asyncio.current_task()}
