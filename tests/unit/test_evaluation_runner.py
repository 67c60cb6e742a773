from __future__ import annotations

import asyncio

import pytest

from searchsvc.errors import BackendTimeout, Reason
from searchsvc.evaluation.report import report
from searchsvc.evaluation.runner import Outcomes, Tokens, Way, run_queries, timed
from searchsvc.evaluation.tables import late_lines, missed_lines
from searchsvc.evaluation.variants import parse_variant
from searchsvc.model import Candidate, ScoreKind
from searchsvc.result import (
    ExpansionAccount,
    ExpansionTerm,
    RankedCandidate,
    SearchResult,
    Stage,
    StageStatus,
    StageTrace,
    Total,
)

QUERIES = {"q1": "one", "q2": "two"}
QRELS = {"q1": {"a": 1}, "q2": {"b": 1}}
DEGRADED = StageTrace(
    stage=Stage.RERANK, status=StageStatus.DEGRADED, reason=Reason.MAX_WAIT_EXCEEDED, message="no answer in 5 ms"
)
UNCONFIGURED = StageTrace(stage=Stage.EXPAND, status=StageStatus.SKIPPED, reason=Reason.NOT_CONFIGURED)
SWITCHED_OFF = StageTrace(stage=Stage.RERANK, status=StageStatus.SKIPPED, reason=Reason.SWITCHED_OFF)
FINE = StageTrace(stage=Stage.RETRIEVE, status=StageStatus.OK)


PENDING = StageTrace(stage=Stage.EXPAND, status=StageStatus.PENDING, reason=Reason.EXPANSION_LATE)
OFF = ExpansionAccount(decision="skipped", reason="off")
LATE = ExpansionAccount(decision="pending", reason="expansionLate", method="llm")


def expanded_by(*weights):
    terms = tuple(
        ExpansionTerm(
            term=term,
            frequency=1,
            df=1,
            source="llm",
            source_text=term,
            surface=surface,
            weight=weight,
            kept=weight > 0,
        )
        for term, surface, weight in weights
    )
    return ExpansionAccount(decision="expanded", reason="on", method="llm", terms=terms)


def answer(request, doc_ids, *stages, expansion=OFF):
    hits = tuple(
        RankedCandidate(
            candidate=Candidate(doc_id=doc_id, score=1.0),
            rank=rank,
            score=1.0,
            score_kind=ScoreKind.BM25,
            retrieval=None,
            rerank=None,
        )
        for rank, doc_id in enumerate(doc_ids, 1)
    )
    return SearchResult(
        query_id=request.query_id,
        user_query=request.user_query,
        expanded_query=None,
        expansion=expansion,
        total=Total(value=len(hits)),
        hits=hits,
        stages=stages,
        took_ms=1.0,
    )


async def run_both(searches, written):
    done = []
    outcomes = Outcomes([parse_variant(each) for each in written])
    ways = [Way(search=search) for search in searches]
    await run_queries(outcomes, QUERIES, index="i", depth=100, ways=ways, done=lambda: done.append(1))
    assert len(done) == len(QUERIES)
    return outcomes.runs()


async def run(search, written="v:"):
    (made,) = await run_both([search], [written])
    return made


def reported(runs):
    return report(runs, measures=["RR@10"], qrels=QRELS, texts=QUERIES)


async def test_every_query_is_searched_as_the_variant_says():
    asked = []

    async def search(request):
        asked.append(request)
        return answer(request, ["a", "b"], FINE, SWITCHED_OFF)

    made = await run(search, "v:rerank=off")

    assert [(each.query_id, each.user_query, each.index, each.top_k) for each in asked] == [
        ("q1", "one", "i", 100),
        ("q2", "two", "i", 100),
    ]
    assert made.rankings == {"q1": ("a", "b"), "q2": ("a", "b")}
    assert made.missed == {}
    assert all(took_ms >= 0 for took_ms in made.took_ms.values())


async def test_a_search_without_an_answer_ends_the_evaluation():
    async def search(request):
        raise BackendTimeout("no answer")

    with pytest.raises(BackendTimeout):
        await run(search)


async def test_stages_that_queries_did_without_are_counted_and_named():
    async def search(request):
        stages = (UNCONFIGURED, DEGRADED) if request.query_id == "q1" else (UNCONFIGURED, FINE)
        return answer(request, ["a"], *stages)

    (figures,) = reported([await run(search)])

    assert [(each.stage, each.reason, each.queries) for each in figures.missed] == [
        ("expand", "notConfigured", 2),
        ("rerank", "maxWaitExceeded", 1),
    ]
    assert figures.missed_queries == 2
    assert missed_lines([figures])[1] == (
        "[yellow]v: no rerank for 1 of 2 queries: maxWaitExceeded[/] no answer in 5 ms"
    )


async def right_once(request):
    return answer(request, ["a"])


async def right(request):
    return answer(
        request, ["a" if request.query_id == "q1" else "b"], expansion=expanded_by(("w", "", 1.0), ("x", "X", 2.0))
    )


