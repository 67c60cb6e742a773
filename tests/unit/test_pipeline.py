"""The order of the stages, the deadline, and what degradation looks like."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from searchsvc.errors import BackendTimeout, BackendUnavailable, BadModelOutput, InvalidRequest, Reason
from searchsvc.model import (
    Deadline,
    ExpansionOptions,
    Form,
    MethodShare,
    Mode,
    Ranking,
    RerankOptions,
    RerankQuery,
    ScoreKind,
    SearchRequest,
    SortKey,
    TermsFacet,
)
from searchsvc.result import SearchResult, Stage, StageStatus
from tests.support.parts import FixedExpander, FixedReranker, FixedRetriever, pipeline, ranking

OFF = ExpansionOptions(mode=Mode.OFF)
ON = ExpansionOptions(mode=Mode.ON)
NO_RERANK = RerankOptions(mode=Mode.OFF)


def _by_terms(terms: set[str]) -> Ranking:
    if terms == {"extra"}:
        return ranking("new", "c")
    return ranking("b", "new", "a") if "extra" in terms else ranking("a", "b", "c")


async def _search(parts, *, expansion=ON, rerank=None, timeout_ms=500, query="slow net", **more) -> SearchResult:
    request = SearchRequest(
        query_id="q", user_query=query, expansion=expansion, rerank=rerank or RerankOptions(), **more
    )
    return await parts.search(request, Deadline.after_ms(timeout_ms))


def _ids(result: SearchResult) -> list[str]:
    return [hit.candidate.doc_id for hit in result.hits]


def _stage(result: SearchResult, stage: Stage):
    return next(trace for trace in result.stages if trace.stage is stage)


async def test_without_parts_the_optional_stages_are_skipped_not_degraded() -> None:
    result = await _search(pipeline(FixedRetriever(_by_terms)))

    assert _ids(result) == ["a", "b", "c"]
    assert _stage(result, Stage.EXPAND).reason is Reason.NOT_CONFIGURED
    assert _stage(result, Stage.RERANK).reason is Reason.NOT_CONFIGURED
    assert result.degraded == ()
    assert {hit.score_kind for hit in result.hits} == {ScoreKind.BM25}


async def test_a_mixture_takes_the_place_of_the_query() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(pipeline(retriever, expander=FixedExpander()))

    assert _ids(result) == ["b", "new", "a"]
    assert [hit.movement for hit in result.hits] == [1, None, -2]
    assert result.hits[1].retrieval is None
    assert {term.term: term.weight for term in retriever.asked[1].terms} == {"slow": 0.5, "net": 0.5, "extra": 1.0}
    assert result.expansion.decision == "expanded"
    assert result.expanded_query == "slow net extra"
    assert result.matched_terms == {"slow", "net", "extra"}


async def test_a_separate_list_is_fused_by_weight() -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(default_form=Form.RRF))

    result = await _search(parts)

    assert _ids(result) == ["c", "a", "b", "new"]
    assert {hit.score_kind for hit in result.hits} == {ScoreKind.RRF}


async def test_an_expanded_list_without_hits_leaves_the_base_order() -> None:
    def only_original(terms: set[str]) -> Ranking:
        return Ranking() if terms == {"extra"} else ranking("a", "b")

    parts = pipeline(FixedRetriever(only_original), expander=FixedExpander(default_form=Form.RRF))

    result = await _search(parts)

    assert _ids(result) == ["a", "b"]
    assert {hit.score_kind for hit in result.hits} == {ScoreKind.BM25}


async def test_the_reranker_reads_the_original_query_and_orders_the_window() -> None:
    reranker = FixedReranker({"a": -1.0, "b": -1.0, "new": 2.0})

    result = await _search(pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=reranker))

    assert reranker.queries == ["slow net"]
    assert _ids(result) == ["new", "c", "b", "a"]  # c was the third of the original query: it keeps its seat
    assert [hit.rerank.rank for hit in result.hits] == [1, 2, 3, 4]
    assert {hit.score_kind for hit in result.hits} == {ScoreKind.LOGIT}


@pytest.mark.parametrize(
    ("reads", "queries"),
    [
        (RerankQuery.EXPANDED, ["slow net extra"]),
        (RerankQuery.BOTH, ["slow net", "slow net extra"]),
    ],
)
async def test_the_reranker_reads_what_was_asked_for(reads: RerankQuery, queries: list[str]) -> None:
    reranker = FixedReranker({"b": 1.0})
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=reranker)

    result = await _search(parts, rerank=RerankOptions(query=reads))

    assert reranker.queries == queries
    assert result.hits[0].score == 1.0


async def test_below_the_reranked_prefix_the_base_order_goes_on() -> None:
    reranker = FixedReranker({"b": 3.0})

    result = await _search(
        pipeline(FixedRetriever(_by_terms), reranker=reranker), rerank=RerankOptions(depth=2), retrieval_depth=10
    )

    assert _ids(result) == ["b", "a", "c"]
    assert [hit.score_kind for hit in result.hits] == [ScoreKind.LOGIT, ScoreKind.LOGIT, ScoreKind.BM25]
    assert result.hits[2].rerank is None


async def test_expansion_that_feeds_no_retrieval_keeps_the_candidates() -> None:
    reranker = FixedReranker({"c": 1.0})
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=reranker)

    result = await _search(
        parts,
        expansion=ExpansionOptions(mode=Mode.ON, retrieves=False),
        rerank=RerankOptions(query=RerankQuery.EXPANDED),
    )

    assert _ids(result) == ["c", "a", "b"]
    assert reranker.queries == ["slow net extra"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BackendTimeout("late"), Reason.MAX_WAIT_EXCEEDED),
        (BackendUnavailable("gone"), Reason.TRANSIENT),
        (BadModelOutput("cut JSON"), Reason.BAD_MODEL_OUTPUT),
    ],
)
async def test_a_failing_optional_stage_leaves_the_order_that_it_would_have_without_it(error, reason) -> None:
    plain = await _search(pipeline(FixedRetriever(_by_terms)), expansion=OFF, rerank=NO_RERANK)

    parts = pipeline(
        FixedRetriever(_by_terms), expander=FixedExpander(error=error), reranker=FixedReranker(error=error)
    )
    result = await _search(parts)

    assert [(hit.candidate, hit.score) for hit in result.hits] == [(hit.candidate, hit.score) for hit in plain.hits]
    assert [(trace.stage, trace.reason) for trace in result.degraded] == [
        (Stage.EXPAND, reason),
        (Stage.RERANK, reason),
    ]
    assert result.expansion.decision == "degraded"
    assert _stage(result, Stage.EXPAND).message == str(error)


async def test_a_slow_expansion_is_cut_at_its_share_and_the_reranker_still_runs() -> None:
    expander, reranker = FixedExpander(delay_s=5), FixedReranker({"c": 1.0})

    started = time.monotonic()
    result = await _search(pipeline(FixedRetriever(_by_terms), expander=expander, reranker=reranker), timeout_ms=300)

    assert time.monotonic() - started < 0.3
    assert expander.cancelled
    trace = _stage(result, Stage.EXPAND)
    assert (trace.status, trace.reason) == (StageStatus.PENDING, Reason.EXPANSION_LATE)
    assert result.degraded == ()
    assert (result.expansion.decision, result.expansion.reason) == ("pending", "expansionLate")
    assert _ids(result) == ["c", "a", "b"]


async def test_a_slow_reranker_is_cut_before_the_deadline() -> None:
    started = time.monotonic()
    result = await _search(pipeline(FixedRetriever(_by_terms), reranker=FixedReranker(delay_s=5)), timeout_ms=200)

    assert time.monotonic() - started < 0.25
    assert [(trace.stage, trace.reason) for trace in result.degraded] == [(Stage.RERANK, Reason.MAX_WAIT_EXCEEDED)]
    assert _ids(result) == ["a", "b", "c"]


async def test_a_failing_retrieval_is_the_answer_and_stops_the_expansion() -> None:
    expander = FixedExpander(delay_s=5)
    parts = pipeline(FixedRetriever(_by_terms, error=BackendUnavailable("gone")), expander=expander)

    with pytest.raises(BackendUnavailable):
        await _search(parts)


async def test_a_failing_second_retrieval_keeps_the_first() -> None:
    class SecondFails(FixedRetriever):
        async def retrieve(self, request):
            if self.asked:
                raise BackendTimeout("late")
            return await super().retrieve(request)

    result = await _search(pipeline(SecondFails(_by_terms), expander=FixedExpander()))

    assert _ids(result) == ["a", "b", "c"]
    assert [trace.stage for trace in result.degraded] == [Stage.RETRIEVE_EXPANDED]
    assert (result.expansion.decision, result.expanded_query) == ("degraded", None)
    assert result.matched_terms == {"slow", "net"}


async def test_a_partial_second_retrieval_keeps_the_first_whole_list() -> None:
    class SecondIsPartial(FixedRetriever):
        async def retrieve(self, request):
            self.partial = "1 of 3 shards failed" if self.asked else ""
            return await super().retrieve(request)

    result = await _search(pipeline(SecondIsPartial(_by_terms), expander=FixedExpander()))

    assert _ids(result) == ["a", "b", "c"]
    assert [(trace.stage, trace.reason) for trace in result.degraded] == [
        (Stage.RETRIEVE_EXPANDED, Reason.PARTIAL_RESULTS)
    ]


async def test_a_partial_answer_is_flagged() -> None:
    result = await _search(pipeline(FixedRetriever(_by_terms, partial="1 of 3 shards failed")), expansion=OFF)

    trace = _stage(result, Stage.RETRIEVE)
    assert (trace.status, trace.reason) == (StageStatus.DEGRADED, Reason.PARTIAL_RESULTS)
    assert trace.message == "1 of 3 shards failed"
    assert _ids(result) == ["a", "b", "c"]


async def test_auto_leaves_an_identifier_alone() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(
        pipeline(retriever, expander=FixedExpander()), expansion=ExpansionOptions(), query="ModuleNotFoundError"
    )

    assert len(retriever.asked) == 1
    assert (result.expansion.decision, result.expansion.reason) == ("skipped", "identifier")


async def test_an_expansion_without_usable_terms_says_so() -> None:
    result = await _search(pipeline(FixedRetriever(_by_terms), expander=FixedExpander(terms=())))

    assert _ids(result) == ["a", "b", "c"]
    assert result.expanded_query is None
    assert (result.expansion.decision, result.expansion.reason) == (
        "skipped",
        "no term of the expansion is in the index",
    )


async def test_an_unknown_method_is_the_callers_mistake() -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander())

    with pytest.raises(InvalidRequest, match=r"nope.*fixed"):
        await _search(parts, expansion=ExpansionOptions(mode=Mode.ON, methods=(MethodShare(name="nope"),)))


async def test_a_page_is_cut_from_the_ranking() -> None:
    result = await _search(pipeline(FixedRetriever(_by_terms)), offset=1, top_k=1)

    assert [(hit.candidate.doc_id, hit.rank) for hit in result.hits] == [("b", 2)]


async def test_the_explanation_names_every_stage() -> None:
    reranker = FixedReranker({"new": 2.0})
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=reranker)

    result = await _search(parts, explain=True)

    tree = result.hits[0].explanation
    assert tree.value == 2.0
    assert tree.description == "rank 1 by logit of fixed-reranker"
    assert tree.details[0].description == "mixture 0.5 of the original query and 1 terms by fixed, rank 2"
    assert result.hits[1].explanation.details[0].details[0].description == "bm25 of the original query, rank 2"


async def test_the_explanation_of_a_fused_score_names_both_lists() -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(default_form=Form.RRF))

    result = await _search(parts, explain=True)

    tree = result.hits[0].explanation
    assert tree.description == "rank 1 by rrf 0.5 with a list of 1 terms by fixed"
    assert [(each.value, each.description) for each in tree.details] == [
        (1.0, "bm25 of the original query, rank 3"),
        (1.0, "rrf 0.5 with a list of 1 terms by fixed, rank 2"),
    ]


async def test_a_defect_in_an_optional_stage_costs_that_stage_only(caplog: pytest.LogCaptureFixture) -> None:
    parts = pipeline(
        FixedRetriever(_by_terms),
        expander=FixedExpander(error=ZeroDivisionError()),
        reranker=FixedReranker(error=KeyError("x")),
    )

    result = await _search(parts)

    assert _ids(result) == ["a", "b", "c"]
    assert [(trace.stage, trace.reason) for trace in result.degraded] == [
        (Stage.EXPAND, Reason.DEFECT),
        (Stage.RERANK, Reason.DEFECT),
    ]
    assert "ZeroDivisionError" in caplog.text


async def test_sorted_by_a_field_expansion_and_reranking_are_off_and_say_so() -> None:
    parts = pipeline(FixedRetriever(_by_terms), expander=FixedExpander(), reranker=FixedReranker({"c": 9}))

    result = await _search(parts, sort=(SortKey(field="updated_at"),))

    assert _ids(result) == ["a", "b", "c"]
    for stage in (Stage.EXPAND, Stage.RERANK):
        assert (_stage(result, stage).status, _stage(result, stage).reason) == (
            StageStatus.SKIPPED,
            Reason.SORTED_BY_FIELD,
        )
    assert result.degraded == ()


@pytest.mark.parametrize(("cursor", "asked"), [(None, 3), ("*", 50)])
async def test_with_everything_off_no_more_is_retrieved_than_is_shown(cursor: str | None, asked: int) -> None:
    retriever = FixedRetriever(_by_terms)

    await _search(pipeline(retriever), expansion=OFF, rerank=NO_RERANK, offset=1, top_k=2, cursor=cursor)

    assert [request.top_k for request in retriever.requests] == [asked]


async def test_facets_are_counted_over_the_original_query_alone() -> None:
    retriever = FixedRetriever(_by_terms)
    facets = (TermsFacet(field="tags"),)

    await _search(pipeline(retriever, expander=FixedExpander()), facets=facets)

    assert [request.facets for request in retriever.requests] == [facets, ()]


async def test_with_a_cursor_the_whole_window_is_kept_in_its_final_order() -> None:
    parts = pipeline(FixedRetriever(_by_terms), reranker=FixedReranker({"c": 9.0, "a": 1.0}))

    result = await _search(parts, expansion=OFF, cursor="*", top_k=1)

    assert _ids(result) == ["c"]
    assert [line.candidate.doc_id for line in result.window] == ["c", "a", "b"]


async def test_two_lists_that_are_collapsed_keep_one_document_of_a_group() -> None:
    def grouped(terms: set[str]) -> Ranking:
        found = _by_terms(terms)
        return replace(found, candidates=tuple(replace(each, group="g") for each in found))

    parts = pipeline(FixedRetriever(grouped), expander=FixedExpander(default_form=Form.RRF))

    result = await _search(parts, rerank=NO_RERANK, collapse="thread")

    assert len(result.hits) == 1


async def test_a_mapping_that_changed_degrades_retrieval_and_keeps_the_expansion() -> None:
    retriever = FixedRetriever(_by_terms, partial="body is gone", partial_reason=Reason.MAPPING_CHANGED)

    result = await _search(pipeline(retriever, expander=FixedExpander()), rerank=NO_RERANK)

    assert _ids(result) == ["b", "new", "a"]
    assert _stage(result, Stage.RETRIEVE).reason is Reason.MAPPING_CHANGED
