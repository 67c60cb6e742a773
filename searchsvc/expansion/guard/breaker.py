"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then tried by one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from searchsvc.errors import CircuitOpen

IN_A_ROW = 5
"""Failures one after the other that open it."""
SHARE = 0.5
"""Or this share of failures among the calls of the last WINDOW_S, if there are LEAST of them."""
LEAST = 10
WINDOW_S = 30.0
COOL_S = 30.0
"""How long it stays open before one call may try."""

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class Breaker:
    """Only failures of the weather are told to it; an answer that refuses is an answer."""

    clock: Callable[[], float] = time.monotonic
    _calls: deque[tuple[float, bool]] = field(default_factory=deque)
    """When each call ended, and whether it failed."""
    _in_a_row: int = 0
    _open_until: float | None = None
    _round: int = 0
    """Calls of an earlier round say nothing of this one."""
    _probing: bool = False

    @property
    def state(self) -> State:
        """Open: no call may pass; half-open: the next one, or the one under way, decides."""
        if self._open_until is None:
            return "closed"
        return "half-open" if self._probing or self.clock() >= self._open_until else "open"

    def check(self) -> None:
        """Raises CircuitOpen if no call may be made now."""
        if self._open_until is None:
            return
        left_s = self._open_until - self.clock()
        if left_s > 0:
            raise CircuitOpen(
                f"The chat model's server failed again and again: it is left alone for another {left_s:.0f} s."
            )
        if self._probing:
            raise CircuitOpen("The chat model's server failed again and again: one call tries it just now.")

    def admit(self) -> int:
        """The round of a call that begins now; `ended` or `dropped` must follow. Raises CircuitOpen."""
        self.check()
        if self._open_until is not None:
            self._probing = True
            self._round += 1
        return self._round

    def ended(self, of_round: int, *, failed: bool) -> None:
        """A call of that round ended."""
        if of_round != self._round:
            return
        if self._open_until is not None:
            self._close() if not failed else self._open()
            return
        now = self.clock()
        self._calls.append((now, failed))
        while self._calls[0][0] < now - WINDOW_S:
            self._calls.popleft()
        self._in_a_row = self._in_a_row + 1 if failed else 0
        failures = sum(failure for _, failure in self._calls)
        often = len(self._calls) >= LEAST and failures >= SHARE * len(self._calls)
        if failed and (self._in_a_row >= IN_A_ROW or often):
            self._open()

    def dropped(self, of_round: int) -> None:
        """A call of that round was cut off by us: nothing is known of the server."""
        if of_round == self._round:
            self._probing = False

    def _open(self) -> None:
        self._open_until = self.clock() + COOL_S
        self._round += 1
        self._probing = False

    def _close(self) -> None:
        self._open_until = None
        self._round += 1
        self._probing = False
        self._in_a_row = 0
        self._calls.clear()
