from __future__ import annotations

from dataclasses import replace

import pytest

from searchsvc.errors import InvalidRequest, Reason
from searchsvc.evaluation.paced import asks_model, expected, paced
from searchsvc.evaluation.runner import Tokens
from searchsvc.evaluation.variants import parse_variant
from searchsvc.expansion.guard.pacing import BudgetSpent, Pace
from searchsvc.model import SearchRequest, Wait
from searchsvc.result import ExpansionAccount, SearchResult, Stage, StageStatus, StageTrace, Total

QUERIES = {"q1": "disk full", "q2": "空指针异常"}
QUOTA = StageTrace(stage=Stage.EXPAND, status=StageStatus.DEGRADED, reason=Reason.QUOTA_EXCEEDED)


class Model:
    """A search whose expansions ask a model, on a clock that passes only while somebody sleeps."""

    def __init__(self, *, traces=(), cached=(), **limits):
        self.now, self.starts, self.asked = 0.0, [], Tokens()
        self.traces, self.cached = list(traces), list(cached)
        self.pace = Pace(**limits, clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds):
        self.now += seconds

    async def __call__(self, request):
        self.starts.append(self.now)
        known = self.cached.pop(0) if self.cached else False
        self.asked += Tokens() if known else Tokens(calls=1, input=100, output=20)
        trace = StageTrace(stage=Stage.EXPAND, status=StageStatus.OK)
        return SearchResult(
            query_id="q",
            user_query="q",
            expanded_query=None,
            expansion=ExpansionAccount(decision="expanded", reason="on"),
            total=Total(value=0),
            hits=(),
            stages=(self.traces.pop(0) if self.traces else trace,),
            took_ms=1.0,
        )


def request(wait=Wait.COMPLETE):
    asked = SearchRequest(query_id="q", user_query="q")
    return replace(asked, expansion=replace(asked.expansion, wait=wait))


async def test_searches_keep_the_pace_and_their_tokens_count():
    model = Model(rpm=30)
    search = paced(model, model.pace, 500, lambda: model.asked)

    for _ in range(3):
        await search(request())

    assert model.starts == [0, 2, 4]
    assert model.pace.used == 360


async def test_what_is_cached_waits_for_nobody():
    model = Model(rpm=30, cached=[True, True, True])
    search = paced(model, model.pace, 500, lambda: model.asked)

    for _ in range(3):
        await search(request())

    assert model.starts == [0, 0, 0]
    assert model.pace.used == 0


async def test_no_search_begins_that_may_pass_the_tokens_allowed():
    model = Model(max_tokens=700)
    search = paced(model, model.pace, 500, lambda: model.asked)
    await search(request())
    await search(request())

    with pytest.raises(BudgetSpent):
        await search(request())

    assert len(model.starts) == 2


async def test_a_search_that_the_quota_cut_short_is_run_again_later():
    model = Model(traces=[QUOTA, QUOTA])

    found = await paced(model, model.pace, 500, lambda: model.asked)(request())

    assert model.starts == [0, 10, 70]
    assert found.stages[0].status is StageStatus.OK


async def test_a_live_search_is_not_run_again():
    model = Model(traces=[QUOTA])

    found = await paced(model, model.pace, 500, lambda: model.asked)(request(Wait.ANSWER))

    assert (model.starts, found.stages) == ([0], (QUOTA,))


def test_which_variants_ask_the_model():
    def asks(written, *default):
        return asks_model(parse_variant(written), default)

    assert asks("v:expansion=llm")
    assert asks("v:expansion=on", "llm")
    assert not asks("v:expansion=on", "neighbours")
    assert not asks("v:expansion=off", "llm")
    assert not asks("v:expansion=prf", "llm")


def test_variants_with_the_same_prompt_share_their_answers_unless_each_has_its_own():
    variants = [parse_variant("a:expansion=llm"), parse_variant("b:expansion=llm,expansion.weight=0.3")]
    other = parse_variant("c:expansion=llm,expansion.prompt=terms")

    together = expected(variants, QUERIES, default_prompt=None, each_its_own=False)
    alone = expected(variants, QUERIES, default_prompt=None, each_its_own=True)
    both = expected([*variants, other], QUERIES, default_prompt=None, each_its_own=False)

    assert (together.calls, alone.calls, both.calls) == (2, 4, 4)
    assert together.tokens == 2 * together.tokens_a_call > 200
    assert expected([], QUERIES, default_prompt=None, each_its_own=False).tokens == 0
    with pytest.raises(InvalidRequest):
        expected(variants, QUERIES, default_prompt="gone", each_its_own=False)
