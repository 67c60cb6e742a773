"""Several expansions in one search: shares, lists, lateness, the first rerank beside them, shadow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from searchsvc.errors import BackendUnavailable, ExpansionLate, Reason
from searchsvc.model import (
    Deadline,
    ExpansionOptions,
    Form,
    MethodShare,
    Mode,
    Ranking,
    RerankOptions,
    SearchRequest,
    Wait,
)
from searchsvc.policy.files import read_model
from searchsvc.protocols import ExpandRequest
from searchsvc.result import Expansion, SearchResult, Stage, StageStatus
from tests.support.parts import FixedExpander, FixedReranker, FixedRetriever, pipeline, ranking


def _by_terms(terms: set[str]) -> Ranking:
    if "slow" not in terms:
        return ranking("far", "c")
    return ranking("b", "new", "a") if "extra" in terms else ranking("a", "b", "c")


async def _search(parts, *, timeout_ms=500, rerank=None, **options) -> SearchResult:
    request = SearchRequest(
        query_id="q",
        user_query="slow net",
        expansion=ExpansionOptions(**{"mode": Mode.ON, **options}),
        rerank=rerank or RerankOptions(),
    )
    return await parts.search(request, Deadline.after_ms(timeout_ms))


def _ids(result: SearchResult) -> list[str]:
    return [hit.candidate.doc_id for hit in result.hits]


def _stage(result: SearchResult, stage: Stage):
    return next(trace for trace in result.stages if trace.stage is stage)


def _both(one: float = 1.0, two: float = 1.0) -> tuple[MethodShare, ...]:
    return (MethodShare(name="one", weight=one), MethodShare(name="two", weight=two))


def _one_and_two(retriever: FixedRetriever, **two):
    other = FixedExpander(("more",), method="two", **two)
    return pipeline(retriever, expander=FixedExpander(method="one"), others=[other])


async def test_methods_that_mix_make_one_query_by_their_shares() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_one_and_two(retriever), methods=_both(3.0, 1.0))

    weights = {term.term: term.weight for term in retriever.asked[1].terms}
    assert weights == pytest.approx({"slow": 0.5, "net": 0.5, "extra": 0.75, "more": 0.25})
    assert len(retriever.asked) == 2
    assert (result.expansion.method, result.expansion.weight) == ("one+two", 0.5)
    assert {term.term: term.source for term in result.expansion.terms} == {"extra": "one", "more": "two"}


async def test_a_method_with_a_list_of_its_own_is_fused_with_the_query_of_the_others() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_one_and_two(retriever, default_form=Form.ZSCORE), methods=_both())

    assert [{term.term for term in query.terms} for query in retriever.asked[1:]] == [
        {"slow", "net", "extra"},
        {"more"},
    ]
    assert {"b", "new", "a", "far", "c"} == set(_ids(result))
    assert _stage(result, Stage.RETRIEVE_EXPANDED).detail["searches"] == 2


async def test_terms_of_another_language_make_a_list_beside_the_query() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(pipeline(retriever, expander=FixedExpander(apart=("fremd",))))

    assert [{term.term for term in query.terms} for query in retriever.asked[1:]] == [
        {"slow", "net", "extra"},
        {"fremd"},
    ]
    assert {"b", "new", "a", "far", "c"} == set(_ids(result))
    assert {term.term for term in result.expansion.terms} == {"extra", "fremd"}
    assert result.expansion.explanation == (
        "mixture 0.5 of the original query and 1 terms by fixed; zscore 0.5 with a list of 1 terms by fixed"
    )


async def test_terms_of_another_language_alone_leave_the_query_as_it_is() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(pipeline(retriever, expander=FixedExpander(terms=(), apart=("fremd",))))

    assert [{term.term for term in query.terms} for query in retriever.asked] == [{"slow", "net"}, {"fremd"}]
    assert result.expansion.form is Form.ZSCORE


async def test_a_form_that_the_request_names_joins_all_terms() -> None:
    retriever = FixedRetriever(_by_terms)

    await _search(pipeline(retriever, expander=FixedExpander(apart=("fremd",))), form=Form.MIXTURE)

    assert [{term.term for term in query.terms} for query in retriever.asked[1:]] == [{"slow", "net", "extra", "fremd"}]


LACKING = {"nearby": "This index has no words. Load it again."}


async def test_a_method_that_this_index_lacks_is_not_configured_and_says_what_to_do() -> None:
    parts = replace(pipeline(FixedRetriever(_by_terms), expander=FixedExpander()), absent=LACKING)

    result = await _search(parts, methods=(MethodShare(name="nearby"),))

    trace = _stage(result, Stage.EXPAND)
    assert (trace.status, trace.reason) == (StageStatus.SKIPPED, Reason.NOT_CONFIGURED)
    assert trace.message == result.expansion.reason == "This index has no words. Load it again."
    assert (_ids(result), result.degraded) == (["a", "b", "c"], ())


async def test_the_other_methods_expand_without_the_one_that_this_index_lacks() -> None:
    parts = replace(pipeline(FixedRetriever(_by_terms), expander=FixedExpander()), absent=LACKING)

    result = await _search(parts, methods=(MethodShare(name="fixed"), MethodShare(name="nearby")))

    trace = _stage(result, Stage.EXPAND)
    assert (trace.status, trace.detail["not_configured"]) == (StageStatus.OK, LACKING)
    assert result.expansion.decision == "expanded"


async def test_where_the_only_method_there_could_be_is_lacking_it_says_so_unasked() -> None:
    parts = replace(pipeline(FixedRetriever(_by_terms)), absent=LACKING)

    result = await _search(parts)

    assert _stage(result, Stage.EXPAND).reason is Reason.NOT_CONFIGURED
    assert _stage(result, Stage.EXPAND).message == LACKING["nearby"]


async def test_one_method_that_fails_costs_its_own_terms_only() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_one_and_two(retriever, error=BackendUnavailable("gone")), methods=_both())

    assert result.expansion.decision == "expanded"
    trace = _stage(result, Stage.EXPAND)
    assert (trace.status, trace.reason) == (StageStatus.DEGRADED, Reason.TRANSIENT)
    assert [(each["method"], each["status"]) for each in trace.detail["methods"]] == [
        ("one", "ok"),
        ("two", "degraded"),
    ]


async def test_a_late_method_is_pending_and_the_others_answer() -> None:
    result = await _search(_one_and_two(FixedRetriever(_by_terms), error=ExpansionLate("late")), methods=_both())

    assert _stage(result, Stage.EXPAND).status is StageStatus.PENDING
    assert result.expansion.decision == "expanded"
    assert result.degraded == ()


@pytest.mark.parametrize(("wait", "decision"), [(Wait.ANSWER, "pending"), (Wait.COMPLETE, "expanded")])
async def test_a_caller_may_wait_for_an_expansion(wait: Wait, decision: str) -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(delay_s=0.28))

    result = await _search(parts, timeout_ms=400, wait=wait)

    assert result.expansion.decision == decision


async def test_beside_a_slow_expansion_the_base_window_is_reranked_and_then_only_the_new_documents() -> None:
    reranker = FixedReranker({"new": 2.0, "b": 1.0})
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(delay_s=0.1), reranker=reranker)

    result = await _search(parts)

    assert reranker.read == [["a", "b", "c"], ["new"]]
    assert _ids(result) == ["new", "b", "a", "c"]
    trace = _stage(result, Stage.RERANK)
    assert (trace.detail["first_pass"], trace.detail["new"]) == (3, 1)


async def test_a_reranker_whose_scores_depend_on_the_window_reads_it_once() -> None:
    reranker = FixedReranker({"new": 2.0}, pointwise=False)

    await _search(pipeline(FixedRetriever(_by_terms), expander=FixedExpander(delay_s=0.1), reranker=reranker))

    assert reranker.read == [["b", "new", "a", "c"]]


async def test_a_late_expansion_costs_no_second_rerank() -> None:
    reranker = FixedReranker({"c": 2.0})

    result = await _search(
        pipeline(FixedRetriever(_by_terms), expander=FixedExpander(delay_s=5), reranker=reranker), timeout_ms=200
    )

    assert reranker.read == [["a", "b", "c"]]
    assert _ids(result) == ["c", "a", "b"]
    assert _stage(result, Stage.EXPAND).status is StageStatus.PENDING


async def test_auto_stops_at_a_first_pass_that_the_reranker_likes() -> None:
    expander = FixedExpander(delay_s=0.2)
    reranker = FixedReranker({"a": 5.0, "b": 4.0, "c": 3.0})

    result = await _search(pipeline(FixedRetriever(_by_terms), expander=expander, reranker=reranker), mode=Mode.AUTO)

    assert (result.expansion.decision, _stage(result, Stage.EXPAND).reason) == ("skipped", Reason.POLICY_SKIPPED)
    assert "content" in result.expansion.reason
    await asyncio.sleep(0)
    assert expander.cancelled


async def test_auto_expands_what_the_reranker_does_not_like_and_rereads_nothing() -> None:
    reranker = FixedReranker({"a": 5.0, "new": 6.0})

    result = await _search(
        pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=reranker), mode=Mode.AUTO
    )

    assert reranker.read == [["a", "b", "c"], ["new"]]
    assert _ids(result)[:2] == ["new", "a"]


async def test_shadow_decides_and_answers_as_off() -> None:
    plain = await _search(pipeline(FixedRetriever(_by_terms)), mode=Mode.OFF)

    result = await _search(pipeline(FixedRetriever(_by_terms), expander=FixedExpander()), mode=Mode.SHADOW)

    assert [hit.candidate.doc_id for hit in result.hits] == [hit.candidate.doc_id for hit in plain.hits]
    assert [hit.score for hit in result.hits] == [hit.score for hit in plain.hits]
    assert result.expansion.decision == "skipped"
    assert result.expansion.reason.startswith("shadow")
    assert [term.term for term in result.expansion.terms] == ["extra"]
    assert result.expanded_query is None


async def test_a_method_that_reads_the_first_pass_gets_the_base_ranking() -> None:
    seen: list[list[str]] = []

    class Reading(FixedExpander):
        async def expand(self, request: ExpandRequest) -> Expansion:
            assert request.first_pass is not None
            seen.append([candidate.doc_id for candidate in await request.first_pass()])
            return await super().expand(request)

    await _search(pipeline(FixedRetriever(_by_terms), expander=Reading()))

    assert seen == [["a", "b", "c"]]


class _Held:
    """Statistics of documents that hold fixed words."""

    def __init__(self, held: Mapping[str, set[str]]) -> None:
        self._held = held

    async def holding(self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline, caller=None):
        return {doc_id: frozenset(self._held.get(doc_id, set()) & set(terms)) for doc_id in doc_ids}


@pytest.mark.parametrize(("held", "alone"), [({"extra"}, 1), ({"extra", "slow"}, 0)])
async def test_a_term_tells_how_many_hits_it_alone_brought(held: set[str], alone: int) -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), statistics=_Held({"new": held}))

    result = await _search(parts)

    assert [(term.term, term.hits_alone) for term in result.expansion.terms] == [("extra", alone)]


class _Counting:
    """Statistics that do not come."""

    def __init__(self) -> None:
        self.cancelled = False

    async def document_frequencies(self, terms: Sequence[str], *, deadline, caller=None):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_counts_that_nobody_needs_any_more_do_not_outlive_the_search() -> None:
    statistics = _Counting()
    failing = FixedExpander(error=BackendUnavailable("down"))
    parts = replace(pipeline(FixedRetriever(_by_terms), expander=failing, statistics=statistics), policy=read_model())

    await _search(parts, mode=Mode.AUTO)
    await asyncio.sleep(0)

    assert statistics.cancelled


async def test_a_reranker_that_fails_on_the_new_documents_leaves_the_order_without_it() -> None:
    class Once(FixedReranker):
        async def rerank(self, query, candidates, **more):
            if self.read:
                raise BackendUnavailable("gone")
            return await super().rerank(query, candidates, **more)

    plain = await _search(
        pipeline(FixedRetriever(_by_terms), expander=FixedExpander()), rerank=RerankOptions(mode=Mode.OFF)
    )

    result = await _search(
        pipeline(FixedRetriever(_by_terms), expander=FixedExpander(delay_s=0.1), reranker=Once({"c": 9.0}))
    )

    assert [(trace.stage, trace.reason) for trace in result.degraded] == [(Stage.RERANK, Reason.TRANSIENT)]
    assert _ids(result)[: len(plain.hits)] == _ids(plain)
    assert {hit.rerank for hit in result.hits} == {None}
