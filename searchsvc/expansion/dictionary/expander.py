"""Expansion by dictionaries: synonym files, the lexicon of information technology, WordNet.

An entry that stands in the query has as much mass as it has words that say something; its alternatives share that
evenly. A word whose meaning is open gets nothing unless the index bears it out (`senses.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from searchsvc.documents import clean
from searchsvc.drops import SEVERAL_SENSES
from searchsvc.errors import BackendRejected, BackendTimeout, ConfigurationError
from searchsvc.expansion.dictionary.loading import Dictionary
from searchsvc.expansion.dictionary.proposing import (
    METHOD,
    Proposal,
    accounted,
    asked,
    judged,
    proposals,
    said_terms,
    spoken_for,
)
from searchsvc.expansion.dictionary.senses import MAX_PAIRS, context_of, supported
from searchsvc.expansion.dictionary.words import KeyedWord, Match, keyed_words
from searchsvc.model import Deadline, Form
from searchsvc.protocols import ExpandRequest, TermCounts, TermStatistics
from searchsvc.result import Expansion
from searchsvc.text import Analyzer, is_stop_word

_MOST_WORDS = 64
"""Of a query: a longer one says enough by itself, and what comes after is not looked up."""


class DictionaryExpander:
    """Implements Expander; 0.3 of the query's mass goes to the mixture (figures: docs/dictionary.md)."""

    default_form = Form.MIXTURE
    default_weight = 0.3

    def __init__(
        self, dictionary: Dictionary, statistics: TermStatistics, analyzer: Analyzer, *, as_written: bool = False
    ) -> None:
        """`as_written`: the index is asked for words and phrases as people write them, not for index terms."""
        self._dictionary = dictionary
        self._statistics = statistics
        self._analyzer = analyzer
        self._as_written = as_written

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Every word that the dictionaries give, kept or not and why. Asks no index where they give none.

        Raises StageError.
        """
        words = keyed_words(clean(request.user_query), self._analyzer)[:_MOST_WORDS]
        matches = await self._matches(words, request.deadline)
        proposed = [each for match in matches for each in proposals(match, as_written=self._as_written)]
        if not proposed:
            return Expansion(method=METHOD, text="", terms=(), doc_count=0)
        counts = await self._counts(proposed, words, request)
        said = said_terms(words, as_written=self._as_written)
        proposed = [judged(each, said, counts) for each in proposed]
        proposed = await self._sure(proposed, words, counts, request)
        terms = accounted(proposed, counts, request.terms)
        return Expansion(
            method=METHOD,
            text=" ".join(each.surface for each in terms if each.kept),
            terms=tuple(terms),
            doc_count=counts.doc_count,
            stands_for=spoken_for(proposed, words),
            detail={"matched": [match.text for match in matches]},
        )

    async def _matches(self, words: Sequence[KeyedWord], deadline: Deadline) -> list[Match]:
        """WordNet is asked about words that no rule knows: a rule says what is meant here."""
        matches = self._dictionary.table.find(words)
        wordnet = self._dictionary.wordnet
        if wordnet is None:
            return matches
        known = {place for match in matches for place in range(match.start, match.start + match.length)}
        try:
            async with asyncio.timeout(deadline.left_s()):
                found = await asyncio.to_thread(wordnet.find, words)
        except TimeoutError:
            raise BackendTimeout("WordNet was not read in time.") from None
        except ConfigurationError as error:
            raise BackendRejected(error.message, hint=error.hint) from error
        return matches + [each for each in found if known.isdisjoint(range(each.start, each.start + each.length))]

    async def _counts(
        self, proposed: Sequence[Proposal], words: Sequence[KeyedWord], request: ExpandRequest
    ) -> TermCounts:
        terms = [each.term for each in proposed]
        if any(each.alternative.doubtful for each in proposed):
            terms += [asked(word, as_written=self._as_written) for word in words]
        distinct = list(dict.fromkeys(terms))
        return await self._statistics.document_frequencies(distinct, deadline=request.deadline, caller=request.caller)

    async def _sure(
        self, proposed: Sequence[Proposal], words: Sequence[KeyedWord], counts: TermCounts, request: ExpandRequest
    ) -> list[Proposal]:
        """The proposals, those refused of which the index does not bear out every word."""
        doubtful = [each for each in proposed if each.alternative.doubtful and not each.reason]
        contexts = {each.match: self._context(each.match, words, counts) for each in doubtful}
        pairs = list(dict.fromkeys((each.term, other) for each in doubtful for other in contexts[each.match]))
        together = (
            await self._statistics.pair_frequencies(pairs[:MAX_PAIRS], deadline=request.deadline, caller=request.caller)
            if pairs
            else {}
        )
        refused = {
            (each.match, each.alternative)
            for each in doubtful
            if not supported(each.term, contexts[each.match], together, counts)
        }
        return [
            replace(each, reason=SEVERAL_SENSES)
            if not each.reason and (each.match, each.alternative) in refused
            else each
            for each in proposed
        ]

    def _context(self, match: Match, words: Sequence[KeyedWord], counts: TermCounts) -> list[str]:
        """What the rest of the query says."""
        rest = [*words[: match.start], *words[match.start + match.length :]]
        said = [word for word in rest if not is_stop_word(word.surface)]
        return context_of((asked(word, as_written=self._as_written) for word in said), counts)
