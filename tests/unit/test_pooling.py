from __future__ import annotations

import pytest

from searchsvc.errors import BackendTimeout, Reason, StageError, UnknownIndex
from searchsvc.evaluation.judging import Pair, blind_order
from searchsvc.evaluation.pooling import pool
from searchsvc.evaluation.variants import parse_variants
from searchsvc.model import Candidate
from searchsvc.result import Stage, StageStatus, StageTrace


class Found:
    """A search that knows what each variant finds; a result is as much of one as pooling reads."""

    def __init__(self, hits, traces=(), fails=()):
        self.hits, self.traces, self.fails, self.requests = hits, dict(traces), fails, []

    async def __call__(self, request):
        self.requests.append(request)
        if request.query_id in self.fails:
            raise self.fails[request.query_id]
        name = "off" if request.rerank.mode == "off" else "on"
        doc_ids = self.hits.get((request.query_id, name), ())
        return Answer([Hit(Candidate(doc_id=d, score=1.0, source={"title": d, "text": "t"})) for d in doc_ids],
                      self.traces.get(name, ()))  # fmt: skip


class Answer:
    def __init__(self, hits, stages):
        self.hits, self.stages = hits, stages


class Hit:
    def __init__(self, candidate):
        self.candidate = candidate


VARIANTS = parse_variants(["a:rerank=off", "b:rerank=on"])


async def pooled(search, queries=("q1", "q2")):
    done = []
    made = await pool(
        {query_id: f"text {query_id}" for query_id in queries},
        VARIANTS,
        index="articles",
        search=search,
        done=lambda: done.append(1),
    )
    assert len(done) == len(queries)
    return made


class TestPool:
    async def test_each_document_of_any_variant_is_in_it_once(self):
        search = Found({("q1", "off"): ["x", "y"], ("q1", "on"): ["y", "z"], ("q2", "on"): ["x"]})

        made = await pooled(search)

        assert [pair.key for pair in made.pairs] == [*(("q1", d) for d in blind_order("q1", "xyz")), ("q2", "x")]
        assert {(request.index, request.top_k) for request in search.requests} == {("articles", 10)}
        assert made.pairs[-1] == Pair(
            query_id="q2", doc_id="x", user_query="text q2", title="x", text="t", passage="x\nt"
        )

    async def test_a_query_that_one_search_failed_for_is_left_out_and_told(self):
        failure = BackendTimeout("too slow")

        made = await pooled(Found({("q2", "on"): ["x"]}, fails={"q1": failure}))

        assert [pair.key for pair in made.pairs] == [("q2", "x")]
        assert made.failed == {"q1": failure}
        assert made.empty == ()

    async def test_if_every_query_fails_that_is_the_error(self):
        with pytest.raises(StageError, match="too slow"):
            await pooled(Found({}, fails=dict.fromkeys(("q1", "q2"), BackendTimeout("too slow"))))

    async def test_what_no_search_can_mend_ends_it(self):
        with pytest.raises(UnknownIndex):
            await pooled(Found({}, fails={"q1": UnknownIndex("there is none")}))

    @pytest.mark.parametrize("missing", [Reason.TRANSIENT, Reason.NOT_CONFIGURED])
    async def test_what_is_missing_is_counted(self, missing):
        off, on = (
            StageTrace(stage=Stage.RERANK, status=status, reason=reason)
            for status, reason in (
                (StageStatus.SKIPPED, Reason.SWITCHED_OFF),
                (StageStatus.SKIPPED if missing is Reason.NOT_CONFIGURED else StageStatus.DEGRADED, missing),
            )
        )
        found = {("q1", "off"): ["x", "a\tb"], ("q1", "on"): ["x"]}
        search = Found(found, traces={"off": (off,), "on": (on,)})

        made = await pooled(search)

        assert [pair.doc_id for pair in made.pairs] == ["x"]
        assert made.unwritable == 1
        assert made.empty == ("q2",)
        assert made.degraded == {"a": 0, "b": 2}
