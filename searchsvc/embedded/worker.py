"""Threads for work that would hold up the event loop, awaited no longer than a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from searchsvc.errors import BackendTimeout
from searchsvc.model import Deadline

_THREADS = 4
"""tantivy and numpy give the interpreter's lock back while they compute; one of these may be busy with a load."""

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """A small pool of threads."""

    def __init__(self) -> None:
        """Starts no thread yet."""
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="searchsvc-embedded")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, however long it takes."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    async def run_until(self, deadline: Deadline, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`. Raises BackendTimeout; work that has not begun by then is dropped."""
        if deadline.left_s() <= 0:
            raise BackendTimeout("there was no time left for the embedded engine.")
        try:
            async with asyncio.timeout(deadline.left_s()):
                return await self.run(work, *args, **kwargs)
        except TimeoutError:
            raise BackendTimeout("the embedded engine did not answer in time.") from None

    def close(self) -> None:
        """Takes no more work, drops what waits, and leaves what runs to end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
