"""One chat endpoint, as its callers may load it: how many at once, not while it is down, not while it asks to wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    Overloaded,
    QuotaExceeded,
    StageError,
)
from searchsvc.expansion.guard.breaker import Breaker
from searchsvc.model import Deadline

_LOG = logging.getLogger(__name__)

MAX_PAUSE_S = 300.0
"""However long a server asks to be left alone, it is asked again after this."""
_PAUSE_S = 5.0
"""How long it is left alone after a quota where it does not say."""


class Endpoint:
    """Lets calls through, and learns from how they end."""

    def __init__(self, concurrency: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`concurrency`: calls at once; more wait for a place."""
        self.breaker = Breaker(clock)
        self._places = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._paused_until = 0.0
        self._quota = ""
        self._rejected = ""
        self.in_flight = 0

    @asynccontextmanager
    async def call(self, *, until: Deadline, still_wanted: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
        """The body is one call; it begins when there is a place.

        Raises CircuitOpen; QuotaExceeded while the server asked to wait; Overloaded if there is no place by `until`,
        or nobody wants the call any more when there is.
        """
        self._refuse()
        async with self._place(until):
            if not still_wanted():
                raise Overloaded("Nobody waits for the call any more.")
            self._refuse()
            of_round = self.breaker.admit()
            try:
                yield
            except StageError as error:
                self.breaker.ended(of_round, failed=_is_weather(error))
                self._note(error)
                raise
            except BaseException:
                self.breaker.dropped(of_round)
                raise
            self.breaker.ended(of_round, failed=False)
            self._rejected = ""

    @property
    def paused_s(self) -> float:
        """Seconds until it may be asked again after a quota; 0: now."""
        return max(0.0, self._paused_until - self._clock())

    @asynccontextmanager
    async def _place(self, until: Deadline) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(until.left_s()):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded("The chat model's server has all the calls that it may have at once.") from None
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._places.release()

    def _refuse(self) -> None:
        self.breaker.check()
        if self.paused_s:
            raise QuotaExceeded(
                f"{self._quota} It is asked again in {self.paused_s:.0f} s.", retry_after_s=self.paused_s
            )

    def _note(self, error: StageError) -> None:
        if isinstance(error, QuotaExceeded):
            asked_s = _PAUSE_S if error.retry_after_s is None else error.retry_after_s
            self._paused_until = self._clock() + min(asked_s, MAX_PAUSE_S)
            self._quota = error.message
            _LOG.warning("A limit of the chat model's account is reached: %s", error)
        elif isinstance(error, BackendRejected) and error.message != self._rejected:
            self._rejected = error.message
            _LOG.error("The chat model's server refuses every call, its settings are wrong: %s", error)


def _is_weather(error: StageError) -> bool:
    """A failure of the server or the way to it, which passes by itself."""
    if isinstance(error, QuotaExceeded):
        return False
    return isinstance(error, BackendTimeout | BackendUnavailable | BadModelOutput | Overloaded)