async def test_variants_are_compared_with_the_first_query_by_query():
    first, second = reported(await run_both([right_once, right], ["x:", "y:rerank=off"]))

    assert (first.means, second.means) == ({"RR@10": 0.5}, {"RR@10": 1.0})
    assert first.differences == {}
    assert second.differences["RR@10"].mean == 0.5
    as_json = second.as_json()
    assert as_json["name"] == "y"
    assert as_json["spec"] == "rerank=off"
    assert as_json["differences"]["RR@10"]["harm"] == 0.0
    assert as_json["queries"]["q2"]["RR@10"] == 1.0
    assert set(as_json["took_ms"]) == {"mean", "p50", "p95"}
    assert first.as_json()["vs_baseline"] is None
    against = as_json["vs_baseline"]
    assert {key: against[key] for key in ("measure", "diff", "wins", "ties", "losses", "harm_rate")} == {
        "measure": "RR@10",
        "diff": 0.5,
        "wins": 1,
        "ties": 1,
        "losses": 0,
        "harm_rate": 0.0,
    }
    assert against["ci95"][0] <= 0.5 <= against["ci95"][1]
    assert 0 < against["p"] <= 1


async def test_the_queries_that_gain_and_lose_most_are_named_with_what_expanded_them():
    _, second = reported(await run_both([right_once, right], ["x:", "y:"]))
    _, back = reported(await run_both([right, right_once], ["x:", "y:"]))

    (best,) = second.best
    assert (best.query_id, best.query, best.gain, best.before, best.after) == ("q2", "two", 1.0, 0.0, 1.0)
    assert (best.expansion, best.method, best.terms) == ("expanded", "llm", ("X", "w"))
    assert second.worst == ()
    (worst,) = back.worst
    assert (worst.query_id, worst.gain, worst.expansion, worst.terms) == ("q2", -1.0, "skipped", ())


async def test_a_query_is_searched_by_all_variants_before_the_next_and_who_is_first_goes_round():
    asked = []

    def noting(name):
        async def search(request):
            asked.append((name, request.query_id))
            return answer(request, ["a"])

        return search

    await run_both([noting("x"), noting("y")], ["x:", "y:"])

    assert asked == [("x", "q1"), ("y", "q1"), ("y", "q2"), ("x", "q2")]


async def test_when_it_is_interrupted_what_all_variants_have_answered_is_there():
    async def one_only(request):
        if request.query_id == "q2":
            raise KeyboardInterrupt
        return answer(request, ["a"])

    outcomes = Outcomes([parse_variant("x:"), parse_variant("y:")])
    ways = [Way(search=right), Way(search=one_only)]
    with pytest.raises(KeyboardInterrupt):
        await run_queries(outcomes, QUERIES, index="i", depth=100, ways=ways, done=lambda: None)

    assert [list(each.rankings) for each in outcomes.runs()] == [["q1"], ["q1"]]
    assert ("q1" in outcomes, "q2" in outcomes) == (True, False)


async def test_an_expansion_that_is_late_is_no_fault_and_does_not_count_as_expanded():
    async def search(request):
        if request.query_id == "q1":
            return answer(request, ["a"], PENDING, expansion=LATE)
        return await right(request)

    (figures,) = reported([await run(search)])

    assert (figures.missed, figures.missed_queries) == ((), 0)
    assert figures.expanded_share == 0.5
    assert figures.decisions() == {"expanded": 1, "skipped": 0, "pending": 1, "degraded": 0}
    assert figures.as_json()["expanded_share"] == 0.5
    assert late_lines([figures]) == [
        "v: the expansions of 1 of 2 queries came too late: those were searched as they are"
    ]


async def test_the_tokens_of_an_expansion_that_degraded_count():
    calls = {"calls": [{"model": "m", "input_tokens": 12, "output_tokens": 3, "took_ms": 5.0}]}
    failed = StageTrace(stage=Stage.EXPAND, status=StageStatus.DEGRADED, reason=Reason.BAD_MODEL_OUTPUT, detail=calls)

    async def search(request):
        return answer(request, ["a"], failed)

    (figures,) = reported([await run(search)])

    assert figures.all_tokens == Tokens(calls=2, input=24, output=6)
    assert figures.as_json()["tokens"]["input"] == 24


async def test_calls_that_no_search_tells_of_are_metered():
    asked = Tokens()

    async def search(request):
        nonlocal asked
        asked += Tokens(calls=1, input=12, output=3)
        return answer(request, ["a"], PENDING, expansion=LATE)

    outcomes = Outcomes([parse_variant("v:")])
    await run_queries(
        outcomes, QUERIES, index="i", depth=100, ways=[Way(search=search, meter=lambda: asked)], done=lambda: None
    )

    (figures,) = reported(outcomes.runs())
    assert figures.all_tokens == Tokens(calls=2, input=24, output=6)


async def test_the_time_is_that_which_the_caller_waited():
    async def search(request):
        await asyncio.sleep(0.02)
        return answer(request, ["a"])

    made = await run(timed(search))

    assert all(took_ms >= 15 for took_ms in made.took_ms.values())
