"""Fits the gain model to judged searches, and judges it on queries that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.comparison import HARM, Difference, difference, harm_rate
from searchsvc.policy.model import FORMAT, KIND, LIMIT, GainModel
from searchsvc.text import ANALYSIS_VERSION

WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""λ of the mixture, among which a model chooses."""
ALWAYS = 0.5
"""λ where no model is asked."""
ENOUGH = 50
"""Fewer judged queries are too few to learn from."""
FOLDS = 10
REPEATS = 5
"""So many ways to share the queries into folds are averaged."""
SHRINKAGE = 0.3
"""Ridge penalty of a coefficient, where every standardised feature has a sum of squares of 1."""
RISK = 0.9
"""What one harmed query costs beyond its loss, in nDCG@10."""
READ = ("agreement", "expansion_focus", "expansion_size", "overlap_50", "repeated_words", "top_from_window")
"""Features that differ from expansion to expansion. Those of the query alone are as many as there are queries: with a
few hundred of them they cost more than they tell (figures: docs/policy.md)."""
READ_RERANKED = (*READ, "rerank_expanded_gain")
_ROUNDING = 1e-9

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One judged search with one expansion."""

    group: str
    """The collection."""
    query_id: str
    features: Mapping[str, float]
    gains: tuple[float, ...]
    """Change of nDCG@10 against the original query, of each of the WEIGHTS."""


def fit(cases: Sequence[Case], *, risk: float = RISK, shrinkage: float = SHRINKAGE) -> dict[str, Any]:
    """The model as a file has it, without an account of its making. `GainModel.from_json` reads it.

    Every collection counts the same, every query of a collection the same, however many expansions each has. With
    features of a reranker in every case there is a second model that reads those too.
    """
    shares = _shares(cases)
    reranked = all(name in case.features for case in cases for name in READ_RERANKED)
    return {
        "kind": KIND,
        "format": FORMAT,
        "analysis": ANALYSIS_VERSION,
        "weights": list(WEIGHTS),
        "risk": risk,
        "retrieval": _fitted(cases, READ, shares, shrinkage),
        "reranked": _fitted(cases, READ_RERANKED, shares, shrinkage) if reranked else None,
    }


def _shares(cases: Sequence[Case]) -> Array:
    """How much each case counts; they add up to 1."""
    queries: dict[tuple[str, str], int] = {}
    for case in cases:
        queries[case.group, case.query_id] = queries.get((case.group, case.query_id), 0) + 1
    groups: dict[str, int] = {}
    for group, _ in queries:
        groups[group] = groups.get(group, 0) + 1
    return np.array([1 / len(groups) / groups[each.group] / queries[each.group, each.query_id] for each in cases])


def _fitted(cases: Sequence[Case], names: Sequence[str], shares: Array, shrinkage: float) -> dict[str, Any]:
    read = np.array([[case.features[name] for name in names] for case in cases])
    gains = np.array([case.gains for case in cases])
    harms = (gains < -HARM - _ROUNDING).astype(float)
    means = shares @ read
    scales = np.sqrt(shares @ (read - means) ** 2)
    scales[scales < _ROUNDING] = 1.0
    standardised = np.clip((read - means) / scales, -LIMIT, LIMIT)
    return {
        "features": {
            name: {"mean": float(mean), "scale": float(scale)}
            for name, mean, scale in zip(names, means, scales, strict=True)
        },
        "gain": _ridge(standardised, gains, names, shares, shrinkage),
        "harm": _ridge(standardised, harms, names, shares, shrinkage),
    }


def _ridge(
    standardised: Array, wanted: Array, names: Sequence[str], shares: Array, shrinkage: float
) -> list[dict[str, Any]]:
    """One line for each column of `wanted`; the intercept is not shrunk."""
    centre, mean = shares @ standardised, shares @ wanted
    apart = standardised - centre
    left = (apart * shares[:, None]).T @ apart + shrinkage * np.eye(len(names))
    coefficients = np.linalg.solve(left, (apart * shares[:, None]).T @ (wanted - mean))
    intercepts = mean - centre @ coefficients
    return [
        {"mean": float(intercept), "coefficients": dict(zip(names, column.tolist(), strict=True))}
        for intercept, column in zip(intercepts, coefficients.T, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What one way to decide does: means over the cases."""

    gain: float
    harm: float
    """Share of the cases that lose more than HARM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The model on queries that it was not fitted to, against the two ways that need no model."""

    queries: int
    cases: int
    auto: Behaviour
    always: Behaviour
    """Every query expanded with the weight ALWAYS."""
    room: float
    """The gain of the best weight of every case, or of none: nobody can know it."""
    over_always: Difference
    """auto − always, by query."""
    over_never: Difference
    """auto − the original query, by query."""

    @property
    def taken(self) -> float | None:
        """How much of what `always` leaves of the room was taken; None: it leaves none."""
        left = self.room - self.always.gain
        return (self.auto.gain - self.always.gain) / left if left > _ROUNDING else None


def cross_fitted(cases: Sequence[Case], *, risk: float = RISK, shrinkage: float = SHRINKAGE) -> Array:
    """The gain of every case by models that never saw its query: one row for each of REPEATS shares into FOLDS."""
    queries = sorted({(case.group, case.query_id) for case in cases})
    if len(queries) < 2:
        raise ConfigurationError("One query is not enough: a model is judged on others than it is fitted to.")
    return np.array([_one_round(cases, queries, seed, risk, shrinkage) for seed in range(REPEATS)])


def judge(cases: Sequence[Case], chosen: Array, group: str | None = None) -> Judgement:
    """What `chosen` (of `cross_fitted`) comes to, in one collection or in all of them."""
    places = [place for place, case in enumerate(cases) if group in (None, case.group)]
    auto = chosen[:, places]
    gains = np.array([cases[place].gains for place in places])
    always = gains[:, WEIGHTS.index(ALWAYS)]
    names = [f"{cases[place].group}\n{cases[place].query_id}" for place in places]
    by_query = {"auto": _by_query(names, auto.mean(axis=0)), "always": _by_query(names, always)}
    return Judgement(
        queries=len(set(names)),
        cases=len(places),
        auto=Behaviour(gain=float(auto.mean()), harm=harm_rate(auto)),
        always=Behaviour(gain=float(always.mean()), harm=harm_rate(always)),
        room=float(np.maximum(gains.max(axis=1), 0).mean()),
        over_always=difference(by_query["always"], by_query["auto"]),
        over_never=difference(dict.fromkeys(by_query["auto"], 0.0), by_query["auto"]),
    )


def _by_query(names: Sequence[str], gains: Array) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for name, gain in zip(names, gains.tolist(), strict=True):
        found.setdefault(name, []).append(gain)
    return {name: fmean(each) for name, each in found.items()}


def _one_round(
    cases: Sequence[Case], queries: Sequence[tuple[str, str]], seed: int, risk: float, shrinkage: float
) -> list[float]:
    order = np.random.default_rng(seed).permutation(len(queries))
    folds = {queries[place]: number % FOLDS for number, place in enumerate(order)}
    gains = [0.0] * len(cases)
    for fold in set(folds.values()):
        others = [case for case in cases if folds[case.group, case.query_id] != fold]
        model = GainModel.from_json(fit(others, risk=risk, shrinkage=shrinkage))
        for place, case in enumerate(cases):
            if folds[case.group, case.query_id] == fold:
                weight = model.choose(case.features).weight
                gains[place] = case.gains[WEIGHTS.index(weight)] if weight else 0.0
    return gains
