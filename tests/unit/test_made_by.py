"""What the commands say of the models behind a result."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.cli.common import MadeBy
from searchsvc.errors import Reason
from searchsvc.model import SearchRequest
from searchsvc.result import ExpansionAccount, SearchResult, Stage, StageStatus, StageTrace, Total

GPU = {"kind": "server", "url": "http://gpu:8000", "model": None}
NAMED = {**GPU, "model": "configured"}
OWN = {"kind": "embedded", "model": "own"}


def ran(stage: Stage, **detail: Any) -> StageTrace:
    return StageTrace(stage=stage, status=StageStatus.OK, detail=detail)


def called(*models: str) -> StageTrace:
    return ran(Stage.EXPAND, method="llm", calls=[{"model": model} for model in models])


def reranked(model: str) -> StageTrace:
    return ran(Stage.RERANK, model=model)


NEAR = ran(Stage.EXPAND, method="neighbours")
FAILED = StageTrace(stage=Stage.RERANK, status=StageStatus.DEGRADED, reason=Reason.TRANSIENT)


async def made_by(expander: dict[str, Any] | None, reranker: dict[str, Any] | None, *traces: StageTrace) -> MadeBy:
    """After one search for each of the traces."""
    made = MadeBy({"expander": expander, "reranker": reranker, "engine": "any"})
    for trace in traces:

        async def search(request: SearchRequest, trace: StageTrace = trace) -> SearchResult:
            return SearchResult(
                query_id=request.query_id,
                user_query=request.user_query,
                expanded_query=None,
                expansion=ExpansionAccount(decision="skipped", reason="off"),
                total=Total(value=0),
                hits=(),
                stages=(trace,),
                took_ms=1.0,
            )

        answer = await made.heard(search)(SearchRequest(query_id="q", user_query="words", index="i"))
        assert answer.stages == (trace,)
    return made


async def test_without_a_configured_name_it_is_the_name_that_the_server_answered() -> None:
    made = await made_by(GPU, GPU, called("chat"), reranked("ranker"))

    assert made.as_json() == {"expander": {**GPU, "model": "chat"}, "reranker": {**GPU, "model": "ranker"}}
    assert made.words() == "expander chat at http://gpu:8000, reranker ranker at http://gpu:8000"


async def test_the_answered_name_counts_more_than_the_configured_one() -> None:
    made = await made_by(NAMED, NAMED, called("chat"), reranked("ranker"))

    assert made.words() == "expander chat at http://gpu:8000, reranker ranker at http://gpu:8000"


async def test_several_models_are_all_named_once() -> None:
    made = await made_by(GPU, GPU, called("a", "b"), reranked("x"), called("a"), reranked("y"), reranked("x"))

    assert made.words() == "expander a, b at http://gpu:8000, reranker x, y at http://gpu:8000"


@pytest.mark.parametrize(("configured", "words"), [(GPU, "server"), (NAMED, "configured")])
async def test_where_no_model_answered_it_is_what_was_configured(configured: dict[str, Any], words: str) -> None:
    made = await made_by(configured, configured, FAILED, reranked(""))

    assert made.as_json() == {"expander": configured, "reranker": configured}
    assert made.words() == f"expander {words} at http://gpu:8000, reranker {words} at http://gpu:8000"


async def test_what_is_embedded_and_what_is_not_there_is_said() -> None:
    assert (await made_by(OWN, OWN)).words() == "expander own (embedded), reranker own (embedded)"
    assert (await made_by(None, None)).words() == "expander none, reranker none"
    assert (await made_by(None, None)).as_json() == {"expander": None, "reranker": None}


async def test_another_method_than_that_of_the_server_is_not_laid_at_its_door() -> None:
    made = await made_by(GPU, None, NEAR)
    assert made.as_json()["expander"] == {"kind": "embedded", "model": "neighbours"}

    made = await made_by(GPU, None, called("chat"), NEAR)
    assert made.words() == "expander neighbours (embedded), chat at http://gpu:8000, reranker none"


async def test_of_a_replay_it_is_the_run_that_was_recorded() -> None:
    replayed = ran(Stage.EXPAND, method="recorded", run="mugi/openai/gpt-4.1", recorded={"model": "openai/gpt-4.1"})

    made = await made_by(None, OWN, replayed)

    assert made.as_json()["expander"] == {"kind": "recorded", "model": "mugi/openai/gpt-4.1"}
    assert made.words().startswith("expander mugi/openai/gpt-4.1 (recorded), ")


async def test_a_replay_beside_other_methods_is_named_beside_them() -> None:
    several = ran(
        Stage.EXPAND,
        method="prf+recorded",
        methods=[{"method": "prf"}, {"method": "recorded", "run": "llm/qwen", "recorded": {}}],
    )

    made = await made_by(GPU, OWN, several, NEAR, called("chat"))

    assert made.words().startswith(
        "expander prf (embedded), neighbours (embedded), llm/qwen (recorded), chat at http://gpu:8000, "
    )


@pytest.mark.parametrize("method", ["llm", "recorded"])
async def test_a_method_that_failed_has_made_nothing(method: str) -> None:
    failed = StageTrace(
        stage=Stage.EXPAND, status=StageStatus.DEGRADED, reason=Reason.TRANSIENT, detail={"method": method}
    )

    assert (await made_by(NAMED, OWN, failed)).as_json()["expander"] == NAMED


async def test_a_model_whose_answer_was_cached_is_named_too() -> None:
    made = await made_by(GPU, OWN, ran(Stage.EXPAND, method="llm", completion="cache", model="chat"))

    assert made.as_json()["expander"] == {**GPU, "model": "chat"}
