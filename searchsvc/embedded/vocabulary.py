"""The words of an index, and for each the words of the index that mean nearly the same, in any language.

Built once at the end of a load and kept in `vocabulary.json`; the vectors are among those kept by content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from searchsvc.embedded.encoder import DIMENSIONS
from searchsvc.embedded.errors import damaged
from searchsvc.embedded.fields import OpenTantivy, document_counts, word_surfaces
from searchsvc.embedded.store import read_json, replace_json
from searchsvc.embedded.vectors import StoredVectors, VectorWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WORDS = 20_000
"""Those in the most documents: 40 MB of vectors in memory, and 2 ms for the nearest words to one vector."""
THRESHOLD = 0.55
"""The least cosine similarity of a neighbour."""
NEIGHBOURS = 6
"""The most neighbours of one word or query."""
_BATCH = 512

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

    @classmethod
    def read(cls, folder: Path, index: str) -> Self:
        """The vocabulary of the index in `folder`. Raises BackendRejected if it is damaged or missing."""
        try:
            found = read_json(folder / "vocabulary.json")
            if found is None:
                raise damaged(index, "vocabulary.json is missing")
            neighbours = tuple(
                tuple(zip(places, similarities, strict=True)) for places, similarities in found["neighbours"]
            )
            terms, surfaces = tuple(found["terms"]), tuple(found["surfaces"])
            if not len(terms) == len(surfaces) == len(neighbours):
                raise damaged(index, "vocabulary.json: its lists differ in length")
            if any(not 0 <= place < len(terms) for near in neighbours for place, _ in near):
                raise damaged(index, "vocabulary.json: a neighbour is out of range")
            return cls(terms=terms, surfaces=surfaces, neighbours=neighbours)
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(index, f"vocabulary.json: {error}") from error

    def write(self, folder: Path) -> None:
        """Replaces the vocabulary of the index in `folder`."""
        neighbours = [
            [[place for place, _ in near], [round(value, 4) for _, value in near]] for near in self.neighbours
        ]
        content = {"terms": self.terms, "surfaces": self.surfaces, "neighbours": neighbours}
        replace_json(folder / "vocabulary.json", content)


def build_vocabulary(opened: OpenTantivy, writer: VectorWriter, vectors: Path, pulse: Callable[[], None]) -> Vocabulary:
    """The vocabulary of an index, its words encoded; `pulse` is called every moment."""
    every = word_surfaces(opened)
    counts = document_counts(opened)
    terms = sorted(every, key=lambda term: (-counts.get(term, 0), term))[:MAX_WORDS]
    surfaces = [every[term] for term in terms]
    for start in range(0, len(surfaces), _BATCH):
        writer.add(surfaces[start : start + _BATCH])
        pulse()
    matrix = word_matrix(surfaces, StoredVectors.open(vectors))
    neighbours: list[tuple[Near, ...]] = []
    for each in _neighbours_by_word(matrix):
        neighbours.append(each)
        if len(neighbours) % _BATCH == 0:
            pulse()
    return Vocabulary(
        terms=tuple(terms),
        surfaces=tuple(surfaces),
        neighbours=tuple(neighbours),
    )


def word_matrix(surfaces: list[str] | tuple[str, ...], stored: StoredVectors) -> NDArray[np.float32]:
    """The vectors of the words, (n, 512); a word whose vector is gone has zeros and is near to nothing."""
    positions = stored.positions_of(surfaces)
    matrix = (
        stored.vectors(np.maximum(positions, 0))
        if len(stored.keys)
        else np.zeros((len(surfaces), DIMENSIONS), np.float32)
    )
    matrix[positions < 0] = 0.0
    return matrix


def nearest(similarities: NDArray[np.float32]) -> tuple[Near, ...]:
    """The places of the best similarities that reach the threshold, best first."""
    places = np.flatnonzero(similarities >= THRESHOLD)
    if len(places) > NEIGHBOURS:
        places = places[np.argpartition(-similarities[places], NEIGHBOURS - 1)[:NEIGHBOURS]]
    found = [(int(place), float(similarities[place])) for place in places]
    return tuple(sorted(found, key=lambda near: (-near[1], near[0])))


def _neighbours_by_word(matrix: NDArray[np.float32]) -> Iterator[tuple[Near, ...]]:
    for start in range(0, len(matrix), _BATCH):
        similarities = matrix[start : start + _BATCH] @ matrix.T
        for row, values in enumerate(similarities):
            values[start + row] = 0.0
            yield nearest(values)
