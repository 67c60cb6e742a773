"""One call for everybody who asks the same at the same time; the call belongs to none of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from searchsvc.errors import BackendUnavailable, ExpansionLate, Overloaded, StageError
from searchsvc.model import Deadline

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_BEFORE_S = 0.005
"""How long before its deadline a caller is told, so that as a rule it hears this before its own caller gives up."""


@dataclass(slots=True)
class Call:
    """A call under way."""

    waiting: int = 0
    """How many callers wait for it."""
    queued: bool = False
    """It waits for a place itself."""

    def wanted(self) -> bool:
        """Whether anybody waits for it."""
        return self.waiting > 0


class SharedCalls(Generic[T]):
    """Calls by key, each a task of its own: callers come, wait until their own deadlines, and go."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[Call, asyncio.Task[T]]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def join(self, key: str, work: Callable[[Call], Awaitable[T]], deadline: Deadline) -> tuple[T, bool]:
        """What `work` gives, and whether somebody else's call gave it.

        Raises ExpansionLate at the deadline, Overloaded if the call had no place until then, and what `work` raises.
        """
        if not deadline.left_s():
            raise ExpansionLate("No time is left to ask the chat model.")
        joined = key in self._tasks
        call, task = self._tasks[key] if joined else self._started(key, work)
        call.waiting += 1
        try:
            await asyncio.wait({task}, timeout=max(0.0, deadline.left_s() - _BEFORE_S))
        finally:
            call.waiting -= 1
        if not task.done():
            raise _too_late(call)
        if task.cancelled():
            raise BackendUnavailable("The chat model is not asked any more: the service is closing.")
        return task.result(), joined

    async def close(self) -> None:
        """Ends every call; who waits for one hears BackendUnavailable."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _started(self, key: str, work: Callable[[Call], Awaitable[T]]) -> tuple[Call, asyncio.Task[T]]:
        call = Call()

        async def run() -> T:
            return await work(call)

        task = asyncio.create_task(run())
        task.add_done_callback(lambda done: self._ended(key, done))
        self._tasks[key] = call, task
        return call, task

    def _ended(self, key: str, task: asyncio.Task[T]) -> None:
        """Also asks for the error: one that no caller waited for must not be reported as nobody's."""
        del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StageError):
            _LOG.error("defect in a call of the chat model", exc_info=error)


def _too_late(call: Call) -> StageError:
    if call.queued:
        return Overloaded("The chat model's server had no place for the call in time.")
    return ExpansionLate("The chat model did not answer in time; its answer will serve the next caller.")
