"""From what the dictionaries know of a query to terms with weights and reasons: formulas only, no index is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from searchsvc.drops import ALREADY_SAID, IN_TOO_MANY, NOT_IN_THE_INDEX, STOP_WORD, beyond
from searchsvc.expansion.dictionary.words import Alternative, KeyedWord, Match, spoken
from searchsvc.forms import idf
from searchsvc.protocols import TermCounts
from searchsvc.result import ExpansionTerm
from searchsvc.text import is_stop_word

METHOD = "dictionary"
_TOO_MANY = 0.5
"""A term in a larger share of the documents tells none of them from another."""
_PHRASE_WORDS = 4
_MANY_DOCUMENTS = 20
"""In a smaller index such a share is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A term of an alternative of words in the query."""

    term: str
    surface: str
    match: Match
    alternative: Alternative
    reason: str = ""
    """Why it is not added; empty: it is."""


def asked(word: KeyedWord, *, as_written: bool) -> str:
    """What an index is asked for a word of the query."""
    return word.surface.lower() if as_written else word.term


def said_terms(words: Sequence[KeyedWord], *, as_written: bool) -> frozenset[str]:
    """What need not be added: the terms of the query, on an index that is asked as people write its phrases too."""
    if not as_written:
        return frozenset(word.term for word in words)
    return frozenset(
        spoken(words[start:end]).lower()
        for start in range(len(words))
        for end in range(start + 1, min(len(words), start + _PHRASE_WORDS) + 1)
    )


def proposals(match: Match, *, as_written: bool) -> list[Proposal]:
    """Index terms of every alternative; on an index that is asked as people write, each alternative is one phrase."""
    if as_written:
        return [
            Proposal(term=each.text.lower(), surface=each.text, match=match, alternative=each)
            for each in match.alternatives
        ]
    return [
        Proposal(term=word.term, surface=word.surface, match=match, alternative=each)
        for each in match.alternatives
        for word in each.words
    ]


def judged(proposal: Proposal, said: Collection[str], counts: TermCounts) -> Proposal:
    """With the reason that the term alone gives not to add it."""
    return replace(proposal, reason=_reason(proposal.term, proposal.surface, said, counts))


def accounted(judged: Sequence[Proposal], counts: TermCounts, limit: int) -> list[ExpansionTerm]:
    """Each term once, by falling f·idf; the first `limit` of those that may be added are kept."""
    merged: dict[str, ExpansionTerm] = {}
    for proposal, frequency in zip(judged, _frequencies(judged), strict=True):
        known = merged.get(proposal.term)
        if known is None or (not known.kept and not proposal.reason):
            merged[proposal.term] = _term(proposal, frequency, counts)
        elif known.kept and not proposal.reason:
            merged[proposal.term] = replace(known, frequency=known.frequency + frequency)
    terms = sorted(merged.values(), key=lambda each: (-each.frequency * idf(each.df, counts.doc_count), each.term))
    places = {each.term: place for place, each in enumerate(each for each in terms if each.kept)}
    return [
        replace(each, kept=False, reason=beyond(limit)) if places.get(each.term, 0) >= limit else each for each in terms
    ]


def spoken_for(judged: Sequence[Proposal], words: Sequence[KeyedWord]) -> float:
    """Share of the words that say something for which a term is added."""
    matches = {each.match for each in judged if not each.reason}
    said = sum(not is_stop_word(word.surface) for word in words)
    return min(1.0, sum(match.mass for match in matches) / max(1, said))


def _reason(term: str, surface: str, said: Collection[str], counts: TermCounts) -> str:
    if term in said:
        return ALREADY_SAID
    if len(term) == 1 or is_stop_word(term) or is_stop_word(surface):
        return STOP_WORD
    df = counts.df.get(term, 0)
    if not df:
        return NOT_IN_THE_INDEX
    if counts.doc_count >= _MANY_DOCUMENTS and df > _TOO_MANY * counts.doc_count:
        return IN_TOO_MANY
    return ""


def _frequencies(judged: Sequence[Proposal]) -> list[float]:
    """The mass of the matched words, shared by their alternatives that bring a term, and by the terms of each."""
    terms = Counter((each.match, each.alternative) for each in judged if not each.reason)
    alternatives = Counter(match for match, _ in terms)
    return [
        each.match.mass
        / (alternatives[each.match] or len(each.match.alternatives))
        / (terms[each.match, each.alternative] or 1)
        for each in judged
    ]


def _term(proposal: Proposal, frequency: float, counts: TermCounts) -> ExpansionTerm:
    return ExpansionTerm(
        term=proposal.term,
        frequency=frequency,
        df=counts.df.get(proposal.term, 0),
        source=METHOD,
        source_text=f"{proposal.match.text} ({proposal.alternative.place})",
        surface=proposal.surface,
        kept=not proposal.reason,
        reason=proposal.reason,
    )
