"""The words of an index, and for each the words of the index that mean nearly the same, in any language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from searchsvc.vocabulary.words import is_chinese

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 0.55
"""The least cosine similarity of a neighbour."""
NEIGHBOURS = 6
"""The most neighbours of one word or query in each of the two scripts.

Of six in all, most are in the script of the word itself, and a query finds nothing in the other language.
"""
BATCH = 512
"""Words that are encoded or compared together: a tenth of a second."""

Near = tuple[int, float]
"""A neighbour: its place in the vocabulary, and the cosine similarity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Words by place, most frequent first."""

    terms: tuple[str, ...]
    surfaces: tuple[str, ...]
    """What is encoded: the commonest word that the term is the stem of."""
    neighbours: tuple[tuple[Near, ...], ...]
    """Best first."""


def nearest(similarities: NDArray[np.float32], chinese: NDArray[np.bool_]) -> tuple[Near, ...]:
    """The places of the best similarities in each script that reach the threshold, best first.

    `chinese` tells the script of the word at each place.
    """
    near = np.flatnonzero(similarities >= THRESHOLD)
    found: list[Near] = []
    for places in (near[chinese[near]], near[~chinese[near]]):
        best = np.argpartition(-similarities[places], NEIGHBOURS - 1)[:NEIGHBOURS] if len(places) > NEIGHBOURS else ...
        found += [(int(place), float(similarities[place])) for place in places[best]]
    return tuple(sorted(found, key=lambda each: (-each[1], each[0])))


def scripts(surfaces: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the words are Chinese."""
    return np.fromiter((is_chinese(surface) for surface in surfaces), dtype=np.bool_, count=len(surfaces))


def neighbours_by_batch(matrix: NDArray[np.float32], surfaces: Sequence[str]) -> Iterator[list[tuple[Near, ...]]]:
    """The neighbours of all words in the order of their places, for BATCH words at a time; `matrix` is (words, 512)."""
    chinese = scripts(surfaces)
    for start in range(0, len(matrix), BATCH):
        similarities = matrix[start : start + BATCH] @ matrix.T
        for row, values in enumerate(similarities):
            values[start + row] = 0.0
        yield [nearest(values, chinese) for values in similarities]
