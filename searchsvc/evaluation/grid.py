"""Expansion off and on, reranking off and on: what an expansion adds, and what of it is left behind the reranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.comparison import Difference, difference
from searchsvc.evaluation.report import VariantReport
from searchsvc.evaluation.variants import OFF, Variant, changed
from searchsvc.model import Mode

BASE, EXPANDED, RERANKED, BOTH = NAMES = ("base", "expand", "rerank", "expand+rerank")
"""The variants of the grid, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What expansion adds, by measure."""

    alone: Mapping[str, Difference]
    """Without the reranker: EXPANDED against BASE."""
    behind: Mapping[str, Difference]
    """Behind the reranker: BOTH against RERANKED."""

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "expansion_alone": {measure: asdict(found) for measure, found in self.alone.items()},
            "expansion_behind_reranker": {measure: asdict(found) for measure, found in self.behind.items()},
        }


def grid_variants(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The four variants that one makes. Raises ConfigurationError for several, or for one that does not expand."""
    if len(variants) != 1:
        raise ConfigurationError(
            f"--grid makes its four variants from one, and {len(variants)} are named.",
            hint="It is run once for each.",
        )
    variant = variants[0]
    if variant.expansion.mode is Mode.OFF:
        raise ConfigurationError(
            f"--grid switches the expansion of {variant.name} on and off, and it has none.",
            hint="For instance --variant full:expansion=on.",
        )
    return (
        changed(variant, BASE, {**OFF, "rerank": "off"}),
        changed(variant, EXPANDED, {"rerank": "off"}),
        changed(variant, RERANKED, {**OFF, "rerank": "on"}),
        changed(variant, BOTH, {"rerank": "on"}),
    )


def window_measure(variants: Sequence[Variant]) -> str:
    """Recall at the depth that the reranker reads: what it cannot mend."""
    return f"R@{variants[0].rerank.depth}"


def grid(reports: Sequence[VariantReport]) -> Grid:
    """What expansion adds, from the reports of the four variants."""
    by_name = {report.name: report.per_query for report in reports}

    def compared(before: str, after: str) -> dict[str, Difference]:
        return {measure: difference(values, by_name[after][measure]) for measure, values in by_name[before].items()}

    return Grid(alone=compared(BASE, EXPANDED), behind=compared(RERANKED, BOTH))
