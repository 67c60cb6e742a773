"""The gain model: from the evidence of one search to how heavily its expansion should weigh. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from searchsvc.errors import ConfigurationError
from searchsvc.policy.evidence import RERANK_WORDS, WORDS
from searchsvc.text import ANALYSIS_VERSION

KIND = "searchsvc gain model"
FORMAT = 1
"""Of the model file."""
LIMIT = 3.0
"""A feature counts as no further from its mean than so many standard deviations: beyond, nothing was learned."""
_RETRAIN = "Make one with `searchsvc policy train`, or leave expander.policy out: a model is shipped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to do with the expansion of one search."""

    weight: float
    """λ of the mixture; 0: leave the query as it is."""
    gain: float
    """Expected change of nDCG@10."""
    harm_chance: float
    """Expected chance, 0 to 1, of losing more than 0.1."""
    reason: str
    """For a reader of logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A linear function of standardised features."""

    mean: float
    """Its value where every feature has its mean."""
    coefficients: Mapping[str, float]
    """By how much one standard deviation of a feature changes it."""

    def value(self, standardised: Mapping[str, float]) -> float:
        """At these features."""
        return self.mean + sum(each * standardised[name] for name, each in self.coefficients.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What one kind of evidence says of every weight."""

    means: Mapping[str, float]
    scales: Mapping[str, float]
    """Standard deviations."""
    gains: tuple[Line, ...]
    """In the order of the weights."""
    harms: tuple[Line, ...]
    """Chances of harm, in the same order; their values are cut to 0 to 1."""

    def standardised(self, features: Mapping[str, float]) -> dict[str, float]:
        """The features that are read, in standard deviations from their means, at most LIMIT."""
        return {
            name: max(-LIMIT, min(LIMIT, (features[name] - mean) / self.scales[name]))
            for name, mean in self.means.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GainModel:
    """Chooses the weight with the largest expected gain − risk · chance of harm, or none if that is not above 0."""

    weights: tuple[float, ...]
    risk: float
    """How much nDCG@10 one harmed query costs beyond what it loses."""
    retrieval: Lines
    """By the evidence of the two retrievals."""
    reranked: Lines | None = None
    """With the scores of a reranker for the first pass besides; None: they are not looked at."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The model of a file.

        Raises ConfigurationError for a file of something else, of another version of the text analysis, or with
        features that this version does not know.
        """
        try:
            _check(value)
            return cls(
                weights=_weights(value["weights"]),
                risk=_number(value["risk"]),
                retrieval=_lines(value["retrieval"], len(value["weights"])),
                reranked=None if value["reranked"] is None else _lines(value["reranked"], len(value["weights"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"This is no whole gain model: {error!r}.", hint=_RETRAIN) from error

    def choose(self, features: Mapping[str, float]) -> Choice:
        """What to do where the evidence is `features`, as `searchsvc.policy.evidence.features` gives them."""
        seen = self.reranked is not None and all(name in features for name in self.reranked.means)
        lines = self.reranked if self.reranked is not None and seen else self.retrieval
        at = lines.standardised(features)
        gains = [line.value(at) for line in lines.gains]
        harms = [max(0.0, min(1.0, line.value(at))) for line in lines.harms]
        worth = [gain - self.risk * harm for gain, harm in zip(gains, harms, strict=True)]
        best = max(range(len(worth)), key=worth.__getitem__)
        expand = worth[best] > 0
        said = f"expected {gains[best]:+.3f} nDCG@10, {harms[best]:.0%} chance of harm"
        why = _why(lines, best, at, self.risk)
        return Choice(
            weight=self.weights[best] if expand else 0.0,
            gain=gains[best] if expand else 0.0,
            harm_chance=harms[best] if expand else 0.0,
            reason=f"weight {self.weights[best]:g}: {said} ({why})"
            if expand
            else f"left as it is: even weight {self.weights[best]:g} is not worth it, {said} ({why})",
        )


def _why(lines: Lines, place: int, at: Mapping[str, float], risk: float) -> str:
    """The two features that speak loudest."""
    gain, harm = lines.gains[place].coefficients, lines.harms[place].coefficients
    effects = {name: (gain[name] - risk * harm[name]) * value for name, value in at.items()}
    loudest = sorted(effects, key=lambda name: -abs(effects[name]))[:2]
    sides = [f"{'for' if effects[name] > 0 else 'against'} it: {_state(name, at[name])}" for name in loudest]
    return ", ".join(sides)


def _state(name: str, deviation: float) -> str:
    amount = "high" if deviation > 0 else "low"
    return f"{amount} {WORDS[name]}"


def _check(value: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for what this version cannot use."""
    if value.get("kind") != KIND or value.get("format") != FORMAT:
        raise ConfigurationError(f"This is no gain model of format {FORMAT}.", hint=_RETRAIN)
    if value["analysis"] != ANALYSIS_VERSION:
        raise ConfigurationError(
            f"The gain model was made with version {value['analysis']} of the text analysis,"
            f" and this is version {ANALYSIS_VERSION}.",
            hint=_RETRAIN,
        )
    parts = [part for part in (value["retrieval"], value["reranked"]) if part is not None]
    unknown = sorted({name for part in parts for name in part["features"]} - WORDS.keys())
    if unknown:
        raise ConfigurationError(
            f"The gain model reads what this version does not measure: {', '.join(unknown)}.", hint=_RETRAIN
        )
    if not RERANK_WORDS.keys().isdisjoint(value["retrieval"]["features"]):
        raise ValueError("the part without a reranker reads a reranker's scores")


def _lines(value: Mapping[str, Any], weights: int) -> Lines:
    """Raises ValueError where a part does not fit the others."""
    features = value["features"]
    lines = Lines(
        means={name: _number(each["mean"]) for name, each in features.items()},
        scales={name: _number(each["scale"]) for name, each in features.items()},
        gains=tuple(_line(each) for each in value["gain"]),
        harms=tuple(_line(each) for each in value["harm"]),
    )
    if min(lines.scales.values(), default=1.0) <= 0:
        raise ValueError("a scale is not above 0")
    if len(lines.gains) != weights or len(lines.harms) != weights:
        raise ValueError("there is not one line for each weight")
    if any(line.coefficients.keys() != features.keys() for line in (*lines.gains, *lines.harms)):
        raise ValueError("the coefficients are not those of the features")
    return lines


def _weights(value: Sequence[Any]) -> tuple[float, ...]:
    """Raises ValueError where there is none, or one that is no weight of a mixture."""
    weights = tuple(_number(each) for each in value)
    if not weights or min(weights) <= 0 or max(weights) > 1:
        raise ValueError("the weights are not one or more numbers above 0, at most 1")
    return weights


def _number(value: Any) -> float:
    """Python's JSON reader takes NaN and Infinity for numbers. Raises ValueError for them."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no finite number")
    return number


def _line(value: Mapping[str, Any]) -> Line:
    coefficients = {name: _number(each) for name, each in value["coefficients"].items()}
    return Line(mean=_number(value["mean"]), coefficients=coefficients)
