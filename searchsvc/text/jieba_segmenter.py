"""jieba as a segmenter, made to agree with rjieba to the last word.

Both take the path of the largest probability through jieba's dictionary and cut the characters that are left over by
a hidden Markov model (https://github.com/fxsjy/jieba). rjieba holds the emission probabilities of that model with six
decimals, which turns near-ties round (2 in 180,000 runs of real text): jieba's are rounded here too, and the model
runs in linear time, where jieba's own is quadratic in the length of the run.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from searchsvc.text.userdict import UserWord

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # invalid escapes and pkg_resources: known, harmless
    import jieba
    from jieba import finalseg

_LEAST = -3.14e100
"""The logarithm of "impossible" in jieba's model."""

_SILENT = 60
"""Above every level of `logging`."""


class JiebaSegmenter:
    """A jieba tokenizer of its own, with the user's words."""

    def __init__(self, user_words: Iterable[UserWord]) -> None:
        self._tokenizer = _Tokenizer()
        for word in user_words:
            self._tokenizer.set_word(word.text, word.frequency or self._tokenizer.enough_for(word.text))
        self.cut = self._tokenizer.lcut
        self.cut_for_search = self._tokenizer.lcut_for_search

    def tokenize(self, run: str) -> Iterable[tuple[str, int, int]]:
        """See `Segmenter`."""
        return self._tokenizer.tokenize(run, mode="search")  # type: ignore[no-any-return] # jieba has no types


class _Tokenizer(jieba.Tokenizer):  # type: ignore[misc] # jieba has no types
    """For runs of Chinese characters only."""

    def __init__(self) -> None:
        super().__init__()
        jieba.setLogLevel(_SILENT)
        self.tmp_dir = str(_cache_folder())
        self.cache_file = f"jieba-{jieba.__version__}.cache"
        self.initialize()
        self.total = sum(self.FREQ.values())  # rjieba counts a word that the dictionary has twice (B超) once

    def set_word(self, text: str, frequency: int) -> None:
        self.total += frequency - self.FREQ.get(text, 0)
        self.FREQ[text] = frequency
        for end in range(1, len(text)):
            self.FREQ.setdefault(text[:end], 0)

    def enough_for(self, text: str) -> int:
        """The frequency that keeps a word whole: jieba's `suggest_freq`, by logarithms and so rounded as in rjieba."""
        log_total = math.log(self.total)
        log_share = 0.0
        for word in self.cut(text, HMM=False):
            log_share = log_share + math.log(self.FREQ.get(word) or 1) - log_total
        return max(int(math.exp(log_share + log_total)) + 1, self.FREQ.get(text) or 1)

    def cut(self, sentence: str, cut_all: bool = False, HMM: bool = True, use_paddle: bool = False) -> Iterator[str]:  # noqa: ARG002, N803 - jieba's signature
        unknown = ""
        for word in self._best_path(sentence):
            if len(word) == 1:
                unknown += word
                continue
            yield from self._cut_unknown(unknown, hidden_markov=HMM)
            unknown = ""
            yield word
        yield from self._cut_unknown(unknown, hidden_markov=HMM)

    def _best_path(self, run: str) -> Iterator[str]:
        route: dict[int, tuple[float, int]] = {}
        self.calc(run, self.get_DAG(run), route)
        start = 0
        while start < len(run):
            end = route[start][1] + 1
            yield run[start:end]
            start = end

    def _cut_unknown(self, characters: str, *, hidden_markov: bool) -> Iterable[str]:
        if len(characters) < 2 or not hidden_markov or self.FREQ.get(characters):
            return characters
        return _model_words(characters)


def _model_words(characters: str) -> Iterator[str]:
    start = 0
    for end, state in enumerate(_model_states(characters), 1):
        if state in "ES":
            yield characters[start:end]
            start = end


def _model_states(characters: str) -> str:
    """For each character: Begin, Middle or End of a word, or Single. Viterbi's algorithm."""
    emissions = _emissions()
    scores = {state: finalseg.start_P[state] + emissions[state].get(characters[0], _LEAST) for state in "BMES"}
    came_from: list[dict[str, str]] = []
    for character in characters[1:]:
        best = {state: _best_step(scores, state, emissions[state].get(character, _LEAST)) for state in "BMES"}
        scores = {state: score for state, (score, _) in best.items()}
        came_from.append({state: before for state, (_, before) in best.items()})
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
    """A folder of this user's for the parsed dictionary; where there can be none, jieba parses it at every start."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
        folder = Path(base) / "searchsvc"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return Path(os.devnull)
    return folder
