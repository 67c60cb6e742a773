"""Expansion by pseudo-relevance feedback: what the documents that the query found first say more often than others.

RM3: a relevance model of the feedback documents, f(t) = Σ P(d|q)·tf(t, d)/|d| (RM1: Lavrenko and Croft,
"Relevance-Based Language Models", SIGIR 2001), whose heaviest terms are interpolated with the query (Abdul-Jaleel et
al., "UMass at TREC 2004: Novelty and HARD"). The interpolation is that of the mixture, λ .5. As in Anserini there are
ten feedback documents, and what stands in more than a tenth of all documents says nothing. Figures: docs/expansion.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from searchsvc.drops import IN_TOO_MANY, NOT_IN_THE_INDEX, STOP_WORD, beyond
from searchsvc.model import Candidate, Form
from searchsvc.protocols import ExpandRequest, TermCounts, TermStatistics
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.text import Analyzer, is_stop_word

METHOD = "prf"
_TOO_MANY = 0.1
"""Share of all documents that may hold a term; as many as the feedback documents always may."""
_READ_CHARACTERS = 2000
"""Of each document, to find how people write a term."""
_SHOWN_DOCUMENTS = 3
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """How the relevance model is made."""

    documents: int = 10
    terms: int = 30
    """How many join the query."""
    sharpness: float = 12.0
    """P(d|q) is the score to this power, over the sum. Scores themselves (1, as Anserini takes them) are nearly equal
    among ten documents, where the likelihood of the query, which they stand for, is not; a power asks for no scale.
    """


@dataclass(slots=True)
class _Said:
    """One term of the feedback documents."""

    weight: float = 0.0
    """f(t), times the average length of the documents: so many of these terms such a document has."""
    by_document: dict[str, float] = field(default_factory=dict)

    def proposed(self, term: str, df: int, reason: str) -> ExpansionTerm:
        """As a term of the expansion; it comes from the documents that give it most."""
        most = sorted(self.by_document, key=lambda doc_id: -self.by_document[doc_id])
        others = len(most) - _SHOWN_DOCUMENTS
        shown = ", ".join(most[:_SHOWN_DOCUMENTS])[:_SHOWN_CHARACTERS]
        return ExpansionTerm(
            term=term,
            frequency=self.weight,
            df=df,
            source=METHOD,
            source_text=f"{shown} and {others} more" if others > 0 else shown,
            kept=not reason,
            reason=reason,
        )


class PrfExpander:
    """Implements Expander over the first pass of the same search; half of the query's mass goes to the terms."""

    default_form = Form.MIXTURE
    default_weight = 0.5

    def __init__(self, statistics: TermStatistics, analyzer: Analyzer, feedback: Feedback = Feedback()) -> None:
        """`analyzer` finds how people write a term."""
        self._statistics = statistics
        self._analyzer = analyzer
        self._feedback = feedback

    async def expand(self, request: ExpandRequest) -> Expansion:
        """The terms of the best documents by falling weight, kept or not and why; none without a first pass.

        Raises StageError, that of the first pass too.
        """
        if request.first_pass is None:
            return _nothing("nothing is retrieved first")
        feedback = (await request.first_pass()).candidates[: self._feedback.documents]
        if not feedback:
            return _nothing("the query finds nothing")
        counts = await self._statistics.tokens(feedback, deadline=request.deadline, caller=request.caller)
        said = _relevance_model(feedback, counts, self._feedback.sharpness)
        shown = list(_first(sorted(said, key=lambda term: (-said[term].weight, term)), request.terms))
        frequencies = await self._statistics.document_frequencies(
            shown, deadline=request.deadline, caller=request.caller
        )
        reasons = _reasons(shown, frequencies, len(feedback), min(self._feedback.terms, request.terms))
        surfaces = self._surfaces(feedback, {term for term in shown if not reasons[term]})
        return Expansion(
            method=METHOD,
            text=" ".join(surfaces.get(term, term) for term in shown if not reasons[term]),
            terms=tuple(
                replace(said[term].proposed(term, frequencies.df[term], reasons[term]), surface=surfaces.get(term, ""))
                for term in shown
            ),
            doc_count=frequencies.doc_count,
            detail={"feedback_documents": [each.doc_id for each in feedback]},
        )

    def _surfaces(self, feedback: Sequence[Candidate], terms: set[str]) -> dict[str, str]:
        """The terms as the documents write them first, where their beginnings do."""
        surfaces: dict[str, str] = {}
        for each in feedback:
            if len(surfaces) == len(terms):
                break
            for word in self._analyzer.words(each.passage[:_READ_CHARACTERS]):
                if word.term in terms:
                    surfaces.setdefault(word.term, word.surface)
        return surfaces


def _nothing(why: str) -> Expansion:
    return Expansion(method=METHOD, text="", terms=(), doc_count=0, detail={"no_terms": why})


def _relevance_model(
    feedback: Sequence[Candidate], counts: Sequence[Mapping[str, int]], sharpness: float
) -> dict[str, _Said]:
    """Every word of the documents; a single character is none, a number (a year, a version, an error) is one."""
    lengths = [sum(each.values()) for each in counts]
    best = max(each.score for each in feedback)
    chances = [(each.score / best) ** sharpness if each.score > 0 else 0.0 for each in feedback]
    shares = [chance / sum(chances) if best > 0 else 1 / len(chances) for chance in chances]
    average = sum(lengths) / len(lengths)
    said: dict[str, _Said] = defaultdict(_Said)
    for candidate, held, length, share in zip(feedback, counts, lengths, shares, strict=True):
        for term, count in held.items():
            if share > 0 and _is_word(term):
                part = share * count / length * average
                said[term].weight += part
                said[term].by_document[candidate.doc_id] = part
    return said


def _is_word(term: str) -> bool:
    return len(term) > 1 and any(character.isalnum() for character in term)


def _first(ordered: Sequence[str], limit: int) -> Iterator[str]:
    """The first terms, until `limit` of them are no stop words."""
    for term in ordered:
        if limit <= 0:
            return
        limit -= not is_stop_word(term)
        yield term


def _reasons(shown: Sequence[str], counts: TermCounts, documents: int, limit: int) -> dict[str, str]:
    """Why each term, in their order, is dropped; empty: it is kept."""
    most = max(_TOO_MANY * counts.doc_count, documents)
    reasons: dict[str, str] = {}
    kept = 0
    for term in shown:
        df = counts.df[term]
        if is_stop_word(term):
            reasons[term] = STOP_WORD
        elif not df:
            reasons[term] = NOT_IN_THE_INDEX
        elif df > most:
            reasons[term] = IN_TOO_MANY
        else:
            reasons[term] = "" if kept < limit else beyond(limit)
            kept += 1
    return reasons
