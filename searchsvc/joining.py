"""How the expansions of a search join its query: those that mix make one query, each of the others a list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from searchsvc import forms, fusion
from searchsvc.expanding import Method, Outcome
from searchsvc.forms import ComposedQuery
from searchsvc.model import ExpansionOptions, Form, Ranking, WeightedQuery
from searchsvc.result import Expansion, ExpansionTerm

_FUSED = (Form.RRF, Form.ZSCORE)
APART_WEIGHT = 0.5
"""Of a list of terms in another language than the query's. In one query with its own words they would find nothing,
since no document holds both. The figures are in docs/expansion.md.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One query to run, made of one or several expansions."""

    composed: ComposedQuery
    form: Form
    weight: float
    """λ of a query, or the weight of a list."""
    label: str
    """In words."""
    expansion: Expansion
    """What it was made of."""
    limit: int | None
    """n, where the request names it."""

    @property
    def says_more(self) -> bool:
        """Whether any term was kept."""
        return any(term.kept for term in self.composed.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The original query after expansion."""

    main: Part | None
    """Takes the original's place; None: nothing mixes with it."""
    lists: tuple[Part, ...]
    """To be fused with the main list."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that add anything."""
        every = (*(() if self.main is None else (self.main,)), *self.lists)
        return tuple(part for part in every if part.says_more)

    @property
    def terms(self) -> tuple[ExpansionTerm, ...]:
        """Every proposed term."""
        every = (*(() if self.main is None else (self.main,)), *self.lists)
        return tuple(term for part in every for term in part.composed.terms)

    @property
    def label(self) -> str:
        """All of it, in words."""
        return "; ".join(part.label for part in self.parts)

    def reweighed(self, original: WeightedQuery, weight: float, *, word_weight: float | None) -> Joined:
        """The same with another λ of the query; the lists stay."""
        if self.main is None:
            return self
        terms = self.main.limit
        main = _part(original, self.main.expansion, self.main.form, weight, terms=terms, word_weight=word_weight)
        return replace(self, main=main)

    @property
    def expanded_query(self) -> str:
        """The original and the words that were added, for people and for a reranker that wants them."""
        added = dict.fromkeys(word for part in self.parts for word in part.composed.added)
        return " ".join([self.parts[0].composed.query.text, *added])


def join(
    original: WeightedQuery,
    outcomes: Sequence[Outcome],
    methods: Sequence[Method],
    options: ExpansionOptions,
    *,
    word_weight: float | None,
) -> Joined:
    """Join what arrived. `word_weight` None: the index holds our terms (see `forms.compose`)."""
    arrived = [
        (method, outcome.expansion)
        for method, outcome in zip(methods, outcomes, strict=True)
        if outcome.expansion is not None
    ]
    mixing: list[tuple[Method, Expansion]] = []
    lists: list[Part] = []
    for method, found in arrived:
        own, apart = (found, None) if options.form is not None else _split(found)
        if method.form(options.form) in _FUSED:
            lists.append(_list(original, method, own, options, word_weight))
        else:
            mixing.append((method, own))
        if apart is not None:
            weight = APART_WEIGHT * method.share
            lists.append(_part(original, apart, Form.ZSCORE, weight, terms=options.terms, word_weight=word_weight))
    return Joined(main=_mixed(original, mixing, options, word_weight) if mixing else None, lists=tuple(lists))


def fused(main: Ranking, lists: Sequence[tuple[Part, Ranking]], *, one_of_each_group: bool) -> Ranking:
    """`main` and the lists of the parts, each at its weight, by the form of the first."""
    weighted = (
        fusion.WeightedList(main),
        *(fusion.WeightedList(ranking, part.weight) for part, ranking in lists),
    )
    by_rank = lists[0][0].form is Form.RRF
    found = fusion.reciprocal_rank_fusion(weighted) if by_rank else fusion.standardised_sum(weighted)
    return fusion.one_of_each_group(found) if one_of_each_group else found


def _split(found: Expansion) -> tuple[Expansion, Expansion | None]:
    """What joins the words of the query, and what makes a list of its own."""
    apart = tuple(term for term in found.terms if term.apart)
    if not apart:
        return found, None
    own = tuple(term for term in found.terms if not term.apart)
    return replace(found, terms=own), replace(found, terms=apart, calls=())


def _mixed(
    original: WeightedQuery,
    mixing: Sequence[tuple[Method, Expansion]],
    options: ExpansionOptions,
    word_weight: float | None,
) -> Part:
    shares = sum(method.share for method, _ in mixing)
    weight = sum(method.share * method.weight(options.weight) for method, _ in mixing) / shares
    form = mixing[0][0].form(options.form)
    expansion = forms.merged([(found, method.share) for method, found in mixing])
    return _part(original, expansion, form, weight, terms=options.terms, word_weight=word_weight)


def _list(
    original: WeightedQuery, method: Method, found: Expansion, options: ExpansionOptions, word_weight: float | None
) -> Part:
    weight = method.weight(options.weight) * method.share
    form = method.form(options.form)
    return _part(original, found, form, weight, terms=options.terms, word_weight=word_weight)


def _part(
    original: WeightedQuery,
    expansion: Expansion,
    form: Form,
    weight: float,
    *,
    terms: int | None,
    word_weight: float | None,
) -> Part:
    weight *= expansion.stands_for
    composed = forms.compose(original, expansion, form=form, weight=weight, terms=terms, word_weight=word_weight)
    kept = sum(term.kept for term in composed.terms)
    by = ", ".join(dict.fromkeys(call.model for call in expansion.calls)) or expansion.method
    share = "" if form in (Form.KEYWORDS, Form.CONCAT) else f" {weight:.3g}"
    said = f"{kept} terms by {by}"
    label = (
        f"{form}{share} with a list of {said}" if form in _FUSED else f"{form}{share} of the original query and {said}"
    )
    return Part(composed=composed, form=form, weight=weight, label=label, expansion=expansion, limit=terms)
