from __future__ import annotations

import pytest

from searchsvc.errors import BackendTimeout, Reason
from searchsvc.evaluation.report import report
from searchsvc.evaluation.runner import run_variant
from searchsvc.evaluation.tables import missed_lines
from searchsvc.evaluation.variants import parse_variant
from searchsvc.model import Candidate, ScoreKind
from searchsvc.result import (
    ExpansionAccount,
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


def answer(request, doc_ids, *stages):
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
        expansion=ExpansionAccount(decision="skipped", reason="off"),
        total=Total(value=len(hits)),
        hits=hits,
        stages=stages,
        took_ms=1.0,
    )


async def run(search, written="v:"):
    done = []
    made = await run_variant(
        parse_variant(written), QUERIES, index="i", depth=100, search=search, done=lambda: done.append(1)
    )
    assert len(done) == len(QUERIES)
    return made


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

    (figures,) = report([await run(search)], measures=["RR@10"], qrels=QRELS)

    assert [(each.stage, each.reason, each.queries) for each in figures.missed] == [
        ("expand", "notConfigured", 2),
        ("rerank", "maxWaitExceeded", 1),
    ]
    assert figures.missed_queries == 2
    assert missed_lines([figures])[1] == (
        "[yellow]v: no rerank for 1 of 2 queries: maxWaitExceeded[/] no answer in 5 ms"
    )


async def test_variants_are_compared_with_the_first_query_by_query():
    async def right_once(request):
        return answer(request, ["a"])

    async def right(request):
        return answer(request, ["a" if request.query_id == "q1" else "b"])

    first, second = report(
        [await run(right_once, "x:"), await run(right, "y:rerank=off")], measures=["RR@10"], qrels=QRELS
    )

    assert (first.means, second.means) == ({"RR@10": 0.5}, {"RR@10": 1.0})
    assert first.differences == {}
    assert second.differences["RR@10"].mean == 0.5
    as_json = second.as_json()
    assert as_json["name"] == "y"
    assert as_json["spec"] == "rerank=off"
    assert as_json["differences"]["RR@10"]["harm"] == 0.0
    assert as_json["queries"]["q2"]["RR@10"] == 1.0
    assert set(as_json["took_ms"]) == {"mean", "p50", "p95"}
