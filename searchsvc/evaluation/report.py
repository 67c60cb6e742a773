"""What an evaluation found: every variant's means, its difference from the first, its times, what it missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from searchsvc.evaluation.comparison import Difference, difference
from searchsvc.evaluation.measures import values
from searchsvc.evaluation.qrels import Qrels
from searchsvc.evaluation.runner import VariantRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A stage that a variant asks for and some queries did without."""

    stage: str
    reason: str
    queries: int
    """How many did without."""
    message: str
    """For a person: of the first such query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a variant cost and lacked."""

    name: str
    spec: str
    took_ms: Mapping[str, float]
    """By query id."""
    missed: tuple[Missed, ...]
    missed_queries: int
    """Queries that did without some stage."""

    def times(self) -> dict[str, float]:
        """Milliseconds of a search: mean, median and 95th percentile."""
        took = np.fromiter(self.took_ms.values(), dtype=float)
        return {
            "mean": float(took.mean()),
            "p50": float(np.percentile(took, 50)),
            "p95": float(np.percentile(took, 95)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport(RunReport):
    """The figures of one variant."""

    per_query: Mapping[str, Mapping[str, float]]
    """Value by measure and query id."""
    means: Mapping[str, float]
    """By measure."""
    differences: Mapping[str, Difference]
    """From the first variant, by measure; empty for the first."""

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "name": self.name,
            "spec": self.spec,
            "measures": dict(self.means),
            "differences": {measure: asdict(found) for measure, found in self.differences.items()},
            "took_ms": self.times(),
            "missed_queries": self.missed_queries,
            "missed": [asdict(missed) for missed in self.missed],
            "queries": {
                query_id: {**{name: found[query_id] for name, found in self.per_query.items()}, "took_ms": took_ms}
                for query_id, took_ms in self.took_ms.items()
            },
        }


def report(runs: Sequence[VariantRun], *, measures: Sequence[str], qrels: Qrels) -> tuple[VariantReport, ...]:
    """The figures of every run, each compared with the first."""
    found = [values(measures, qrels, run.rankings) for run in runs]
    return tuple(
        VariantReport(
            name=run.variant.name,
            spec=run.variant.spec,
            per_query=per_query,
            means={name: float(np.mean(list(per_query[name].values()))) for name in measures},
            differences={name: difference(found[0][name], per_query[name]) for name in measures if run is not runs[0]},
            took_ms=run.took_ms,
            missed=missed_stages(run),
            missed_queries=len(run.missed),
        )
        for run, per_query in zip(runs, found, strict=True)
    )


def missed_stages(run: VariantRun) -> tuple[Missed, ...]:
    """The stages that queries did without, each with its reason."""
    traces = [trace for missed in run.missed.values() for trace in missed]
    counts = Counter((str(trace.stage), str(trace.reason)) for trace in traces)
    messages = {(str(trace.stage), str(trace.reason)): trace.message for trace in reversed(traces)}
    return tuple(
        Missed(stage=stage, reason=reason, queries=queries, message=messages[stage, reason])
        for (stage, reason), queries in counts.items()
    )
