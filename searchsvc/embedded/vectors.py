"""Sentence vectors kept by the content that they were made from, so that no text is encoded twice.

Two files that only grow: `MODEL.f16`, rows of 512 float16, and `MODEL.keys`, for each row the 64-bit hash of its text.
A batch writes and flushes its rows, then its keys, so every key has its row whenever the process is killed; what lies
beyond the last key is overwritten by the next writer. All physical indices share them, also those yet to be made.
Two texts of one hash would share a vector; among ten million texts that happens with a chance of 3 in a million.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from searchsvc.embedded.errors import folder_errors
from searchsvc.errors import ConfigurationError
from searchsvc.vocabulary.encoder import DIMENSIONS, Encoder, readable
from searchsvc.vocabulary.method import MODEL

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

_KEY_BYTES = 8
_ROW_BYTES = 2 * DIMENSIONS


def content_key(text: str) -> int:
    """The hash of what the encoder would read of `text`."""
    return int.from_bytes(hashlib.blake2b(readable(text).encode(), digest_size=_KEY_BYTES).digest(), "little")


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """The vectors that were there when the files were opened, memory-mapped."""

    keys: NDArray[np.uint64]
    """Sorted."""
    positions: NDArray[np.int64]
    """The row of each key."""
    rows: NDArray[np.float16]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """All complete rows in `folder`; none if there are no files. Raises ConfigurationError."""
        with folder_errors("read", folder):
            count = _complete_rows(folder)
            if not count:
                return cls(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, DIMENSIONS), np.float16))
            keys = np.fromfile(_keys(folder), dtype="<u8", count=count)
            rows = np.memmap(_rows(folder), dtype="<f2", mode="r", shape=(count, DIMENSIONS))
        order = np.argsort(keys, kind="stable")
        return cls(keys[order].astype(np.uint64), order.astype(np.int64), rows)

    def positions_of(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The row of each text, −1 where it has none."""
        wanted = np.fromiter((content_key(text) for text in texts), dtype=np.uint64, count=len(texts))
        if not len(self.keys):
            return np.full(len(texts), -1, np.int64)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, self.positions[places], -1)

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of these rows, (n, 512)."""
        return self.rows[positions].astype(np.float32)


class VectorWriter:
    """Adds the vectors of texts that have none yet; one writer at a time (`DataFolder.writing`)."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        """Opens the files in `folder`, which it makes. Raises ConfigurationError."""
        self._encoder = encoder
        self._folder = folder
        with folder_errors("written", folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._key_file = _keys(folder).open("ab")
            self._row_file = _rows(folder).open("ab")
            count = _complete_rows(folder)
            self._key_file.truncate(count * _KEY_BYTES)
            self._row_file.truncate(count * _ROW_BYTES)
            self._known: set[int] = set(np.fromfile(_keys(folder), dtype="<u8", count=count).tolist())

    def add(self, texts: Sequence[str]) -> int:
        """Encodes and stores those of `texts` that are new; returns how many. Raises ConfigurationError."""
        fresh = {key: text for text in texts if (key := content_key(text)) not in self._known}
        if not fresh:
            return 0
        vectors = self._encoder.encode(list(fresh.values()))
        with folder_errors("written", self._folder):
            self._row_file.write(vectors.astype("<f2").tobytes())
            self._row_file.flush()
            os.fsync(self._row_file.fileno())
            self._key_file.write(np.fromiter(fresh, dtype="<u8", count=len(fresh)).tobytes())
            self._key_file.flush()
        self._known.update(fresh)
        return len(fresh)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with folder_errors("written", self._folder), self._row_file, self._key_file:
                pass  # closes both, also where the first cannot write what it holds
        except ConfigurationError:
            if error is None:
                raise


def _keys(folder: Path) -> Path:
    return folder / f"{MODEL}.keys"


def _rows(folder: Path) -> Path:
    return folder / f"{MODEL}.f16"


def _complete_rows(folder: Path) -> int:
    sizes = [path.stat().st_size if path.exists() else 0 for path in (_keys(folder), _rows(folder))]
    return min(sizes[0] // _KEY_BYTES, sizes[1] // _ROW_BYTES)
