"""Keywords of a text: jieba's TF-IDF with its filter by part of speech, over the analyser's own words.

A Chinese word passes if jieba's dictionary has it as a noun or name (n…), verb (v…), adjective (a…), attributive (b),
idiom (i), set phrase (l), abbreviation (j), place (s) or adverb (d: 异常, 更新 and 同步 are there; the real adverbs
are stop words). A word that the dictionary lacks passes too: those are names and terms of a trade. A single character
does not pass. A word of another script passes if it has two characters or more and a letter among them (jieba's
`eng`). Stop words never pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from searchsvc.text.analyzer import Analyzer, Word
from searchsvc.text.segmenter import dictionary_lines
from searchsvc.text.stopwords import is_stop_word
from searchsvc.text.words import is_han

_ALLOWED = frozenset("nvabdiljs")
"""First letters of the parts of speech that pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """A word that says what a text is about."""

    term: str
    """The index term."""
    surface: str
    """As the text has it, where it stands first."""
    frequency: int
    """How often the text has the term."""
    weight: float
    """Frequency · idf."""


def extract_keywords(
    text: str, analyzer: Analyzer, *, idf: Callable[[str], float] | None = None, top_k: int | None = None
) -> list[Keyword]:
    """The keywords of `text`, the weightiest first, equal ones as they stand in the text.

    `idf` gives the inverse document frequency of a term, best from the index that will be searched; without it
    jieba's table, where an unknown term has the median. The first call reads jieba's tables (some 0.3 s).
    """
    weigh = _table_idf if idf is None else idf
    surfaces: dict[str, str] = {}
    frequencies: dict[str, int] = {}
    for word in analyzer.words(text, parts=False):
        if _passes(word):
            surfaces.setdefault(word.term, word.surface)
            frequencies[word.term] = frequencies.get(word.term, 0) + 1
    keywords = [
        Keyword(term=term, surface=surfaces[term], frequency=frequency, weight=frequency * weigh(term))
        for term, frequency in frequencies.items()
    ]
    keywords.sort(key=lambda keyword: -keyword.weight)
    return keywords[:top_k]


def _passes(word: Word) -> bool:
    term = word.term
    if len(term) < 2 or is_stop_word(term) or is_stop_word(word.surface):
        return False
    if is_han(term):
        return term not in _refused_words()
    return any(character.isalpha() for character in term)


@lru_cache(maxsize=1)
def _refused_words() -> frozenset[str]:
    return frozenset(word for word, _, tag in dictionary_lines("dict.txt") if tag[0] not in _ALLOWED)


def _table_idf(term: str) -> float:
    table, unknown = _table()
    return table.get(term, unknown)


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, float], float]:
    table = {word: float(value) for word, value in dictionary_lines("analyse/idf.txt")}
    return table, median(table.values())
