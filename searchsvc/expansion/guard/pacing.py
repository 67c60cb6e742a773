"""The pace of commands that ask many times: calls a minute, tokens a minute, and tokens in all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from searchsvc.errors import QuotaExceeded, SearchError

T = TypeVar("T")

MAX_HOLD_S = 300.0
"""However long a server asks to be left alone, it is asked again after this."""
_HOLD_S = 10.0
"""How long it is left alone where it does not say."""
_ATTEMPTS = 3
_MINUTE_S = 60.0


class BudgetSpent(SearchError):
    """The next call could pass the tokens that were allowed; nothing was sent."""


class Pace:
    """Spaces calls evenly, since providers also limit bursts within a minute.

    In any minute at most `rpm` + 1 calls start. Tokens are reserved by what a call is expected to take, and accounted
    by what it took.
    """

    def __init__(
        self,
        rpm: float | None = None,
        tpm: float | None = None,
        max_tokens: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Calls a minute, tokens a minute, tokens in all; None: without that limit."""
        self._call_s = _MINUTE_S / rpm if rpm is not None else 0.0
        self._token_s = _MINUTE_S / tpm if tpm is not None else 0.0
        self._max_tokens = max_tokens
        self._clock = clock
        self._sleep = sleep
        self._used = 0
        self._reserved = 0
        self._calls_at = self._tokens_at = self._held_until = float("-inf")

    @property
    def used(self) -> int:
        """Tokens that were spent so far."""
        return self._used

    @asynccontextmanager
    async def call(self, expected_tokens: int = 0) -> AsyncIterator[None]:
        """Waits until this call may start; its body is the call.

        A QuotaExceeded that leaves the body holds back all later calls for as long as the server asked.
        Raises BudgetSpent.
        """
        if self._max_tokens is not None and self._used + self._reserved + expected_tokens > self._max_tokens:
            raise BudgetSpent(
                f"{self._used:,} tokens are used, and the next call may take {expected_tokens:,}: the limit is"
                f" {self._max_tokens:,}.",
                hint="Allow more with --max-tokens; what is done stays.",
            )
        self._reserved += expected_tokens
        try:
            await self._turn(expected_tokens)
            yield
        except QuotaExceeded as error:
            self.hold(_HOLD_S if error.retry_after_s is None else error.retry_after_s)
            raise
        finally:
            self._reserved -= expected_tokens
            self._tokens_at -= expected_tokens * self._token_s

    def spent(self, tokens: int) -> None:
        """Accounts for what a call took."""
        self._used += tokens
        self._tokens_at += tokens * self._token_s

    def unused(self) -> None:
        """The last call was none after all: its place in the row is free again."""
        self._calls_at -= self._call_s

    def hold(self, seconds: float) -> None:
        """Starts no call for so long, MAX_HOLD_S at most."""
        self._held_until = max(self._held_until, self._clock() + min(seconds, MAX_HOLD_S))

    async def paced(self, work: Callable[[], Awaitable[T]], expected_tokens: int = 0) -> T:
        """What `work` gives; asked again, three times in all, after QuotaExceeded. Raises BudgetSpent."""
        for _ in range(_ATTEMPTS - 1):
            try:
                async with self.call(expected_tokens):
                    return await work()
            except QuotaExceeded:
                continue
        async with self.call(expected_tokens):
            return await work()

    async def _turn(self, expected_tokens: int) -> None:
        """Takes the next place in the row and waits for it; a hold that comes meanwhile costs the place."""
        start = self._place()
        self._tokens_at = max(start, self._tokens_at) + expected_tokens * self._token_s
        while (wait := start - self._clock()) > 0:
            await self._sleep(wait)
            if self._held_until > start:
                start = self._place()

    def _place(self) -> float:
        """When the next call may start."""
        start = max(self._clock(), self._calls_at, self._tokens_at, self._held_until)
        self._calls_at = start + self._call_s
        return start
