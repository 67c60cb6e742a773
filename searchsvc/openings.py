"""One opening of an index at a time: whoever waits may go away, the opening goes on and serves those who come next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from searchsvc.protocols import OpenIndex

Work = Callable[[], Coroutine[Any, Any, OpenIndex]]


class Openings:
    """The openings that run, at most one for a name."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[OpenIndex]] = {}

    def start(self, name: str, work: Work) -> asyncio.Task[OpenIndex]:
        """The opening of `name` that runs; begins one by `work` if none does."""
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(work(), name=f"opening {name}")
            running.add_done_callback(partial(self._ended, name))
        return running

    async def result(self, name: str, work: Work) -> OpenIndex:
        """What the opening of `name` ends with. Raises what it raises; a caller that is cancelled does not stop it."""
        running = self.start(name, work)
        await asyncio.wait({running})  # as a shield, which later Pythons let complain of errors that nobody awaits
        return running.result()

    async def close(self) -> None:
        """Cancels those that run, and returns when they have ended."""
        running = tuple(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[OpenIndex]) -> None:
        del self._running[name]
        if not task.cancelled():
            task.exception()  # seen, also where all who waited have gone
