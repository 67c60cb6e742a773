"""The order of the stages, the deadline, and degradation. No I/O of its own, no settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from searchsvc import forms, fusion, joining, reranking, weighing
from searchsvc.account import Account
from searchsvc.errors import InvalidRequest, Reason, StageError
from searchsvc.expanding import SLICE, Expanding, Method, methods_of
from searchsvc.explain import Rankings, ranked_candidates, whole_window
from searchsvc.joining import Joined, Part
from searchsvc.model import (
    Deadline,
    ExpansionOptions,
    MethodShare,
    Mode,
    Ranking,
    RerankQuery,
    ScoreKind,
    SearchRequest,
    WeightedQuery,
)
from searchsvc.policy.rules import Decision, decide, strong_first_pass
from searchsvc.protocols import Expander, Reranker, Retriever, RetrieveRequest, TermCounts, TermStatistics
from searchsvc.reranking import Known
from searchsvc.result import RankedCandidate, Reranking, Retrieval, SearchResult, Stage
from searchsvc.suggest import did_you_mean

if TYPE_CHECKING:
    from searchsvc.policy.model import GainModel

RERANK_SHARE = 0.95
"""How much of what is then left the reranker may use: the rest is for the answer."""
_SORTED = "sorted by a field"
_NO_EXPANDER = "no expander is configured"
_TO_HAVE = {
    "llm": "It needs a chat model: set expander.url.",
    "recorded": "It needs a file, which searchsvc evaluate takes: --variant x:expansion=recorded,expansion.file=FILE.",
}
"""What makes a method available that was named rightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _First:
    """The first pass: the original query alone."""

    query: WeightedQuery
    base: Retrieval
    early: Known | None
    """Scores of a reranker, where it read the base window already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the expansions found."""

    joined: Joined
    main: Ranking
    """Of the query that takes the original's place; the original's where none does."""
    lists: tuple[tuple[Part, Ranking], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The parts of a search over one index; a variant is a Pipeline with other parts."""

    retriever: Retriever
    analyze: Callable[[str], Sequence[str]]
    """Text to the terms that the index is asked for: index terms, or words as they are written."""
    marks: Callable[[str], Sequence[str]]
    """Text to index terms of our own: what a snippet marks."""
    as_written: bool = False
    """The index reads text by analysers of its own."""
    expanders: Mapping[str, Expander]
    """By method."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Methods that other indices have and this one lacks, each with why and what would help."""
    default_methods: tuple[str, ...] = ()
    """What expands where the request names none."""
    reranker: Reranker | None
    statistics: TermStatistics | None = None
    """None: nothing tells what a term alone brought."""
    policy: GainModel | None = None
    """Weighs an expansion in `auto`; None: rules alone decide."""

    async def search(self, request: SearchRequest, deadline: Deadline) -> SearchResult:
        """Run the stages; optional ones degrade visibly.

        Raises InvalidRequest for a method or prompt that there is not, StageError if retrieval itself fails.
        """
        account = Account(request, deadline)
        query = forms.plain_query(request.user_query, self.analyze(request.user_query))
        expanding = self._start_expansion(account)
        try:
            first = self._first_retrieval(query, account, expanding=expanding is not None)
            base = await account.required(Stage.RETRIEVE, self.retriever.retrieve(first))
            early = await self._first_rerank(base.ranking, expanding, account)
            found = await self._expand(_First(query=query, base=base, early=early), expanding, account)
        finally:
            if expanding is not None:
                expanding.abandon()  # the counts, too, which nobody reads where no expansion came
        retrieved = base.ranking if found is None else self._retrieved(found, request)
        return await self._finish(base, retrieved, found, early, account)

    def _start_expansion(self, account: Account) -> Expanding | None:
        """The expansion runs beside the first retrieval, never in front of it; None: the query is left as it is."""
        request, options = account.request, account.request.expansion
        methods = self._methods(options)
        if options.mode is Mode.OFF:
            account.skip_expansion(Reason.SWITCHED_OFF, Decision(False, "off"))
            return None
        absent = {each.name: self.absent[each.name] for each in options.methods if each.name in self.absent}
        account.expansion.absent = absent
        if not methods:
            lacking = absent or ({} if options.methods else self.absent)
            account.skip_expansion(Reason.NOT_CONFIGURED, Decision(False, " ".join(lacking.values()) or _NO_EXPANDER))
            return None
        if request.sort:
            account.skip_expansion(Reason.SORTED_BY_FIELD, Decision(False, _SORTED))
            return None
        decision = Decision(True, "on") if options.mode is Mode.ON else decide(request.user_query)
        if not decision.expand:
            account.skip_expansion(Reason.POLICY_SKIPPED, decision)
            return None
        account.expansion.decision = decision
        account.expansion.methods = tuple(method.name for method in methods)
        until = account.deadline.share(SLICE[options.wait])
        expanding = Expanding(request, methods, until, count=self._counting(request, until))
        expanding.start()
        return expanding

    def _counting(self, request: SearchRequest, until: Deadline) -> Callable[[], Awaitable[TermCounts]] | None:
        """Counts the query's terms for the policy; None where it is not asked."""
        statistics = self.statistics
        if statistics is None or self.policy is None or request.expansion.mode is Mode.ON:
            return None
        terms = tuple(dict.fromkeys(self.analyze(request.user_query)))
        return lambda: statistics.document_frequencies(terms, deadline=until, caller=request.caller)

    def _methods(self, options: ExpansionOptions) -> tuple[Method, ...]:
        shares = options.methods or tuple(MethodShare(name=name) for name in self.default_methods)
        for each in shares:
            if each.name not in self.expanders and each.name not in self.absent:
                raise InvalidRequest(
                    f"The expansion method {each.name!r} is not available on this index.",
                    pointer="/expansion",
                    hint=_TO_HAVE.get(each.name) or did_you_mean(each.name, {*self.expanders, *Mode}),
                )
        return methods_of([each for each in shares if each.name in self.expanders], self.expanders)

    def _first_retrieval(self, query: WeightedQuery, account: Account, *, expanding: bool) -> RetrieveRequest:
        """By the original query; no deeper than what is shown where nothing comes after it."""
        request = account.request
        alone = not expanding and not self._reranks(request) and request.cursor is None
        return replace(
            retrieval_of(request, query, account.deadline),
            top_k=min(request.retrieval_depth, request.offset + request.top_k) if alone else request.retrieval_depth,
            facets=request.facets,
            expanding=expanding and self.as_written,
        )

    def _reranks(self, request: SearchRequest) -> bool:
        return request.rerank.mode is not Mode.OFF and self.reranker is not None and not request.sort

    async def _first_rerank(self, base: Ranking, expanding: Expanding | None, account: Account) -> Known | None:
        """Scores of the base window, read while the expansion is on its way or for `auto` to see; None: not needed."""
        if expanding is None:
            return None
        expanding.first_pass(base)
        request, reranker = account.request, self.reranker
        apart = reranker is not None and reranker.pointwise and request.rerank.query is RerankQuery.ORIGINAL
        if reranker is None or not (apart and self._reranks(request) and len(base)):
            return None
        if request.expansion.mode is Mode.ON and await expanding.quick():
            return None
        window, left = base.head(request.rerank.depth), account.deadline.share(RERANK_SHARE)
        scored = await account.optional(Stage.RERANK, reranking.first_scores(reranker, window, request, left), left)
        return None if scored is None else reranking.known(window, scored)

    async def _expand(self, first: _First, expanding: Expanding | None, account: Account) -> _Found | None:
        """What the expansions found; None if nothing changes: none came, none said anything, or it is not worth it."""
        if expanding is None:
            account.skip(Stage.RETRIEVE_EXPANDED, Reason.NOTHING_TO_DO)
            return None
        mode = account.request.expansion.mode
        if mode is not Mode.ON and first.early is not None and strong_first_pass(first.early.reranking):
            decision = Decision(False, "the reranker is content with what the query itself found")
            expanding.abandon()
            account.skip_expansion(Reason.POLICY_SKIPPED, decision)
            account.skip(Stage.RETRIEVE_EXPANDED, Reason.NOTHING_TO_DO)
            return None
        outcomes = await expanding.outcomes()
        account.expanded(outcomes)
        options, word_weight = account.request.expansion, first.base.word_weight if self.as_written else None
        joined = joining.join(first.query, outcomes, expanding.methods, options, word_weight=word_weight)
        account.expansion.join(joined)
        if not joined.parts or not options.retrieves:
            account.skip(Stage.RETRIEVE_EXPANDED, Reason.NOTHING_TO_DO)
            return None
        found = await self._retrieve_expanded(joined, first.base.ranking, account)
        if found is None or mode is Mode.ON:
            return found
        found = await self._weighed(first, expanding, found, account)
        if mode is Mode.SHADOW:
            account.expansion.shadow(expand=found is not None)
            return None
        return found

    async def _weighed(self, first: _First, expanding: Expanding, found: _Found, account: Account) -> _Found | None:
        """`found` as heavily as the policy thinks best, None for not at all; as it is where the policy cannot tell."""
        counts = await expanding.counts()
        if self.policy is None or counts is None or not weighing.is_weighable(found.joined):
            return found
        choice, detail = weighing.weigh(
            self.policy,
            account.request,
            first.query,
            counts=counts,
            base=first.base,
            joined=found.joined,
            expanded=found.main,
            early=first.early,
        )
        account.expansion.decision = Decision(choice.weight > 0, choice.reason)
        account.expansion.policy = detail
        base, joined, main = first.base.ranking, found.joined, found.joined.main
        if not choice.weight:
            joined = replace(joined, main=None)
            account.expansion.join_lists_only(joined)
            if found.lists:
                account.expansion.decision = Decision(True, f"lists alone, the query is {choice.reason}")
            return _Found(joined=joined, main=base, lists=found.lists) if found.lists else None
        if account.request.expansion.weight is not None or main is None or main.weight == choice.weight:
            return found
        word_weight = first.base.word_weight if self.as_written else None
        joined = joined.reweighed(first.query, choice.weight, word_weight=word_weight)
        account.expansion.join(joined)
        again = await self._retrieve_expanded(replace(joined, lists=()), base, account)
        return None if again is None else replace(again, joined=joined, lists=found.lists)

    async def _retrieve_expanded(self, joined: Joined, base: Ranking, account: Account) -> _Found | None:
        """The rankings of the expanded query and of the lists beside it; None if one failed, in whole or in part."""
        left = account.deadline.share(RERANK_SHARE)
        merged: list[Ranking] = []

        async def retrieve() -> Retrieval:
            """All of them as one stage: that of the last, its counts summed."""
            wanted = [retrieval_of(account.request, part.composed.query, left) for part in joined.parts]
            every = await asyncio.gather(*(self.retriever.retrieve(each) for each in wanted))
            merged.extend(each.ranking for each in every)
            worst = next((each for each in every if each.partial), every[0])
            return worst if len(every) == 1 else replace(worst, detail={**worst.detail, "searches": len(every)})

        second = await account.optional(Stage.RETRIEVE_EXPANDED, retrieve(), left)
        if second is None or (second.partial and second.partial_reason is Reason.PARTIAL_RESULTS):
            return None
        pairs = list(zip(joined.parts, merged, strict=True))
        main = pairs.pop(0)[1] if joined.main is not None and joined.main.says_more else base
        return _Found(joined=joined, main=main, lists=tuple(pairs))

    def _retrieved(self, found: _Found, request: SearchRequest) -> Ranking:
        """The candidates of all retrievals: the expanded query's alone if it holds the original, else fused."""
        if not found.lists:
            return found.main
        fused = joining.fused(found.main, found.lists, one_of_each_group=request.collapse is not None)
        return fused.head(request.retrieval_depth)

    async def _finish(
        self, base: Retrieval, retrieved: Ranking, found: _Found | None, early: Known | None, account: Account
    ) -> SearchResult:
        request, joined = account.request, None if found is None else found.joined
        if joined is None and not request.expansion.retrieves:
            joined = account.expansion.joined
        window = retrieved.head(request.rerank.depth)
        if found is not None and self._reranks(request):
            window = fusion.window_of(retrieved, base.ranking, request.rerank.depth)
            retrieved = fusion.followed_by(retrieved, window)
        scored = await self._rerank(_as_read(window, base.ranking), joined, early, account)
        rankings = Rankings(
            base=base.ranking,
            expanded=None if found is None or found.main is base.ranking else found.main,
            expanded_label="" if joined is None or joined.main is None else joined.main.label,
            lists={} if found is None else {part.label: ranking for part, ranking in found.lists},
            retrieved=retrieved,
            reranked=None if scored is None else fusion.reorder(window, scored.scores, scored.score_kind),
            label=account.expansion.label,
            model="" if scored is None else scored.model,
            parts={} if scored is None else _by_document(scored.parts, window),
        )
        hits = ranked_candidates(rankings, request)
        if found is not None:
            await self._count_hits_alone(request, found.joined, hits, account)
        return SearchResult(
            query_id=request.query_id,
            user_query=request.user_query,
            expanded_query=None if joined is None or not joined.parts else joined.expanded_query,
            expansion=account.expansion_account(),
            total=base.total,
            hits=hits,
            stages=account.stages(),
            took_ms=account.took_ms(),
            matched_terms=self._matched(request.user_query, joined),
            facets=base.facets,
            window=() if request.cursor is None else whole_window(rankings),
        )

    async def _rerank(
        self, window: Ranking, joined: Joined | None, early: Known | None, account: Account
    ) -> Reranking | None:
        """Scores for all of `window`, or none."""
        request, reranker = account.request, self.reranker
        if request.rerank.mode is Mode.OFF or reranker is None:
            off = request.rerank.mode is Mode.OFF
            account.skip(Stage.RERANK, Reason.SWITCHED_OFF if off else Reason.NOT_CONFIGURED)
            return None
        if request.sort:
            account.skip(Stage.RERANK, Reason.SORTED_BY_FIELD, _SORTED)
            return None
        if not len(window):
            account.skip(Stage.RERANK, Reason.NOTHING_TO_DO)
            return None
        if account.failed(Stage.RERANK):
            return None
        left = account.deadline.share(RERANK_SHARE)
        if early is not None:
            work = reranking.with_new_scores(early, reranker, window, request, left)
        else:
            expanded = joined.expanded_query if joined is not None and joined.parts else request.user_query
            work = reranking.all_scores(reranker, window, request, left, expanded_query=expanded)
        return await account.optional(Stage.RERANK, work, left)

    async def _count_hits_alone(
        self, request: SearchRequest, joined: Joined, hits: Sequence[RankedCandidate], account: Account
    ) -> None:
        """How many hits match nothing but one added term; unknown if the index does not say so in time."""
        new = [hit.candidate.doc_id for hit in hits if hit.retrieval is None]
        kept = list(dict.fromkeys(term.term for term in joined.terms if term.kept))
        alone: dict[str, int] = {}
        if new and self.statistics is not None:
            asked = list(dict.fromkeys([*self.analyze(request.user_query), *kept]))
            try:
                held = await self.statistics.holding(asked, new, deadline=account.deadline, caller=request.caller)
            except StageError:
                return
            for terms in held.values():
                if len(terms) == 1:
                    (term,) = terms
                    alone[term] = alone.get(term, 0) + 1
        if not new or self.statistics is not None:
            account.expansion.count_hits_alone(alone)

    def _matched(self, user_query: str, joined: Joined | None) -> frozenset[str]:
        kept = () if joined is None else tuple(term.term for term in joined.terms if term.kept)
        terms = [each for word in kept for each in self.marks(word)] if self.as_written else kept
        return frozenset(self.marks(user_query)).union(terms)


def retrieval_of(request: SearchRequest, query: WeightedQuery, deadline: Deadline) -> RetrieveRequest:
    """What a retriever is given for `query` in this search."""
    return RetrieveRequest(
        query=query,
        top_k=request.retrieval_depth,
        deadline=deadline,
        filters=request.filters,
        sort=request.sort,
        collapse=request.collapse,
        explain=request.explain,
        caller=request.caller,
    )


def _by_document(parts: Mapping[str, tuple[float, ...]], window: Ranking) -> dict[str, dict[str, float]]:
    doc_ids = [candidate.doc_id for candidate in window]
    return {name: dict(zip(doc_ids, values, strict=True)) for name, values in parts.items()}


def _as_read(window: Ranking, base: Ranking) -> Ranking:
    """The window as a reranker is given it: with scores that tell how well the words match, which ranks do not."""
    return fusion.lexical_scores(window, base) if window.score_kind is ScoreKind.RRF else window
