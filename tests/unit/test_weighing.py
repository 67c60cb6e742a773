"""How heavily `auto` lets an expansion weigh: a real gain model in a real pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from searchsvc.errors import BackendUnavailable, Reason
from searchsvc.model import Deadline, ExpansionOptions, Form, MethodShare, Mode, Ranking, SearchRequest
from searchsvc.pipeline import Pipeline
from searchsvc.policy.model import KIND, GainModel
from searchsvc.result import SearchResult, Stage, StageStatus
from searchsvc.text import ANALYSIS_VERSION
from tests.support.parts import FixedExpander, FixedReranker, FixedRetriever, pipeline, ranking
from tests.support.token_sets import TokenSets

DOCUMENTS = [frozenset({"slow", "net"})] * 5 + [frozenset({"extra"})] * 15
WEIGHTS = (0.3, 0.5, 0.7)


def _lines(gains: tuple[float, ...], feature: str = "agreement"):
    return {
        "features": {feature: {"mean": 0.5, "scale": 1.0}},
        "gain": [{"mean": gain, "coefficients": {feature: 0.0}} for gain in gains],
        "harm": [{"mean": 0.0, "coefficients": {feature: 0.0}} for _ in gains],
    }


def _model(*gains: float, reranked=None) -> GainModel:
    """Expects these gains of the WEIGHTS, whatever the search is like."""
    return GainModel.from_json(
        {
            "kind": KIND,
            "format": 1,
            "analysis": ANALYSIS_VERSION,
            "weights": list(WEIGHTS),
            "risk": 1.0,
            "retrieval": _lines(gains),
            "reranked": reranked,
        }
    )


HEAVIEST, AS_IT_IS, NOT_AT_ALL = _model(0.1, 0.2, 0.3), _model(0.1, 0.3, 0.2), _model(-0.1, -0.2, -0.3)


def _by_terms(terms: set[str]) -> Ranking:
    if "slow" not in terms:
        return ranking("18", "2")
    return ranking("1", "17", "0") if "extra" in terms else ranking("0", "1", "2")


def _parts(model: GainModel | None, retriever: FixedRetriever | None = None, **given) -> Pipeline:
    given = {"expander": FixedExpander(method="llm"), "statistics": TokenSets(DOCUMENTS)} | given
    return replace(pipeline(retriever or FixedRetriever(_by_terms), **given), policy=model)


async def _search(parts: Pipeline, mode: Mode = Mode.AUTO, **options) -> SearchResult:
    request = SearchRequest(
        query_id="q", user_query="slow net", expansion=ExpansionOptions(mode=mode, **options), explain=True
    )
    return await parts.search(request, Deadline.after_ms(2000))


def _ids(result: SearchResult) -> list[str]:
    return [hit.candidate.doc_id for hit in result.hits]


def _stage(result: SearchResult, stage: Stage):
    return next(trace for trace in result.stages if trace.stage is stage)


def _added(retriever: FixedRetriever) -> list[float]:
    """What the added word weighed in each search that had it."""
    return [term.weight for query in retriever.asked for term in query.terms if term.term == "extra"]


async def test_an_expansion_that_is_not_worth_it_leaves_the_query_and_says_why() -> None:
    result = await _search(_parts(NOT_AT_ALL))

    assert _ids(result) == ["0", "1", "2"]
    assert (result.expansion.decision, result.expanded_query) == ("skipped", None)
    assert result.expansion.reason.startswith("left as it is: even weight 0.3 is not worth it")
    assert (result.expansion.form, result.expansion.weight, result.expansion.explanation) == (None, None, "")
    assert [term.term for term in result.expansion.terms] == ["extra"]
    assert result.expansion.policy["weight"] == 0
    assert result.degraded == ()


async def test_the_order_is_then_that_of_off() -> None:
    off = await _search(_parts(NOT_AT_ALL), Mode.OFF)

    result = await _search(_parts(NOT_AT_ALL))

    assert result.hits == off.hits


async def test_another_weight_is_searched_for() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_parts(HEAVIEST, retriever))

    assert _added(retriever) == pytest.approx([2 * 0.5, 2 * 0.7])
    assert (result.expansion.decision, result.expansion.weight) == ("expanded", 0.7)
    assert result.expansion.reason.startswith("weight 0.7: expected +0.300 nDCG@10")
    assert result.expansion.explanation == "mixture 0.7 of the original query and 1 terms by llm"
    assert [term.weight for term in result.expansion.terms] == pytest.approx([2 * 0.7])
    assert _ids(result) == ["1", "17", "0"]


async def test_the_weight_that_was_searched_with_is_not_searched_again() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_parts(AS_IT_IS, retriever))

    assert _added(retriever) == pytest.approx([2 * 0.5])
    assert (result.expansion.decision, result.expansion.weight) == ("expanded", 0.5)


async def test_a_weight_that_the_request_names_stays_and_the_model_decides_whether() -> None:
    retriever = FixedRetriever(_by_terms)

    kept = await _search(_parts(HEAVIEST, retriever), weight=0.25)
    left = await _search(_parts(NOT_AT_ALL), weight=0.25)

    assert _added(retriever) == pytest.approx([2 * 0.25])
    assert (kept.expansion.weight, left.expansion.decision) == (0.25, "skipped")


async def test_what_the_model_went_by_is_told() -> None:
    result = await _search(_parts(HEAVIEST))

    policy = result.expansion.policy
    assert (policy["weight"], policy["gain"], policy["harm_chance"]) == (0.7, 0.3, 0.0)
    assert policy["features"]["overlap_10"] == pytest.approx(2 / 3, abs=1e-4)
    assert not any(name.startswith("rerank") for name in policy["features"])


async def test_a_weight_whose_search_fails_gives_the_order_of_off() -> None:
    searches = []

    def third_fails(terms: set[str]) -> Ranking:
        searches.append(terms)
        if len(searches) > 2:
            raise BackendUnavailable("gone")
        return _by_terms(terms)

    result = await _search(_parts(HEAVIEST, FixedRetriever(third_fails)))

    assert _ids(result) == ["0", "1", "2"]
    assert (result.expansion.decision, result.expansion.reason) == ("degraded", Reason.TRANSIENT)
    assert [trace.stage for trace in result.degraded] == [Stage.RETRIEVE_EXPANDED]


def _with_a_list(model: GainModel, retriever: FixedRetriever) -> Pipeline:
    other = FixedExpander(("more",), method="other", default_form=Form.ZSCORE)
    return _parts(model, retriever, others=[other])


BOTH = (MethodShare(name="llm"), MethodShare(name="other"))


async def test_lists_stay_where_the_mixture_is_not_worth_it() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_with_a_list(NOT_AT_ALL, retriever), methods=BOTH)

    assert set(_ids(result)) == {"0", "1", "2", "18"}
    assert (result.expansion.decision, result.expansion.form) == ("expanded", Form.ZSCORE)
    assert result.expansion.explanation == "zscore 0.5 with a list of 1 terms by other"
    assert result.expanded_query == "slow net more"
    assert [term.term for term in result.expansion.terms] == ["extra", "more"]


async def test_lists_stay_beside_a_mixture_of_another_weight() -> None:
    retriever = FixedRetriever(_by_terms)

    result = await _search(_with_a_list(HEAVIEST, retriever), methods=BOTH)

    assert set(_ids(result)) == {"0", "1", "17", "2", "18"}
    assert result.expansion.explanation == (
        "mixture 0.7 of the original query and 1 terms by llm; zscore 0.5 with a list of 1 terms by other"
    )


async def test_a_list_is_not_searched_again_for_another_weight_of_the_mixture() -> None:
    retriever = FixedRetriever(_by_terms)

    await _search(_with_a_list(HEAVIEST, retriever), methods=BOTH)

    assert sum({term.term for term in query.terms} == {"more"} for query in retriever.asked) == 1


@pytest.mark.parametrize(
    ("model", "would"), [(HEAVIEST, "it would be expanded, weight 0.7"), (NOT_AT_ALL, "it would be left as it is")]
)
async def test_shadow_tells_what_the_model_says_and_answers_as_off(model: GainModel, would: str) -> None:
    off = await _search(_parts(model), Mode.OFF)

    result = await _search(_parts(model), Mode.SHADOW)

    assert result.hits == off.hits
    assert (result.expansion.decision, result.expanded_query) == ("skipped", None)
    assert result.expansion.reason.startswith(f"shadow: {would}")
    assert result.expansion.policy["weight"] in (0, 0.7)


class _Uncounted(TokenSets):
    async def document_frequencies(self, terms, *, deadline, caller=None):
        raise BackendUnavailable("no counts")


@pytest.mark.parametrize("statistics", [None, _Uncounted(DOCUMENTS)], ids=["none", "failing"])
async def test_without_counts_an_expansion_is_used_as_it_is(statistics: TokenSets | None) -> None:
    result = await _search(_parts(NOT_AT_ALL, statistics=statistics))

    assert _ids(result) == ["1", "17", "0"]
    assert (result.expansion.decision, result.expansion.weight, result.expansion.policy) == ("expanded", 0.5, {})
    assert _stage(result, Stage.EXPAND).status is StageStatus.OK


async def test_of_another_method_alone_the_model_says_nothing() -> None:
    result = await _search(_parts(NOT_AT_ALL, expander=FixedExpander(method="dictionary")))

    assert (result.expansion.decision, result.expansion.policy) == ("expanded", {})


async def test_of_another_method_in_the_mixture_of_a_chat_model_it_decides_too() -> None:
    parts = _parts(NOT_AT_ALL, others=[FixedExpander(("net",), method="dictionary")])

    result = await _search(parts, methods=(MethodShare(name="llm"), MethodShare(name="dictionary")))

    assert result.expansion.decision == "skipped"


async def test_another_form_than_the_mixture_is_not_weighed() -> None:
    result = await _search(_parts(NOT_AT_ALL), form=Form.CONCAT)

    assert (result.expansion.decision, result.expansion.policy) == ("expanded", {})


async def test_on_asks_no_model_and_counts_nothing_for_it() -> None:
    statistics = TokenSets(DOCUMENTS)

    result = await _search(_parts(NOT_AT_ALL, statistics=statistics), Mode.ON)

    assert (result.expansion.decision, result.expansion.policy, statistics.counted) == ("expanded", {}, [])


async def test_what_a_reranker_said_of_the_first_pass_is_evidence() -> None:
    model = _model(-0.1, -0.2, -0.3, reranked=_lines((0.1, 0.3, 0.2), "rerank_best"))
    many = FixedRetriever(lambda _terms: ranking(*(str(place) for place in range(12))))
    reranker = FixedReranker({str(place): place / 10 for place in range(12)})

    seen = await _search(_parts(model, many, reranker=reranker))
    unseen = await _search(_parts(model, many))

    assert (seen.expansion.decision, seen.expansion.weight) == ("expanded", 0.5)
    assert seen.expansion.policy["features"]["rerank_best"] > 0
    assert unseen.expansion.decision == "skipped"
