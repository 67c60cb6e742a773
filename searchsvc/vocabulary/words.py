"""Which words of an index may be neighbours, counted while documents are analysed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from searchsvc.text import Word, is_stop_word

MAX_WORDS = 20_000
"""Those in the most documents: 40 MB of vectors in memory, and 2 ms for the nearest words to one vector."""

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


class WordForms:
    """How many documents write a term in which form."""

    def __init__(self) -> None:
        self._forms: dict[str, Counter[str]] = {}

    def __iter__(self) -> Iterator[str]:
        """The terms."""
        return iter(self._forms)

    def add(self, words: Iterable[Word]) -> None:
        """Counts one more document."""
        for term, form in word_forms(words):
            self._forms.setdefault(term, Counter())[form] += 1

    def add_counted(self, term: str, forms: Mapping[str, int]) -> None:
        """Counts documents that were counted before."""
        self._forms.setdefault(term, Counter()).update(forms)

    def of(self, term: str) -> Mapping[str, int]:
        """The forms of a term."""
        return self._forms[term]

    def surface(self, term: str) -> str:
        """The form in the most documents, of several the first by alphabet."""
        return min(self._forms[term].items(), key=lambda form: (-form[1], form[0]))[0]

    def most_frequent(self, limit: int) -> list[str]:
        """The terms in the most of the documents that were counted."""
        return sorted(self._forms, key=lambda term: (-self._forms[term].total(), term))[:limit]
