"""The vocabulary of an index in `vocabulary.json`; its vectors are among those kept by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from searchsvc.embedded.errors import damaged
from searchsvc.embedded.fields import OpenTantivy, document_counts, word_surfaces
from searchsvc.embedded.store import read_json, replace_json
from searchsvc.embedded.vectors import StoredVectors, VectorWriter
from searchsvc.vocabulary.encoder import DIMENSIONS
from searchsvc.vocabulary.nearest import BATCH, Near, Vocabulary, neighbours_by_batch
from searchsvc.vocabulary.words import MAX_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_vocabulary(folder: Path, index: str) -> Vocabulary:
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
        return Vocabulary(terms=terms, surfaces=surfaces, neighbours=neighbours)
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(index, f"vocabulary.json: {error}") from error


def write_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Replaces the vocabulary of the index in `folder`."""
    neighbours = [
        [[place for place, _ in near], [round(value, 4) for _, value in near]] for near in vocabulary.neighbours
    ]
    content = {"terms": vocabulary.terms, "surfaces": vocabulary.surfaces, "neighbours": neighbours}
    replace_json(folder / "vocabulary.json", content)


def build_vocabulary(
    opened: OpenTantivy, writer: VectorWriter, vectors: Path, report: Callable[[int, int], None]
) -> Vocabulary:
    """The vocabulary of an index, its words encoded.

    `report` is called every moment with the number of words done, and with that of all; what it raises ends the work.
    """
    every = word_surfaces(opened)
    counts = document_counts(opened)
    terms = sorted(every, key=lambda term: (-counts.get(term, 0), term))[:MAX_WORDS]
    surfaces = [every[term] for term in terms]
    for start in range(0, len(surfaces), BATCH):
        writer.add(surfaces[start : start + BATCH])
        report(start // 2, len(surfaces))
    neighbours: list[tuple[Near, ...]] = []
    for batch in neighbours_by_batch(word_matrix(surfaces, StoredVectors.open(vectors)), surfaces):
        neighbours += batch
        report((len(surfaces) + len(neighbours)) // 2, len(surfaces))
    return Vocabulary(terms=tuple(terms), surfaces=tuple(surfaces), neighbours=tuple(neighbours))


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
