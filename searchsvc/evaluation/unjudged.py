"""What can be said of variants without judgements: how far each leads away from the first, at what cost, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from searchsvc.evaluation.report import RunReport, cost_of
from searchsvc.evaluation.runner import VariantRun

PERSISTENCE = 0.9
"""The p of rank-biased overlap: the first ten ranks have 86 % of the weight."""
DEPTH = 10
"""How many documents of a ranking are compared: a first page."""


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], p: float = PERSISTENCE) -> float:
    """How alike two rankings are from the top down: 1 for the same, 0 for no document in common; extrapolated.

    W. Webber, A. Moffat, J. Zobel: A similarity measure for indefinite rankings. ACM Transactions on Information
    Systems 28(4), 2010, article 20, equation 32. With X(d) documents in common among the first d of both, and rankings
    of s ≤ l documents, the agreement at depth d is A(d) = X(d)/d up to s, and beyond, as if the shorter ranking went on
    as it did so far, A(d) = (X(d) + X(s)·(d - s)/s) / d; then RBO = (1 - p)·Σ p^(d-1)·A(d) + p^l·A(l), d from 1 to l.
    Two empty rankings are the same. No ranking holds a document twice; 0 < p < 1.
    """
    short, long = sorted((one, other), key=len)
    if not short:
        return float(not long)
    seen_short, seen_long = set[str](), set[str]()
    agreement = total = 0.0
    common_at_end = 0
    for depth, doc_id in enumerate(long, 1):
        seen_long.add(doc_id)
        seen_short.update(short[depth - 1 : depth])
        common = len(seen_short & seen_long)
        if depth <= len(short):
            common_at_end = common
        agreement = (common + common_at_end * max(0, depth - len(short)) / len(short)) / depth
        total += (1 - p) * p ** (depth - 1) * agreement
    return total + p ** len(long) * agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One query's first page against that of the first variant."""

    top_3: bool
    """Whether the ordered list of the first three differs."""
    top_10: bool
    """The same of the first ten."""
    overlap: float
    """Documents that both first tens hold, as a share of the longer one; 1 if both are empty."""
    rbo: float
    rescued: bool
    """The first variant finds nothing, this one something."""
    new: tuple[str, ...]
    """The documents among the first ten that the first variant does not have there."""
    top: str | None
    """The document on top here; None: there is none."""
    top_was: int | None
    """The rank (1-based) that the first variant gives it; None: it is not on its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeReport(RunReport):
    """The figures of one variant without judgements."""

    results: Mapping[str, tuple[str, ...]]
    """Ids of documents, best first, by query id."""
    changes: Mapping[str, Change]
    """By query id; empty for the first variant."""

    @property
    def empty(self) -> int:
        """How many queries find nothing."""
        return sum(not doc_ids for doc_ids in self.results.values())

    def means(self) -> dict[str, float]:
        """Over the queries: shares that changed, mean overlap and RBO; and how many were rescued."""
        changes = self.changes.values()
        return {
            "top_3_changed": fmean(change.top_3 for change in changes),
            "top_10_changed": fmean(change.top_10 for change in changes),
            "overlap_at_10": fmean(change.overlap for change in changes),
            "rbo": fmean(change.rbo for change in changes),
            "rescued": sum(change.rescued for change in changes),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "name": self.name,
            "spec": self.spec,
            "compared_with_first": self.means() if self.changes else None,
            "empty": self.empty,
            **self.cost_json(),
            "queries": {query_id: self._query_json(query_id) for query_id in self.took_ms},
        }

    def _query_json(self, query_id: str) -> dict[str, Any]:
        return {
            "results": self.results[query_id],
            "took_ms": self.took_ms[query_id],
            "tokens": self.tokens[query_id].as_json(),
            **(asdict(self.changes[query_id]) if self.changes else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """A query that is worth judging, and the variant that differs most on it."""

    query_id: str
    user_query: str
    variant: str
    change: Change

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "query_id": self.query_id,
            "query": self.user_query,
            "variant": self.variant,
            "difference": 1 - self.change.rbo,
            **asdict(self.change),
        }


def change_reports(runs: Sequence[VariantRun]) -> tuple[ChangeReport, ...]:
    """The figures of every run, each compared with the first."""
    first = runs[0]
    return tuple(
        ChangeReport(
            **cost_of(run),
            results=run.rankings,
            changes={
                query_id: _change(doc_ids, run.rankings[query_id])
                for query_id, doc_ids in first.rankings.items()
                if run is not first
            },
        )
        for run in runs
    )


def worth_judging(reports: Sequence[ChangeReport], queries: Mapping[str, str], most: int) -> tuple[Worth, ...]:
    """The queries on which some variant differs from the first, most by 1 - RBO first; at most `most`."""
    found = []
    for query_id, user_query in queries.items():
        changed = [(each.changes[query_id], each.name) for each in reports if each.changes]
        change, name = min(changed, key=lambda pair: pair[0].rbo, default=(None, ""))
        if change is not None and change.top_10:
            found.append(Worth(query_id=query_id, user_query=user_query, variant=name, change=change))
    return tuple(sorted(found, key=lambda each: each.change.rbo)[:most])


def _change(first: Sequence[str], other: Sequence[str]) -> Change:
    before, after = first[:DEPTH], other[:DEPTH]
    longest = max(len(before), len(after))
    ranks = {doc_id: rank for rank, doc_id in enumerate(before, 1)}
    new = tuple(doc_id for doc_id in after if doc_id not in ranks)
    return Change(
        top_3=before[:3] != after[:3],
        top_10=before != after,
        overlap=(len(after) - len(new)) / longest if longest else 1.0,
        rbo=rank_biased_overlap(before, after),
        rescued=bool(after) and not before,
        new=new,
        top=after[0] if after else None,
        top_was=ranks.get(after[0]) if after else None,
    )
