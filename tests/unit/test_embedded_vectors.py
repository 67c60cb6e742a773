from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from searchsvc.embedded.vectors import StoredVectors, VectorWriter, content_key
from searchsvc.errors import ConfigurationError
from searchsvc.vocabulary.encoder import DIMENSIONS, ENCODER, MAX_CHARACTERS, Encoder, readable
from searchsvc.vocabulary.method import MODEL


class CountingEncoder(Encoder):
    """Encodes a text as its length, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        return np.stack([np.full(DIMENSIONS, len(text), np.float32) for text in texts])


def _add(folder: Path, *texts: str) -> list[str]:
    """Adds, and returns what had to be encoded for it."""
    encoder = CountingEncoder()
    with VectorWriter(folder, encoder) as writer:
        assert writer.add(texts) == len(encoder.encoded)
    return encoder.encoded


def _lengths(folder: Path, *texts: str) -> list[float | None]:
    stored = StoredVectors.open(folder)
    positions = stored.positions_of(texts)
    return [None if place < 0 else float(stored.vectors(np.array([place]))[0, 0]) for place in positions]


def test_a_text_is_encoded_once_also_by_later_writers(tmp_path: Path) -> None:
    first = _add(tmp_path, "a", "bb", "a")
    second = _add(tmp_path, "bb", "ccc")

    assert (first, second) == (["a", "bb"], ["ccc"])
    assert _lengths(tmp_path, "ccc", "a", "never", "bb") == [3.0, 1.0, None, 2.0]


def test_before_the_first_writer_nothing_is_stored(tmp_path: Path) -> None:
    assert _lengths(tmp_path / "none", "a", "b") == [None, None]


@pytest.mark.parametrize("kind", ["f16", "keys"])
def test_what_a_killed_writer_left_half_written_is_ignored_and_overwritten(tmp_path: Path, kind: str) -> None:
    _add(tmp_path, "a", "bb")
    with (tmp_path / f"{MODEL}.{kind}").open("ab") as torn:
        torn.write(b"\1" * (1500 if kind == "f16" else 5))

    assert _lengths(tmp_path, "bb") == [2.0]
    assert _add(tmp_path, "bb", "dddd") == ["dddd"]
    assert _lengths(tmp_path, "a", "bb", "dddd") == [1.0, 2.0, 4.0]


def test_keys_without_rows_do_not_count(tmp_path: Path) -> None:
    _add(tmp_path, "a", "bb")
    rows = tmp_path / f"{MODEL}.f16"
    rows.write_bytes(rows.read_bytes()[:-1])

    assert _lengths(tmp_path, "a", "bb") == [1.0, None]
    assert _add(tmp_path, "bb") == ["bb"]
    assert _lengths(tmp_path, "a", "bb") == [1.0, 2.0]


def test_texts_that_the_encoder_reads_alike_share_a_vector() -> None:
    tail = "x" * MAX_CHARACTERS

    assert content_key("ｗｉ-ｆｉ\0") == content_key("wi-fi")
    assert content_key(tail + "one") == content_key(tail + "two")
    assert content_key("one") != content_key("two")


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "a\ud800b\0", "\ufdfa" * 3000, "\u200b", "🙂" * 2000])
def test_any_text_can_be_encoded(text: str) -> None:
    vector = ENCODER.encode([text])[0]

    assert len(readable(text)) <= MAX_CHARACTERS
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)


def test_no_texts_give_no_vectors() -> None:
    assert ENCODER.encode([]).shape == (0, DIMENSIONS)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=str(tmp_path / "file")):
        VectorWriter(tmp_path / "file" / "vectors", CountingEncoder())


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes: as a full disk, writing fails after part of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_what_was_stored_before_stays(tmp_path: Path) -> None:
    _add(tmp_path, "a")
    with pytest.raises(ConfigurationError, match="cannot be written"), no_room_beyond(1500):
        _add(tmp_path, "bb", "ccc")

    assert _lengths(tmp_path, "a", "bb", "ccc") == [1.0, None, None]
    assert _add(tmp_path, "bb") == ["bb"]


def test_an_error_of_the_caller_is_not_hidden_by_a_full_disk(tmp_path: Path) -> None:
    def fails_after_a_full_disk() -> None:
        with VectorWriter(tmp_path, CountingEncoder()) as writer:
            with pytest.raises(ConfigurationError):
                writer.add(["bb", "ccc"])
            raise LookupError

    with pytest.raises(LookupError), no_room_beyond(1500):
        fails_after_a_full_disk()
