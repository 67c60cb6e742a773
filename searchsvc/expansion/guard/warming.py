"""Fills the cache of completions from the queries of a log, before anybody waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from searchsvc.errors import (
    BackendRejected,
    CircuitOpen,
    ExternalForbidden,
    InvalidRequest,
    QuotaExceeded,
    StageError,
)
from searchsvc.expansion.guard.breaker import COOL_S
from searchsvc.expansion.guard.completions import normalised
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.model import Deadline
from searchsvc.protocols import Expander, ExpandRequest
from searchsvc.result import Expansion

_WAIT_MS = 60_000
"""For one query: longer than any call may take, so that none is given up as late."""
_TERMS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How far it came."""

    done: int
    """Queries that have a completion now."""
    failed: int
    """Queries that have none: refused, or unusable."""
    stopped: str = ""
    """Why it ended before the last query; empty: it did not."""


async def warm(queries: Iterable[str], expander: Expander, pace: Pace) -> WarmUp:
    """Expands every query once, the most frequent first; those that are cached cost no call.

    A refusal of one query is counted; what would refuse them all stops it, as does a quota that does not pass.
    """
    done = failed = 0
    for query in most_frequent(queries):
        try:
            await pace.paced(partial(_expanded, expander, query))
        except (BackendRejected, ExternalForbidden, InvalidRequest, QuotaExceeded) as error:
            return WarmUp(done=done, failed=failed, stopped=str(error))
        except StageError as error:
            failed += 1
            if isinstance(error, CircuitOpen):
                pace.hold(COOL_S)
        else:
            done += 1
    return WarmUp(done=done, failed=failed)


def most_frequent(queries: Iterable[str]) -> list[str]:
    """Each query once, as it was written first, by falling count; those that are asked equally often as they came."""
    counts: dict[str, int] = {}
    written: dict[str, str] = {}
    for query in queries:
        same = normalised(query)
        if same:
            counts[same] = counts.get(same, 0) + 1
            written.setdefault(same, query)
    return [written[same] for same in sorted(counts, key=lambda same: -counts[same])]


async def _expanded(expander: Expander, query: str) -> Expansion:
    request = ExpandRequest(user_query=query, deadline=Deadline.after_ms(_WAIT_MS), terms=_TERMS)
    return await expander.expand(request)
