"""How the terms of an expansion join the query: formulas only; figures for each form are in docs/expansion.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from searchsvc.drops import ALREADY_SAID, beyond
from searchsvc.model import Form, WeightedQuery, WeightedTerm
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.text.stopwords import is_stop_word

DEFAULT_TERMS = 32
"""n of the mixture."""
KEYWORDS = 5
"""How many keywords the article's form adds."""
MAX_TERMS = 1024
"""Distinct terms of a query that is run: Elasticsearch allows at least so many clauses on every node."""
_SHOWN = 10
"""How many added words an expanded query shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedQuery:
    """The query after expansion."""

    query: WeightedQuery
    """What to run."""
    terms: tuple[ExpansionTerm, ...]
    """Every proposed term with its final weight, kept or dropped and why."""
    added: tuple[str, ...]
    """The first words that the query lacked, as a person writes them."""

    @property
    def expanded_query(self) -> str:
        """The original and the words that were added, for people and for a reranker that wants them."""
        return " ".join([self.query.text, *self.added])


def plain_query(user_query: str, terms: Sequence[str]) -> WeightedQuery:
    """The original query: every term as often as it is said."""
    counts = Counter(terms)
    return WeightedQuery(text=user_query, terms=_weighted({term: float(count) for term, count in counts.items()}))


def distinct_terms(query: WeightedQuery) -> tuple[tuple[WeightedTerm, ...], int]:
    """The terms to ask an index for, each once, and how many were left out; the same for every engine.

    Weights of a doubled term add up; a term without weight asks for nothing; of more than MAX_TERMS the heaviest stay,
    among equals the first.
    """
    weights: dict[str, float] = {}
    for term in query.terms:
        weights[term.term] = weights.get(term.term, 0.0) + term.weight
    terms = _weighted(weights)
    if len(terms) <= MAX_TERMS:
        return terms, 0
    heaviest = sorted(terms, key=lambda term: -term.weight)[:MAX_TERMS]
    return tuple(heaviest), len(terms) - MAX_TERMS


def idf(df: int, doc_count: int) -> float:
    """Lucene's BM25 idf."""
    return math.log(1 + (doc_count - df + 0.5) / (df + 0.5))


def merged(expansions: Sequence[tuple[Expansion, float]]) -> Expansion:
    """Several expansions, each with its share, as one: f(t) = Σ share·f/Σf, on the scale of all their counts together.

    A share counts for as much of the query as the terms stand for. A term that one of them keeps is kept; it names
    every method that proposed it. One alone is returned as it is.
    """
    if len(expansions) == 1:
        return expansions[0][0]
    masses = [sum(each.frequency for each in expansion.terms if each.kept) for expansion, _ in expansions]
    shares = [share if mass > 0 else 0.0 for (_, share), mass in zip(expansions, masses, strict=True)]
    spoken = [share * expansion.stands_for for (expansion, _), share in zip(expansions, shares, strict=True)]
    scale = sum(masses) / (sum(spoken) or 1.0)
    terms: dict[str, ExpansionTerm] = {}
    for (expansion, _), share, mass in zip(expansions, spoken, masses, strict=True):
        for each in expansion.terms:
            weighed = replace(each, frequency=each.frequency * share * scale / mass if mass > 0 else 0.0)
            terms[each.term] = _joined(terms.get(each.term), weighed)
    return Expansion(
        method="+".join(expansion.method for expansion, _ in expansions),
        text=" ".join(expansion.text for expansion, _ in expansions if expansion.text),
        terms=tuple(terms.values()),
        doc_count=max(expansion.doc_count for expansion, _ in expansions),
        prompt_id=next((expansion.prompt_id for expansion, _ in expansions if expansion.prompt_id), ""),
        calls=tuple(call for expansion, _ in expansions for call in expansion.calls),
        stands_for=sum(spoken) / (sum(shares) or 1.0),
    )


def _joined(known: ExpansionTerm | None, other: ExpansionTerm) -> ExpansionTerm:
    if known is None or (other.kept and not known.kept):
        return other
    if known.kept and not other.kept:
        return known
    return replace(known, frequency=known.frequency + other.frequency, source=f"{known.source}+{other.source}")


