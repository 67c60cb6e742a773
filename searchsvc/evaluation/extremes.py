"""The queries that a variant helps and harms most, with the expansions that did it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from searchsvc.evaluation.runner import Added

MOST = 10
"""How many queries are named of each kind."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """One query that gains or loses much."""

    query_id: str
    query: str
    gain: float
    """`after` − `before`."""
    before: float
    """The value of the measure with the baseline."""
    after: float
    """The same with the variant."""
    expansion: str
    """What became of the expansion: expanded, skipped, pending, degraded; empty: not known."""
    method: str
    """What expanded it; empty: nothing did."""
    terms: tuple[str, ...]
    """Those that the expansion added, the heaviest first."""


def extremes(
    before: Mapping[str, float], after: Mapping[str, float], *, added: Mapping[str, Added], texts: Mapping[str, str]
) -> tuple[tuple[Extreme, ...], tuple[Extreme, ...]]:
    """The queries that lose most, the largest loss first, and those that gain most; MOST of each at most.

    Equal ones in the order of `before`. All mappings are by query id.
    """
    found = [_extreme(query_id, value, after[query_id], added, texts) for query_id, value in before.items()]
    worst = sorted((each for each in found if each.gain < -_ROUNDING), key=lambda each: each.gain)
    best = sorted((each for each in found if each.gain > _ROUNDING), key=lambda each: -each.gain)
    return tuple(worst[:MOST]), tuple(best[:MOST])


def _extreme(
    query_id: str, before: float, after: float, added: Mapping[str, Added], texts: Mapping[str, str]
) -> Extreme:
    expansion = added.get(query_id)
    joined = expansion is not None and expansion.decision == "expanded"
    return Extreme(
        query_id=query_id,
        query=texts[query_id],
        gain=after - before,
        before=before,
        after=after,
        expansion="" if expansion is None else expansion.decision,
        method=(expansion.method or "") if expansion is not None and joined else "",
        terms=expansion.terms if expansion is not None and joined else (),
    )
