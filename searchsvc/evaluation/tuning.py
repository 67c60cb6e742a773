"""The best setting of a variant's expansion: chosen by judged queries, judged by others than it is chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from searchsvc.evaluation.comparison import Difference, PerQuery, difference, harm_rate
from searchsvc.evaluation.variants import OFF, Variant, changed
from searchsvc.model import Form, Mode

ENOUGH = 50
"""With fewer judged queries a choice among settings is mostly chance."""
FOLDS = 5
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TERMS = (16, 32)
DEPTHS = (20, 50, 100)
_WEIGHTLESS = (Form.KEYWORDS, Form.CONCAT)
_Gains = npt.NDArray[np.float64]
"""What the queries gain over the original query, one row for each setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value of each thing that is searched; None: that of the variant."""

    weight: float | None = None
    terms: int | None = None
    depth: int | None = None
    prompt: str | None = None
    off: bool = False
    """No expansion at all."""

    def applied(self, variant: Variant, name: str) -> Variant:
        """The variant with this setting, under another name."""
        if self.off:
            return changed(variant, name, OFF)
        values = {
            "expansion.weight": None if self.weight is None else f"{self.weight:g}",
            "expansion.terms": None if self.terms is None else str(self.terms),
            "rerank.depth": None if self.depth is None else str(self.depth),
            "expansion.prompt": self.prompt,
        }
        return changed(variant, name, {key: value for key, value in values.items() if value is not None})

    def words(self) -> str:
        """For a person."""
        if self.off:
            return "no expansion"
        named = {"λ": self.weight, "n": self.terms, "depth": self.depth, "prompt": self.prompt}
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None) or "as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A setting, and what came of it over all queries."""

    setting: Setting
    mean: float
    """Of the measure."""
    gain: float
    """Over no expansion."""
    harm: float
    """Share of the queries that it harms."""
    on_front: bool
    """No other setting gains more for the same harm, or as much for less."""

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        rest = {"mean": self.mean, "gain": self.gain, "harm_rate": self.harm, "on_front": self.on_front}
        return asdict(self.setting) | rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What the search came to."""

    tried: tuple[Tried, ...]
    """All settings; the first is no expansion."""
    chosen: Tried
    """By all queries."""
    estimate: Difference
    """What a choice like this one gains over no expansion on queries that it was not made by."""
    by_fold: tuple[Setting, ...]
    """What was chosen without the queries of each fold."""


def settings_of(
    variant: Variant,
    *,
    weights: Sequence[float] = WEIGHTS,
    terms: Sequence[int] = TERMS,
    depths: Sequence[int] = DEPTHS,
    prompts: Sequence[str] = (),
) -> tuple[Setting, ...]:
    """All combinations, and before them no expansion.

    Where the form has no weight, or nothing reranks, weight or depth are left as they are.
    """
    weighed = variant.expansion.form not in _WEIGHTLESS
    ways = product(
        weights if weighed else (None,),
        terms,
        depths if variant.rerank.mode is not Mode.OFF else (None,),
        prompts or (None,),
    )
    return (
        Setting(off=True),
        *(Setting(weight=weight, terms=count, depth=depth, prompt=prompt) for weight, count, depth, prompt in ways),
    )


def tune(settings: Sequence[Setting], values: Sequence[PerQuery]) -> Tuning:
    """The choice, and by nested cross-validation what it is worth; the same on every run.

    `values` holds for each setting the measure by query id, over the same queries, two at least; the first setting is
    no expansion. The queries are split into FOLDS parts. For each part the setting is chosen by the others alone and
    judged by that part, so that no query has a say in the setting that it is judged by. (A setting learns nothing from
    queries: choosing by an inner cross-validation would give the mean over the inner queries, which is taken at once.)
    """
    query_ids = list(values[0])
    table = np.array([[found[query_id] for query_id in query_ids] for found in values])
    gains = table - table[0]
    judged = np.empty(len(query_ids))
    by_fold = []
    for fold in _folds(len(query_ids)):
        inner = np.setdiff1d(np.arange(len(query_ids)), fold)
        chosen = choice(gains[:, inner])
        judged[fold] = table[chosen, fold]
        by_fold.append(settings[chosen])
    tried = _tried(settings, table, gains)
    return Tuning(
        tried=tried,
        chosen=tried[choice(gains)],
        estimate=difference(values[0], dict(zip(query_ids, judged.tolist(), strict=True))),
        by_fold=tuple(by_fold),
    )


def choice(gains: _Gains) -> int:
    """The row that harms least among those whose mean is within one standard error of the best row's.

    (Breiman, Friedman, Olshen, Stone 1984, 3.4.3: what is not clearly worse is as good.) The error is that of the
    difference, paired by query. Of equal harm the larger mean counts, then the earlier row.
    """
    means = gains.mean(axis=1)
    behind = gains[int(means.argmax())] - gains
    errors = behind.std(axis=1, ddof=1) / np.sqrt(gains.shape[1]) if gains.shape[1] > 1 else np.zeros(len(gains))
    near = [row for row in range(len(gains)) if behind[row].mean() <= errors[row] + 1e-12]
    return min(near, key=lambda row: (harm_rate(gains[row]), -means[row], row))


def applied(settings: Sequence[Setting], variant: Variant) -> tuple[Variant, ...]:
    """A variant for each setting, in their order."""
    return tuple(setting.applied(variant, f"s{number}") for number, setting in enumerate(settings))


def _tried(settings: Sequence[Setting], table: _Gains, gains: _Gains) -> tuple[Tried, ...]:
    found = [(float(row.mean()), harm_rate(row)) for row in gains]

    def beaten(gain: float, harm: float) -> bool:
        return any(other >= gain and less <= harm and (other, less) != (gain, harm) for other, less in found)

    return tuple(
        Tried(setting=setting, mean=float(row.mean()), gain=gain, harm=harm, on_front=not beaten(gain, harm))
        for setting, row, (gain, harm) in zip(settings, table, found, strict=True)
    )


def _folds(count: int) -> list[npt.NDArray[np.intp]]:
    """Places of the queries, shuffled by a fixed seed, in FOLDS parts (fewer where there are fewer queries)."""
    return np.array_split(np.random.default_rng(0).permutation(count), min(FOLDS, count))
