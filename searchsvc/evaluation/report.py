"""What an evaluation found: every variant's means, its difference from the baseline, its cost, what it missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from searchsvc.evaluation.comparison import Difference, difference
from searchsvc.evaluation.extremes import Extreme, extremes
from searchsvc.evaluation.measures import values
from searchsvc.evaluation.qrels import Qrels
from searchsvc.evaluation.runner import Added, Tokens, VariantRun


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
    tokens: Mapping[str, Tokens]
    """By query id."""
    added: Mapping[str, Added]
    """What became of the expansion, by query id."""

    @property
    def all_tokens(self) -> Tokens:
        """Of all queries together."""
        return sum(self.tokens.values(), Tokens())

    @property
    def expanded_share(self) -> float:
        """Share of the queries whose expansion was there in time and took part in the search."""
        return self.decisions()["expanded"] / len(self.took_ms) if self.took_ms else 0.0

    def decisions(self) -> dict[str, int]:
        """How many queries were expanded, how many not and for what: skipped, pending (too late), degraded."""
        counts = Counter(str(each.decision) for each in self.added.values())
        return {decision: counts[decision] for decision in ("expanded", "skipped", "pending", "degraded")}

    def times(self) -> dict[str, float]:
        """Milliseconds of a search: mean, median and 95th percentile."""
        took = np.fromiter(self.took_ms.values(), dtype=float)
        return {
            "mean": float(took.mean()),
            "p50": float(np.percentile(took, 50)),
            "p95": float(np.percentile(took, 95)),
        }

    def cost_json(self) -> dict[str, Any]:
        """Time, tokens, expansions and missing stages, as JSON values."""
        return {
            "took_ms": self.times(),
            "tokens": self.all_tokens.as_json(),
            "cached_completions": self.all_tokens.cached,
            "recorded_tokens": self.all_tokens.recorded,
            "expanded_share": self.expanded_share,
            "expansions": self.decisions(),
            "missed_queries": self.missed_queries,
            "missed": [asdict(missed) for missed in self.missed],
        }


def cost_of(run: VariantRun) -> dict[str, Any]:
    """The fields of a RunReport."""
    return {
        "name": run.variant.name,
        "spec": run.variant.spec,
        "took_ms": run.took_ms,
        "missed": missed_stages(run),
        "missed_queries": len(run.missed),
        "tokens": run.tokens,
        "added": run.added,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport(RunReport):
    """The figures of one variant."""

    per_query: Mapping[str, Mapping[str, float]]
    """Value by measure and query id."""
    means: Mapping[str, float]
    """By measure."""
    reference: str
    """The measure that decides: the first."""
    differences: Mapping[str, Difference]
    """From the baseline, by measure; empty for the baseline itself."""
    gains: Mapping[str, float]
    """By query id: what the variant gains over the baseline in the reference measure; empty for the baseline."""
    worst: tuple[Extreme, ...]
    """The queries that lose most against the baseline in the reference measure."""
    best: tuple[Extreme, ...]

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with this one."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        compared = self.differences.get(self.reference)
        return {
            "name": self.name,
            "spec": self.spec,
            "measures": dict(self.means),
            "vs_baseline": None if compared is None else compared.as_json(self.reference),
            "differences": {measure: asdict(found) for measure, found in self.differences.items()},
            **self.cost_json(),
            "worst": [asdict(each) for each in self.worst],
            "best": [asdict(each) for each in self.best],
            "queries": {query_id: self._query_json(query_id) for query_id in self.took_ms},
        }

    def _query_json(self, query_id: str) -> dict[str, Any]:
        added = self.added.get(query_id)
        return {
            **{name: found[query_id] for name, found in self.per_query.items()},
            "took_ms": self.took_ms[query_id],
            "expansion": None if added is None else added.decision,
        }


def report(
    runs: Sequence[VariantRun],
    *,
    measures: Sequence[str],
    qrels: Qrels,
    texts: Mapping[str, str],
) -> tuple[VariantReport, ...]:
    """The figures of every run over the queries of `qrels`, each compared with the first run, the baseline.

    The first measure is the reference. A query that a run does not have counts 0. `texts` are those of the queries, by
    id.
    """
    found = [values(measures, qrels, run.rankings) for run in runs]
    return tuple(
        _variant_report(run, per_query, found[0] if run is not runs[0] else None, reference=measures[0], texts=texts)
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


def _variant_report(
    run: VariantRun,
    per_query: Mapping[str, Mapping[str, float]],
    base: Mapping[str, Mapping[str, float]] | None,
    *,
    reference: str,
    texts: Mapping[str, str],
) -> VariantReport:
    """`base`: the values of the baseline; None for that itself."""
    before, after = per_query[reference] if base is None else base[reference], per_query[reference]
    gains = {} if base is None else {query_id: after[query_id] - value for query_id, value in before.items()}
    worst, best = extremes(before, after, added=run.added, texts=texts)
    return VariantReport(
        **cost_of(run),
        per_query=per_query,
        means={name: float(np.mean(list(found.values()))) for name, found in per_query.items()},
        reference=reference,
        differences={} if base is None else {name: difference(base[name], per_query[name]) for name in per_query},
        gains=gains,
        worst=worst,
        best=best,
    )
