"""Judging pairs of a query and a document: which pairs, in which order, and how far two judges agree.

Nothing here reads or writes: the file is that of judgements.py, the screen that of the command line.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from searchsvc.documents import clean
from searchsvc.evaluation.qrels import Key

GRADES: Mapping[int, str] = {0: "not relevant", 1: "related", 2: "relevant", 3: "exactly"}
"""What a grade means."""
POOL_DEPTH = 10
"""How many of the best documents of each variant are judged."""
ENOUGH = 30
"""With fewer pairs that both have judged, nothing is said on how far two judges agree."""

Table = tuple[tuple[int, ...], ...]
"""How many pairs got the grade of the row from one judge and that of the column from the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One document to be judged for one query."""

    query_id: str
    doc_id: str
    user_query: str
    title: str
    text: str
    passage: str
    """What a reranker reads of the document."""

    @property
    def key(self) -> Key:
        """Query id and doc_id."""
        return self.query_id, self.doc_id


def can_be_written(identifier: str) -> bool:
    """Whether an id can stand in a column of a file of judgements."""
    return clean(identifier) == identifier and not any(mark in identifier for mark in "\t\n\r")


def blind_order(query_id: str, doc_ids: Iterable[str]) -> list[str]:
    """Each document once, shuffled by a seed that is the query id.

    Who found a document, and at which rank, has no part in the order. A further document leaves the order of the
    others as it is, so that a session goes on where it ended when a variant is added.
    """
    return sorted(set(doc_ids), key=lambda doc_id: hashlib.sha256(f"{query_id}\t{doc_id}".encode()).digest())


@dataclass(frozen=True, slots=True)
class Step:
    """What was done with a pair: it was judged, or skipped."""

    pair: Pair
    judged: bool


class Session:
    """The way of one person through the pairs: forth by judging or skipping, back by undoing."""

    def __init__(self, pairs: Sequence[Pair], judged: Iterable[Key] = ()) -> None:
        """`judged`: what was judged before, in that order; it is not asked again, and can be undone.

        Keys of other pairs are passed over.
        """
        by_key = {pair.key: pair for pair in pairs}
        before = {key: by_key[key] for key in judged if key in by_key}
        self._past = [Step(pair, judged=True) for pair in before.values()]
        self._ahead = deque(pair for key, pair in by_key.items() if key not in before)

    @property
    def current(self) -> Pair | None:
        """The pair to be judged now; None at the end."""
        return self._ahead[0] if self._ahead else None

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return len(self._past) + len(self._ahead)

    @property
    def judged(self) -> int:
        """How many of them are judged, before and now."""
        return sum(step.judged for step in self._past)

    @property
    def skipped(self) -> int:
        """How many were skipped."""
        return len(self._past) - self.judged

    @property
    def left(self) -> int:
        """How many are to come."""
        return len(self._ahead)

    def go_on(self, *, judged: bool) -> None:
        """The current pair was judged, or skipped."""
        self._past.append(Step(self._ahead.popleft(), judged=judged))

    def go_back(self) -> Step | None:
        """The last step, whose pair is the current one again; None at the beginning."""
        if not self._past:
            return None
        step = self._past.pop()
        self._ahead.appendleft(step.pair)
        return step


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two judges agree on the pairs that both have judged."""

    table: Table

    @property
    def pairs(self) -> int:
        """How many pairs both have judged."""
        return sum(map(sum, self.table))

    @property
    def kappa(self) -> float | None:
        """Weighted κ; None with fewer than ENOUGH pairs, and where both gave one and the same grade throughout."""
        return None if self.pairs < ENOUGH else weighted_kappa(self.table)


def agreement(one: Mapping[Key, int], other: Mapping[Key, int]) -> Agreement:
    """The grades of two judges against each other, where both have judged."""
    counts = [[0] * len(GRADES) for _ in GRADES]
    for key in one.keys() & other.keys():
        counts[one[key]][other[key]] += 1
    return Agreement(tuple(map(tuple, counts)))


def weighted_kappa(table: Table) -> float | None:
    """Cohen's κ with quadratic weights: 1 for perfect agreement, 0 for what chance would give, at worst -1.

    κ = 1 - Σ w·observed / Σ w·expected with w = (i - j)², where `expected` has the judges independent of each other:
    two grades apart count four times as much as one. J. Cohen: Weighted kappa: nominal scale agreement with provision
    for scaled disagreement or partial credit. Psychological Bulletin 70 (1968), 213-220.
    None where it is 0/0: no pair, or both judges gave one and the same grade throughout.
    """
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    cells = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    observed = sum((i - j) ** 2 * table[i][j] for i, j in cells)
    by_chance = sum((i - j) ** 2 * rows[i] * columns[j] for i, j in cells)
    return None if by_chance == 0 else 1 - observed * sum(rows) / by_chance