def compose(
    original: WeightedQuery,
    expansion: Expansion,
    *,
    form: Form,
    weight: float,
    terms: int | None = None,
    word_weight: float | None = None,
) -> ComposedQuery:
    """Join `expansion` to `original` by `form`; `weight` is λ, `terms` is n (None: the form's default).

    mixture   w(t) = (1 − λ)·q(t) + λ·|q|·f(t)/Σf, over the n terms with the largest f·idf; |q| counts the words that
              are no stop words: those carry no score, and counting them gave the expansion more than its share
    keywords  q(t), and 1 for each of the n terms with the largest f·idf that the query lacks
    concat    r·q(t) + f(t), r = max(1, round(characters of the expansion / characters of the query / 5)) as MuGI
              repeats the query
    rrf       f(t)/Σf as a list of its own, fused by rank
    zscore    the same, fused by standardised scores

    With `word_weight` the query is for an adopted index: the original stays one clause that reads its text, and the
    added words are phrases beside it, each weighed by how much one word of the original weighs there.
    """
    limit = terms if terms is not None else KEYWORDS if form is Form.KEYWORDS else DEFAULT_TERMS
    said = {each.term: each.weight for each in original.terms}
    proposed = [_refuse_known(each, said) if form is Form.KEYWORDS else each for each in expansion.terms]
    kept, dropped = _select(proposed, expansion.doc_count, limit)
    added = {each.term: each.frequency for each in kept}
    fused = form in (Form.RRF, Form.ZSCORE)
    repeats = max(1, round(len(expansion.text) / max(1, len(original.text)) / 5)) if form is Form.CONCAT else 1
    if word_weight is None:
        weights = _weights(form, said, added, weight, repeats)
        query = WeightedQuery(text=original.text, terms=_weighted(weights)) if weights else original
    else:
        text_weight, weights = _beside_text(form, said, added, weight, repeats)
        weights = weights if fused else {term: each * word_weight for term, each in weights.items()}
        query = replace(original, text_weight=text_weight, phrases=_weighted(weights)) if weights else original
    accounted = [replace(each, weight=weights.get(each.term, 0.0)) for each in kept] + dropped
    return ComposedQuery(
        query=query,
        terms=tuple(accounted),
        added=_added(kept, said),
    )


def _refuse_known(term: ExpansionTerm, said: Mapping[str, float]) -> ExpansionTerm:
    if not term.kept or term.term not in said:
        return term
    return replace(term, kept=False, reason=ALREADY_SAID)


def _select(
    proposed: Sequence[ExpansionTerm], doc_count: int, limit: int
) -> tuple[list[ExpansionTerm], list[ExpansionTerm]]:
    usable = [each for each in proposed if each.kept]
    usable.sort(key=lambda each: (-each.frequency * idf(each.df, doc_count), each.term))
    cut = [replace(each, kept=False, reason=beyond(limit)) for each in usable[limit:]]
    return usable[:limit], cut + [each for each in proposed if not each.kept]


def _mass(said: Mapping[str, float]) -> float:
    """How many words of the query say what it is about; all of them where every one is a stop word."""
    return sum(weight for term, weight in said.items() if not is_stop_word(term)) or sum(said.values()) or 1.0


def _weights(
    form: Form, said: Mapping[str, float], added: Mapping[str, float], weight: float, repeats: int
) -> dict[str, float]:
    total = sum(added.values())
    if not added or total <= 0:
        return {} if form in (Form.RRF, Form.ZSCORE) else dict(said)
    if form in (Form.RRF, Form.ZSCORE):
        return {term: frequency / total for term, frequency in added.items()}
    if form is Form.MIXTURE:
        share, kept_share = weight * _mass(said) / total, 1 - weight
    elif form is Form.KEYWORDS:
        return {**said, **dict.fromkeys(added, 1.0)}
    else:
        share, kept_share = 1.0, float(repeats)
    weights = {term: kept_share * count for term, count in said.items()}
    for term, frequency in added.items():
        weights[term] = weights.get(term, 0.0) + share * frequency
    return weights


def _beside_text(
    form: Form, said: Mapping[str, float], added: Mapping[str, float], weight: float, repeats: int
) -> tuple[float, dict[str, float]]:
    """The weight of the original, and those of the added words: the sums of `_weights`, kept apart."""
    total = sum(added.values())
    if not added or total <= 0:
        return 1.0, {}
    kept_share, share = {
        Form.MIXTURE: (1 - weight, weight * _mass(said) / total),
        Form.KEYWORDS: (1.0, 1.0),
        Form.CONCAT: (float(repeats), 1.0),
        Form.RRF: (0.0, 1 / total),
        Form.ZSCORE: (0.0, 1 / total),
    }[form]
    if form is Form.KEYWORDS:
        return kept_share, dict.fromkeys(added, share)
    return kept_share, {term: share * frequency for term, frequency in added.items()}


def _weighted(weights: Mapping[str, float]) -> tuple[WeightedTerm, ...]:
    return tuple(WeightedTerm(term=term, weight=weight) for term, weight in weights.items() if weight > 0)


def _added(kept: Sequence[ExpansionTerm], said: Mapping[str, float]) -> tuple[str, ...]:
    words = dict.fromkeys(each.surface or each.term for each in kept if each.term not in said)
    return tuple(words)[:_SHOWN]
