"""Segmenters of Chinese: jieba, or rjieba where it can be imported; the same words, some twenty times as fast."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from searchsvc.text.userdict import UserWord

SegmenterName = Literal["auto", "jieba", "rjieba"]


class Segmenter(Protocol):
    """Cuts a run of Chinese characters."""

    def cut(self, run: str) -> list[str]:
        """The words: joined, they are the run."""
        ...

    def cut_for_search(self, run: str) -> list[str]:
        """The words, each after the shorter dictionary words (2 and 3 characters) inside it."""
        ...

    def tokenize(self, run: str) -> Iterable[tuple[str, int, int]]:
        """`cut_for_search` with where each word begins and ends."""
        ...


def load_segmenter(name: SegmenterName, user_words: Sequence[UserWord]) -> Segmenter:
    """A segmenter with these user words; `auto` takes rjieba if it can be imported.

    Without user words it is the same for all who ask: nobody changes it, and to load a dictionary takes 0.1 s.
    """
    if name == "rjieba" or (name == "auto" and importlib.util.find_spec("rjieba") is not None):
        return _Rjieba(user_words) if user_words else _plain_rjieba()
    from searchsvc.text.jieba_segmenter import JiebaSegmenter  # noqa: PLC0415 - 0.2 s that rjieba does without

    return JiebaSegmenter(user_words)


class _Rjieba:
    def __init__(self, user_words: Iterable[UserWord]) -> None:
        import rjieba  # noqa: PLC0415 - an optional package

        self._jieba = rjieba.Jieba()
        for word in user_words:
            frequency = word.frequency or self._jieba.suggest_freq(word.text)
            self._jieba.add_word(word.text, frequency, word.tag)
        self.cut = self._jieba.cut
        self.cut_for_search = self._jieba.cut_for_search

    def tokenize(self, run: str) -> Iterable[tuple[str, int, int]]:
        return self._jieba.tokenize(run, "search")


@lru_cache(maxsize=1)
def _plain_rjieba() -> _Rjieba:
    return _Rjieba(())


def dictionary_lines(name: str) -> Iterator[list[str]]:
    """The fields of every line of a data file that comes with jieba: `dict.txt`, `analyse/idf.txt`."""
    with (_jieba_folder() / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield line.split()


def dictionary_bytes() -> bytes:
    """The dictionary of jieba, as it came with the package."""
    return (_jieba_folder() / "dict.txt").read_bytes()


@lru_cache(maxsize=1)
def _jieba_folder() -> Path:
    spec = importlib.util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("jieba is not installed")
    return Path(spec.origin).parent
