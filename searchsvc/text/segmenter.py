"""Segmenters of Chinese: jieba, or rjieba where it can be imported; the same words, some twenty times as fast.

Both find the path of the largest probability through jieba's dictionary and cut what the dictionary does not know by
a hidden Markov model (https://github.com/fxsjy/jieba). rjieba holds the emission probabilities of that model rounded
to six decimals, which turns near-ties round: jieba's are rounded here too, and then the two agree.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes and pkg_resources: jieba's, known, harmless
    import jieba
    from jieba import finalseg

from searchsvc.text.userdict import UserWord

SegmenterName = Literal["auto", "jieba", "rjieba"]

_LEAST = -3.14e100
"""The logarithm of "impossible" in jieba's model."""


class Segmenter(Protocol):
    """Cuts a run of Chinese characters."""

    def cut(self, run: str) -> list[str]:
        """The words: joined, they are the run."""
        ...

    def cut_for_search(self, run: str) -> list[str]:
        """The words, each after the shorter dictionary words (2 and 3 characters) inside it."""
        ...

    def tokenize(self, run: str) -> list[tuple[str, int, int]]:
        """`cut_for_search` with where each word begins and ends."""
        ...


def load_segmenter(name: SegmenterName, user_words: Iterable[UserWord]) -> Segmenter:
    """A segmenter of its own, user words loaded; `auto` takes rjieba if it can be imported."""
    if name == "rjieba" or (name == "auto" and importlib.util.find_spec("rjieba") is not None):
        return _Rjieba(user_words)
    return _Jieba(user_words)


class _Rjieba:
    def __init__(self, user_words: Iterable[UserWord]) -> None:
        import rjieba  # noqa: PLC0415 - an optional package

        self._jieba = rjieba.Jieba()
        for word in user_words:
            frequency = word.frequency or self._jieba.suggest_freq(word.text)
            self._jieba.add_word(word.text, frequency, word.tag)
        self.cut = self._jieba.cut
        self.cut_for_search = self._jieba.cut_for_search

    def tokenize(self, run: str) -> list[tuple[str, int, int]]:
        return self._jieba.tokenize(run, "search")


class _Jieba:
    def __init__(self, user_words: Iterable[UserWord]) -> None:
        self._tokenizer = _Tokenizer()
        for word in user_words:
            self._tokenizer.set_word(word.text, word.frequency or self._tokenizer.suggest_freq(word.text))
        self.cut = self._tokenizer.lcut
        self.cut_for_search = self._tokenizer.lcut_for_search

    def tokenize(self, run: str) -> list[tuple[str, int, int]]:
        return list(self._tokenizer.tokenize(run, mode="search"))


class _Tokenizer(jieba.Tokenizer):  # type: ignore[misc] # jieba has no types
    """jieba's tokenizer for runs of Chinese characters, with a hidden Markov model that runs in linear time."""

    def __init__(self) -> None:
        super().__init__()
        jieba.setLogLevel(60)
        self.tmp_dir = str(_cache_folder())
        self.cache_file = f"jieba-{jieba.__version__}.cache"
        self.initialize()

    def set_word(self, text: str, frequency: int) -> None:
        self.total += frequency - self.FREQ.get(text, 0)
        self.FREQ[text] = frequency
        for end in range(1, len(text)):
            self.FREQ.setdefault(text[:end], 0)

    def cut(self, sentence: str, cut_all: bool = False, HMM: bool = True, use_paddle: bool = False) -> Iterator[str]:  # noqa: ARG002, N803 - jieba's signature
        unknown = ""
        for word in self._best_path(sentence):
            if len(word) == 1:
                unknown += word
                continue
            yield from self._cut_unknown(unknown, HMM)
            unknown = ""
            yield word
        yield from self._cut_unknown(unknown, HMM)

    def _best_path(self, run: str) -> Iterator[str]:
        route: dict[int, tuple[float, int]] = {}
        self.calc(run, self.get_DAG(run), route)
        start = 0
        while start < len(run):
            end = route[start][1] + 1
            yield run[start:end]
            start = end

    def _cut_unknown(self, characters: str, hidden_markov: bool) -> Iterable[str]:
        if len(characters) < 2 or not hidden_markov or self.FREQ.get(characters):
            return characters
        return _viterbi_words(characters)


def _viterbi_words(characters: str) -> Iterator[str]:
    start = 0
    for end, state in enumerate(_viterbi_states(characters), 1):
        if state in "ES":
            yield characters[start:end]
            start = end


def _viterbi_states(characters: str) -> str:
    """For each character: Begin, Middle or End of a word, or Single."""
    emissions = _emissions()
    scores = {state: finalseg.start_P[state] + emissions[state].get(characters[0], _LEAST) for state in "BMES"}
    came_from: list[dict[str, str]] = []
    for character in characters[1:]:
        best = {state: _best_step(scores, state, emissions[state].get(character, _LEAST)) for state in "BMES"}
        scores = {state: score for state, (score, _) in best.items()}
        came_from.append({state: previous for state, (_, previous) in best.items()})
    state = max("ES", key=lambda last: (scores[last], last))
    states = [state]
    for step in reversed(came_from):
        state = step[state]
        states.append(state)
    return "".join(reversed(states))


def _best_step(scores: dict[str, float], state: str, emission: float) -> tuple[float, str]:
    return max(
        (scores[before] + finalseg.trans_P[before].get(state, _LEAST) + emission, before)
        for before in finalseg.PrevStatus[state]
    )


@lru_cache(maxsize=1)
def _emissions() -> dict[str, dict[str, float]]:
    return {
        state: {character: round(p, 6) for character, p in table.items()} for state, table in finalseg.emit_P.items()
    }


def _cache_folder() -> Path:
    """A folder that only this user can write to, for jieba's parsed dictionary; jieba does without if it cannot be."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    folder = Path(base) / "searchsvc"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return folder
    return folder


def dictionary_bytes() -> bytes:
    """The dictionary of jieba, as it came with the package."""
    with cast("Any", jieba.get_module_res("dict.txt")) as file:
        return cast("bytes", file.read())
