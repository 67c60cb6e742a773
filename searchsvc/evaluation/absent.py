"""Judged documents that no ranking holds: are they in the index at all?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from searchsvc.errors import SearchError
from searchsvc.evaluation.qrels import QrelsFile
from searchsvc.evaluation.runner import VariantRun

BATCH = 100
"""How many documents are asked for at once."""

Lookup = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Those of the ids that are in the index and may be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Judgements of documents that cannot be found."""

    unranked: int
    """Judgements whose document is in no ranking of any query."""
    judgements: int
    """Those of them whose document is not in the index."""
    relevant: int
    """Those of these with a grade above 0, for which every ranking loses."""
    first_line: int | None
    """Number (1-based) of the first line that names such a document."""
    first: str
    """That document."""
    problem: str
    """Not empty: why the index could not be asked; then only `unranked` is known."""


async def absent_judgements(
    qrels: QrelsFile, runs: Sequence[VariantRun], lookup: Lookup, told: Callable[[int, int], None]
) -> Absent:
    """Ask for the judged documents that are in no ranking; `told` hears how many, and of how many."""
    ranked = {doc_id for run in runs for doc_ids in run.rankings.values() for doc_id in doc_ids}
    unranked = {key: number for key, number in qrels.lines.items() if key[1] not in ranked}
    missing = sorted({doc_id for _, doc_id in unranked})
    found: set[str] = set()
    problem = ""
    try:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            found.update(await lookup(batch))
            told(start + len(batch), len(missing))
    except SearchError as error:
        problem = error.message
    absent = [] if problem else [(number, key) for key, number in unranked.items() if key[1] not in found]
    first_line, first_key = min(absent, default=(None, ("", "")))
    return Absent(
        unranked=len(unranked),
        judgements=len(absent),
        relevant=sum(qrels.grades[query_id][doc_id] > 0 for _, (query_id, doc_id) in absent),
        first_line=first_line,
        first=first_key[1],
        problem=problem,
    )
