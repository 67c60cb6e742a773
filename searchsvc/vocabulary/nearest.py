"""The words of an index, and for each the words of the index that mean nearly the same, in any language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 0.55
"""The least cosine similarity of a neighbour."""
NEIGHBOURS = 6
"""The most neighbours of one word or query."""
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


def nearest(similarities: NDArray[np.float32]) -> tuple[Near, ...]:
    """The places of the best similarities that reach the threshold, best first."""
    places = np.flatnonzero(similarities >= THRESHOLD)
    if len(places) > NEIGHBOURS:
        places = places[np.argpartition(-similarities[places], NEIGHBOURS - 1)[:NEIGHBOURS]]
    found = [(int(place), float(similarities[place])) for place in places]
    return tuple(sorted(found, key=lambda near: (-near[1], near[0])))


def neighbours_by_batch(matrix: NDArray[np.float32]) -> Iterator[list[tuple[Near, ...]]]:
    """The neighbours of all words in the order of their places, for BATCH words at a time; `matrix` is (words, 512)."""
    for start in range(0, len(matrix), BATCH):
        similarities = matrix[start : start + BATCH] @ matrix.T
        for row, values in enumerate(similarities):
            values[start + row] = 0.0
        yield [nearest(values) for values in similarities]
