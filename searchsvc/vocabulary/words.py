"""Which words of an index may be neighbours, counted while documents are analysed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from searchsvc.text import Word, is_stop_word

MAX_WORDS = 20_000
"""Those in the most documents: 40 MB of vectors in memory, and 2 ms for the nearest words to one vector."""

MAX_FORMS = 500_000
"""Those that are counted at once: 100 MB."""

_WORD = re.compile(r"[\u3400-\u9fff]{2,8}|[a-z\u00df-\u00f6\u00f8-\u00ff]{3,21}")
"""A word that may be a neighbour of another one: Chinese of 2 to 8 characters or Latin of 3 to 21 letters."""


def is_word(term: str, surface: str) -> bool:
    """Whether a term may have neighbours and be one."""
    return _WORD.fullmatch(surface.lower()) is not None and "/" not in term and not is_stop_word(term)


def is_chinese(surface: str) -> bool:
    """Whether a word that `is_word` is Chinese; all others are in Latin letters."""
    return surface[:1] >= "\u3400"


def word_forms(words: Iterable[Word]) -> set[tuple[str, str]]:
    """The terms of one document that may be neighbours, each with a form in which it stands there, in lower case."""
    return {(word.term, word.surface.lower()) for word in words if is_word(word.term, word.surface)}


def commonest(forms: Mapping[str, int]) -> str:
    """The form in the most documents, of several the first by alphabet."""
    return min(forms.items(), key=lambda form: (-form[1], form[0]))[0]


class WordForms:
    """How many documents write a term in which form, counted in bounded memory.

    Beyond MAX_FORMS the rarest are forgotten, as many times as it takes: what stands among the most frequent words of
    a corpus at its end was never among the rarest for long (lossy counting: Manku and Motwani, VLDB 2002).
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, words: Iterable[Word]) -> None:
        """Counts one more document."""
        for pair in word_forms(words):
            self._counts[pair] = self._counts.get(pair, 0) + 1
        if len(self._counts) > MAX_FORMS:
            self._forget_the_rarest()

    def add_counted(self, term: str, forms: Mapping[str, int]) -> None:
        """Counts documents that were counted before."""
        for form, count in forms.items():
            self._counts[term, form] = self._counts.get((term, form), 0) + count

    def most_frequent(self, limit: int) -> dict[str, dict[str, int]]:
        """The terms in the most of the documents that were counted, most frequent first, each with its forms."""
        forms: dict[str, dict[str, int]] = {}
        for (term, form), count in self._counts.items():
            forms.setdefault(term, {})[form] = count
        best = sorted(forms, key=lambda term: (-sum(forms[term].values()), term))[:limit]
        return {term: forms[term] for term in best}

    def _forget_the_rarest(self) -> None:
        least = 1
        while len(self._counts) > MAX_FORMS // 2:
            self._counts = {pair: count for pair, count in self._counts.items() if count > least}
            least += 1
