"""The order of the stages, the deadline, and degradation. No I/O of its own, no settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import cast

from searchsvc import forms, fusion
from searchsvc.account import Account
from searchsvc.errors import InvalidRequest, Reason
from searchsvc.explain import Rankings, ranked_candidates, whole_window
from searchsvc.forms import ComposedQuery
from searchsvc.model import (
    Deadline,
    ExpansionOptions,
    Form,
    Mode,
    Ranking,
    RerankQuery,
    ScoreKind,
    SearchRequest,
    WeightedQuery,
)
from searchsvc.policy.rules import Decision, decide
from searchsvc.protocols import Expander, ExpandRequest, Reranker, Retriever, RetrieveRequest
from searchsvc.result import Expansion, Reranking, Retrieval, SearchResult, Stage

EXPANSION_SHARE = 0.6
"""How much of the deadline the expansion may use: what it leaves must do for a second retrieval and the reranker."""
RERANK_SHARE = 0.95
"""How much of what is then left the reranker may use: the rest is for the answer."""
_SORTED = "sorted by a field"
_PROPOSALS = 64
"""How many terms an expander is asked for: more than a form keeps, so that the account shows what was cut."""


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
    default_method: str | None
    reranker: Reranker | None

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
        except BaseException:
            if expanding is not None:
                expanding.cancel()
            raise
        composed = await self._expanded(query, expanding, account, base.word_weight)
        second = await self._retrieve_expanded(composed, account)
        if second is None and request.expansion.retrieves:
            composed = None
        retrieved = self._joined(base.ranking, second, account) if second else base.ranking
        window = retrieved.head(request.rerank.depth)
        reranking = await self._rerank(_as_read(window, base.ranking), composed, account)
        rankings = Rankings(
            base=base.ranking,
            expanded=second,
            retrieved=retrieved,
            reranked=None if reranking is None else fusion.reorder(window, reranking.scores, reranking.score_kind),
            label=account.label,
            model="" if reranking is None else reranking.model,
            parts={} if reranking is None else _by_document(reranking.parts, window),
        )
        return self._result(account, base, rankings, composed)

    def _start_expansion(self, account: Account) -> asyncio.Task[Expansion | None] | None:
        """The expansion runs beside the first retrieval, never in front of it; None: the query is left as it is."""
        request, options = account.request, account.request.expansion
        method = self._method(options)
        if options.mode is Mode.OFF:
            account.skip_expansion(Reason.SWITCHED_OFF, Decision(False, "off"))
            return None
        if method is None:
            account.skip_expansion(Reason.NOT_CONFIGURED, Decision(False, "no expander is configured"))
            return None
        if request.sort:
            account.skip_expansion(Reason.SORTED_BY_FIELD, Decision(False, _SORTED))
            return None
        decision = decide(request.user_query) if options.mode is Mode.AUTO else Decision(True, "on")
        if not decision.expand:
            account.skip_expansion(Reason.POLICY_SKIPPED, decision)
            return None
        account.decide(decision, method)
        wanted = ExpandRequest(
            user_query=request.user_query,
            deadline=account.deadline.share(EXPANSION_SHARE),
            terms=max(_PROPOSALS, options.terms or 0),
            prompt=options.prompt,
            caller=request.caller,
        )
        return account.start_expansion(self.expanders[method], wanted)

    def _method(self, options: ExpansionOptions) -> str | None:
        name = options.methods[0].name if options.methods else self.default_method
        if name is None or name in self.expanders:
            return name
        known = ", ".join(sorted(self.expanders)) or "none"
        raise InvalidRequest(
            f"The expansion method {name!r} is not available on this index.",
            pointer="/expansion",
            hint=f"Available: {known}.",
        )

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

    async def _expanded(
        self,
        query: WeightedQuery,
        expanding: asyncio.Task[Expansion | None] | None,
        account: Account,
        word_weight: float,
    ) -> ComposedQuery | None:
        """The composed query; None without an expansion that changes anything."""
        expansion = None if expanding is None else await expanding
        if expansion is None:
            return None
        expander = self.expanders[expansion.method]
        options = account.request.expansion
        form = options.form or expander.default_form
        weight = options.weight if options.weight is not None else expander.default_weight
        composed = forms.compose(
            query,
            expansion,
            form=form,
            weight=weight,
            terms=options.terms,
            word_weight=word_weight if self.as_written else None,
        )
        account.composed(expansion, composed, form=form, weight=weight)
        return composed if any(term.kept for term in composed.terms) else None

    async def _retrieve_expanded(self, composed: ComposedQuery | None, account: Account) -> Ranking | None:
        """The ranking of the expanded query; None if there is nothing to run, or it failed, in whole or in part."""
        if composed is None or not account.request.expansion.retrieves:
            account.skip(Stage.RETRIEVE_EXPANDED, Reason.NOTHING_TO_DO)
            return None
        left = account.deadline.share(RERANK_SHARE)
        wanted = retrieval_of(account.request, composed.query, left)
        second = await account.optional(Stage.RETRIEVE_EXPANDED, self.retriever.retrieve(wanted), left)
        missing = second is not None and second.partial and second.partial_reason is Reason.PARTIAL_RESULTS
        return None if second is None or missing else second.ranking

    def _joined(self, base: Ranking, expanded: Ranking, account: Account) -> Ranking:
        """The candidates of both retrievals: the expanded query's alone if it holds the original, else fused."""
        if account.form not in (Form.RRF, Form.ZSCORE):
            return expanded
        lists = (fusion.WeightedList(base), fusion.WeightedList(expanded, account.weight))
        fuse = fusion.reciprocal_rank_fusion if account.form is Form.RRF else fusion.standardised_sum
        fused = fuse(lists)
        if account.request.collapse is not None:
            fused = fusion.one_of_each_group(fused)
        return fused.head(account.request.retrieval_depth)

    async def _rerank(
        self,
        window: Ranking,
        composed: ComposedQuery | None,
        account: Account,
    ) -> Reranking | None:
        """Scores for all of `window`, or none."""
        request, options = account.request, account.request.rerank
        if options.mode is Mode.OFF or self.reranker is None:
            off = options.mode is Mode.OFF
            account.skip(Stage.RERANK, Reason.SWITCHED_OFF if off else Reason.NOT_CONFIGURED)
            return None
        if request.sort:
            account.skip(Stage.RERANK, Reason.SORTED_BY_FIELD, _SORTED)
            return None
        if not len(window):
            account.skip(Stage.RERANK, Reason.NOTHING_TO_DO)
            return None
        expanded = composed.expanded_query if composed is not None else request.user_query
        queries = {
            RerankQuery.ORIGINAL: (request.user_query,),
            RerankQuery.EXPANDED: (expanded,),
            RerankQuery.BOTH: (request.user_query, expanded),
        }[options.query]
        left = account.deadline.share(RERANK_SHARE)
        return await account.optional(Stage.RERANK, _scores(self.reranker, queries, window, request, left), left)

    def _result(
        self, account: Account, base: Retrieval, rankings: Rankings, composed: ComposedQuery | None
    ) -> SearchResult:
        request = account.request
        return SearchResult(
            query_id=request.query_id,
            user_query=request.user_query,
            expanded_query=None if composed is None else composed.expanded_query,
            expansion=account.expansion_account(),
            total=base.total,
            hits=ranked_candidates(rankings, request),
            stages=account.stages(),
            took_ms=account.took_ms(),
            matched_terms=self._matched(request.user_query, composed),
            facets=base.facets,
            window=() if request.cursor is None else whole_window(rankings),
        )

    def _matched(self, user_query: str, composed: ComposedQuery | None) -> frozenset[str]:
        kept = () if composed is None else tuple(term.term for term in composed.terms if term.kept)
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


async def _scores(
    reranker: Reranker, queries: Sequence[str], window: Ranking, request: SearchRequest, deadline: Deadline
) -> Reranking:
    """One score per candidate; for two queries the mean of both."""
    whole = len(queries) > 1 or request.cursor is not None
    top_k = len(window) if whole else request.offset + request.top_k
    every = [
        await reranker.rerank(
            query, window.candidates, top_k=top_k, instruction=request.rerank.instruction, deadline=deadline
        )
        for query in queries
    ]
    if len(every) == 1:
        return every[0]
    means = (
        None if None in scores else fmean(cast("tuple[float, ...]", scores))
        for scores in zip(*(each.scores for each in every), strict=True)
    )
    return replace(every[0], scores=tuple(means))
