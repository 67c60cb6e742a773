"""From what a chat model answered to proposed terms: what is a word of it, and which the index can use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from searchsvc.drops import IN_TOO_MANY, NOT_IN_THE_INDEX, OTHER_LANGUAGE, STOP_WORD, beyond
from searchsvc.expansion.completion import Answer
from searchsvc.expansion.scripts import is_foreign
from searchsvc.forms import idf
from searchsvc.protocols import TermCounts
from searchsvc.result import ExpansionTerm
from searchsvc.text import Analyzer, Word, extract_keywords, is_stop_word

MAX_SHARE = 0.2
"""A term in more of the documents says nothing about any of them. High, since idf alone does most of it."""
SMALL_INDEX = 1000
"""Documents of an index where a share says little: all terms pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A word of an answer, before the index is asked about it."""

    term: str
    """What the index is asked for."""
    surface: str
    """The word as the answer has it, where it stands first."""
    source_text: str
    """What the model wrote: the word itself, or the term of several words that it is part of."""
    frequency: int
    reason: str = ""
    """Why it cannot be used whatever the index has."""


def mentions(answer: Answer, analyzer: Analyzer, user_query: str) -> list[Mention]:
    """The words of `answer`, each once.

    Of a text its keywords, chosen by parts of speech, and its stop words, which are dropped; of a list of terms every
    word of every term, for the model has chosen.
    """
    found = _of_terms(answer.terms, analyzer) if answer.terms else _of_text(answer.text, analyzer)
    return [
        replace(each, reason=OTHER_LANGUAGE) if not each.reason and is_foreign(each.surface, user_query) else each
        for each in found
    ]


def asked_for(found: Sequence[Mention], *, as_written: bool) -> list[Mention]:
    """The mentions as the index is asked for them: by our terms, or `as_written` by the words that a person writes."""
    if not as_written:
        return list(found)
    # an index of others reads a stop word from its longest lists: not worth the time for a word that is dropped
    return [replace(each, term=each.surface.lower()) for each in found if each.reason != STOP_WORD]


def proposed(found: Iterable[Mention], counts: TermCounts, *, source: str, limit: int) -> tuple[ExpansionTerm, ...]:
    """Every mention by falling f·idf, dropped ones with their reason; of those that can be used `limit` are kept."""

    def worth(each: Mention) -> float:
        return each.frequency * idf(counts.df.get(each.term, 0), counts.doc_count)

    terms: list[ExpansionTerm] = []
    kept = 0
    for each in sorted(found, key=lambda each: (-worth(each), each.term)):
        df = counts.df.get(each.term, 0)
        reason = each.reason or _reason(df, counts.doc_count) or ("" if kept < limit else beyond(limit))
        kept += not reason
        terms.append(
            ExpansionTerm(
                term=each.term,
                frequency=float(each.frequency),
                df=df,
                source=source,
                source_text=each.source_text,
                surface=each.surface,
                kept=not reason,
                reason=reason,
            )
        )
    return tuple(terms)


def _reason(df: int, doc_count: int) -> str:
    if not df:
        return NOT_IN_THE_INDEX
    return IN_TOO_MANY if doc_count >= SMALL_INDEX and df > MAX_SHARE * doc_count else ""


def _of_text(text: str, analyzer: Analyzer) -> list[Mention]:
    keywords = [
        Mention(term=each.term, surface=each.surface, source_text=each.surface, frequency=each.frequency)
        for each in extract_keywords(text, analyzer, idf=lambda _term: 1.0)
    ]
    known = {each.term for each in keywords}
    others = (word for word in analyzer.words(text, parts=False) if word.term not in known and _stops(word))
    return keywords + _counted((word, word.surface) for word in others)


def _of_terms(terms: Sequence[str], analyzer: Analyzer) -> list[Mention]:
    return _counted((word, term) for term in terms for word in analyzer.words(term, parts=False))


def _counted(words: Iterable[tuple[Word, str]]) -> list[Mention]:
    """Each word once, where it stands first, with how often it is said."""
    found: dict[str, Mention] = {}
    for word, source_text in words:
        known = found.get(word.term)
        found[word.term] = (
            replace(known, frequency=known.frequency + 1)
            if known is not None
            else Mention(
                term=word.term,
                surface=word.surface,
                source_text=source_text,
                frequency=1,
                reason=STOP_WORD if _stops(word) else "",
            )
        )
    return list(found.values())


def _stops(word: Word) -> bool:
    return is_stop_word(word.term) or is_stop_word(word.surface)
