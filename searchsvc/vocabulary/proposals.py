"""Expansion without a language model: the words of the index that are nearest to the words of the query.

The sentence encoder puts words of different languages side by side, so a query finds documents in another language.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from searchsvc.protocols import TermCounts
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.text import Analyzer
from searchsvc.vocabulary.encoder import ENCODER
from searchsvc.vocabulary.method import METHOD
from searchsvc.vocabulary.nearest import Near, Vocabulary, nearest, scripts
from searchsvc.vocabulary.words import is_chinese, is_word

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHT = 0.4
"""Of a term, times the third power of its similarity: what is half as near says much less than half as much."""
_MAX_UNKNOWN_WORDS = 32
"""Of those that are not in the vocabulary and so have to be encoded: a longer query says enough by itself."""
_SHOWN_CHARACTERS = 80
"""What is told of a long query as the source of a term."""


@dataclass(frozen=True, slots=True)
class _Found:
    similarity: float
    source_text: str
    apart: bool
    """It is in another script than what it is near to."""

    @property
    def frequency(self) -> float:
        return float(WEIGHT * self.similarity**3)


class Proposals:
    """The vocabulary's neighbours of each word of a query and of the whole query; computes, and reads nothing."""

    def __init__(self, vocabulary: Vocabulary, matrix: NDArray[np.float32], analyzer: Analyzer) -> None:
        """`matrix` holds the vectors of the words by place, (words, 512)."""
        self._vocabulary = vocabulary
        self._matrix = matrix
        self._chinese = scripts(vocabulary.surfaces)
        self._places = {term: place for place, term in enumerate(vocabulary.terms)}
        self._analyzer = analyzer

    def expansion(self, user_query: str, limit: int, count: Callable[[Sequence[str]], TermCounts]) -> Expansion:
        """The `limit` nearest terms that the query lacks; `count` tells the document frequencies of terms.

        Blocks for some milliseconds: 2 for a query whose words are all known, the first one a second more.
        """
        words = {word.term: word.surface for word in self._analyzer.words(user_query)}
        found = self._near_words(words, user_query)
        terms = {self._vocabulary.terms[place]: (place, each) for place, each in found.items()}
        best = sorted(terms.keys() - words.keys(), key=lambda term: (-terms[term][1].similarity, term))[:limit]
        counts = count(best)
        return Expansion(
            method=METHOD,
            text=" ".join(self._vocabulary.surfaces[terms[term][0]] for term in best),
            terms=tuple(
                ExpansionTerm(
                    term=term,
                    frequency=terms[term][1].frequency,
                    df=counts.df[term],
                    source=METHOD,
                    source_text=terms[term][1].source_text[:_SHOWN_CHARACTERS],
                    surface=self._vocabulary.surfaces[terms[term][0]],
                    apart=terms[term][1].apart,
                )
                for term in best
            ),
            doc_count=counts.doc_count,
        )

    def _near_words(self, words: Mapping[str, str], user_query: str) -> dict[int, _Found]:
        """The places of all neighbours, each with what it is nearest to."""
        known = {surface: self._places[term] for term, surface in words.items() if term in self._places}
        others = [(term, surface) for term, surface in words.items() if term not in self._places]
        unknown = [surface for term, surface in others if is_word(term, surface)][:_MAX_UNKNOWN_WORDS]
        near = [(surface, self._vocabulary.neighbours[place]) for surface, place in known.items()]
        near += self._near_texts([user_query, *unknown])
        found: dict[int, _Found] = {}
        for text, neighbours in near:
            chinese = _is_mostly_chinese(words.values()) if text is user_query else is_chinese(text)
            for place, similarity in neighbours:
                if place not in found or similarity > found[place].similarity:
                    found[place] = _Found(similarity, text, apart=bool(self._chinese[place]) is not chinese)
        return found

    def _near_texts(self, texts: list[str]) -> list[tuple[str, tuple[Near, ...]]]:
        if not len(self._matrix):
            return []
        similarities = ENCODER.encode(texts) @ self._matrix.T
        return [(text, nearest(np.asarray(row), self._chinese)) for text, row in zip(texts, similarities, strict=True)]


def _is_mostly_chinese(surfaces: Collection[str]) -> bool:
    return 2 * sum(map(is_chinese, surfaces)) >= len(surfaces)
