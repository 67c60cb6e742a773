"""Whether a difference between two variants is one: paired by query, for means alone mislead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

HARM = 0.1
"""A query that loses more than this is harmed."""

PerQuery = Mapping[str, float]
"""The value of one measure by query id."""

_RESAMPLES = 9999
_BATCH = 1000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One variant against the baseline, on the same queries."""

    mean: float
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the mean (BCa, Efron 1987); None for a single query."""
    p_value: float
    """Two-sided, paired permutation test of the mean."""
    harm: float
    """Share of the queries that lose more than HARM."""
    wins: int
    """Queries that gain."""
    ties: int
    losses: int

    def as_json(self, measure: str) -> dict[str, Any]:
        """As the account of a variant against the baseline has it."""
        return {
            "measure": measure,
            "diff": self.mean,
            "ci95": self.interval,
            "p": self.p_value,
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "harm_rate": self.harm,
        }


def difference(baseline: PerQuery, other: PerQuery) -> Difference:
    """`other` − `baseline`, over the queries of `baseline`; the same figures on every run."""
    gains = np.array([other[query_id] - value for query_id, value in baseline.items()])
    wins, losses = int(np.sum(gains > _ROUNDING)), int(np.sum(gains < -_ROUNDING))
    return Difference(
        mean=float(gains.mean()),
        interval=_interval(gains),
        p_value=_p_value(gains),
        harm=harm_rate(gains),
        wins=wins,
        ties=len(gains) - wins - losses,
        losses=losses,
    )


def harm_rate(gains: npt.NDArray[np.float64]) -> float:
    """Share of the gains (one for each query) that are losses of more than HARM."""
    return float(np.mean(gains < -HARM - _ROUNDING))


def _interval(gains: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    if len(gains) < 2:
        return None
    if np.ptp(gains) == 0:
        return float(gains[0]), float(gains[0])
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where BCa is undefined, scipy warns and gives nan
            found = scipy.stats.bootstrap(
                (gains,), np.mean, n_resamples=_RESAMPLES, batch=_BATCH, method=method, rng=np.random.default_rng(0)
            ).confidence_interval
        if np.isfinite(found.low) and np.isfinite(found.high):
            break
    return float(found.low), float(found.high)


def _p_value(gains: npt.NDArray[np.float64]) -> float:
    if len(gains) < 2 or not np.any(gains):
        return 1.0
    test = scipy.stats.permutation_test(
        (gains,),
        np.mean,
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
