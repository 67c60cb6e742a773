"""Expansion without a language model: the words of the index that are nearest to the words of the query.

The sentence encoder puts words of different languages side by side, so a query finds documents in another language.
The terms make a list of their own, fused with the original's by standardised scores at 0.3. Fused by reciprocal ranks
that list costs far more than it brings where nothing reranks afterwards, since ranks keep nothing of how well the words
matched. The figures are in docs/expansion.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from searchsvc.embedded.encoder import ENCODER
from searchsvc.embedded.fields import is_word
from searchsvc.embedded.statistics import EmbeddedStatistics
from searchsvc.embedded.vectors import StoredVectors
from searchsvc.embedded.vocabulary import Near, Vocabulary, nearest, word_matrix
from searchsvc.embedded.worker import Worker
from searchsvc.model import Form
from searchsvc.protocols import ExpandRequest
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.text import Analyzer

METHOD = "neighbours"
WEIGHT = 0.4
"""Of a term, times its similarity."""
_MAX_UNKNOWN_WORDS = 32
"""Of those that are not in the vocabulary and so have to be encoded: a longer query says enough by itself."""
_SHOWN_CHARACTERS = 80
"""What is told of a long query as the source of a term."""


@dataclass(frozen=True, slots=True)
class _Found:
    similarity: float
    source_text: str


class NeighbourExpander:
    """Proposes the vocabulary's neighbours of each word of a query and of the whole query."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        stored: StoredVectors,
        *,
        statistics: EmbeddedStatistics,
        analyzer: Analyzer,
        worker: Worker,
    ) -> None:
        self._vocabulary = vocabulary
        self._matrix = word_matrix(vocabulary.surfaces, stored)
        self._places = {term: place for place, term in enumerate(vocabulary.terms)}
        self._statistics = statistics
        self._analyzer = analyzer
        self._worker = worker

    @property
    def default_form(self) -> Form:
        return Form.ZSCORE

    @property
    def default_weight(self) -> float:
        return 0.3

    async def expand(self, request: ExpandRequest) -> Expansion:
        return await self._worker.run_until(request.deadline, self._expand, request)

    def _expand(self, request: ExpandRequest) -> Expansion:
        words = {word.term: word.surface for word in self._analyzer.words(request.user_query)}
        found = self._near_words(words, request.user_query)
        terms = {self._vocabulary.terms[place]: (place, each) for place, each in found.items()}
        best = sorted(terms.keys() - words.keys(), key=lambda term: (-terms[term][1].similarity, term))[: request.terms]
        counts = self._statistics.count(best)
        return Expansion(
            method=METHOD,
            text=" ".join(self._vocabulary.surfaces[terms[term][0]] for term in best),
            terms=tuple(
                ExpansionTerm(
                    term=term,
                    frequency=WEIGHT * terms[term][1].similarity,
                    df=counts.df[term],
                    source=METHOD,
                    source_text=terms[term][1].source_text[:_SHOWN_CHARACTERS],
                    surface=self._vocabulary.surfaces[terms[term][0]],
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
            for place, similarity in neighbours:
                if place not in found or similarity > found[place].similarity:
                    found[place] = _Found(similarity, text)
        return found

    def _near_texts(self, texts: list[str]) -> list[tuple[str, tuple[Near, ...]]]:
        if not len(self._matrix):
            return []
        similarities = ENCODER.encode(texts) @ self._matrix.T
        return [(text, nearest(np.asarray(row))) for text, row in zip(texts, similarities, strict=True)]
