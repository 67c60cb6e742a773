"""The account of one search while it runs: every stage timed, errors of optional ones kept, decisions noted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar, cast

from searchsvc.errors import BackendTimeout, Defect, Reason, SearchError, StageError
from searchsvc.forms import ComposedQuery
from searchsvc.model import Deadline, Form, SearchRequest
from searchsvc.policy.rules import Decision
from searchsvc.protocols import Expander, ExpandRequest
from searchsvc.result import (
    Decided,
    Expansion,
    ExpansionAccount,
    ModelCall,
    Reranking,
    Retrieval,
    Stage,
    StageStatus,
    StageTrace,
)

_log = logging.getLogger(__name__)
_NO_TERM = "no term of the expansion is in the index"
_Outcome = TypeVar("_Outcome", Retrieval, Reranking)


class Account:
    """Collects one StageTrace per stage; only the pipeline writes to it."""

    def __init__(self, request: SearchRequest, deadline: Deadline) -> None:
        self.request = request
        self.deadline = deadline
        self._started = time.perf_counter()
        self._traces: dict[Stage, StageTrace] = {}
        self._decision = Decision(False, "")
        self._method: str | None = None
        self._composed: ComposedQuery | None = None
        self.form: Form | None = None
        self.weight = 1.0
        """λ of the composed query."""
        self.label = ""
        """The composed query, in words."""

    def took_ms(self) -> float:
        """Milliseconds since the search began."""
        return _ms_since(self._started)

    def stages(self) -> tuple[StageTrace, ...]:
        """The traces in the order of the stages."""
        return tuple(self._traces[stage] for stage in Stage if stage in self._traces)

    def skip(self, stage: Stage, reason: Reason, message: str = "") -> None:
        """The stage was not meant to run."""
        self._traces[stage] = StageTrace(stage=stage, status=StageStatus.SKIPPED, reason=reason, message=message)

    def skip_expansion(self, reason: Reason, decision: Decision) -> None:
        """The query is left as it is."""
        self._decision = decision
        self.skip(Stage.EXPAND, reason, decision.reason)

    def decide(self, decision: Decision, method: str) -> None:
        """The query is to be expanded by `method`."""
        self._decision, self._method = decision, method

    async def required(self, stage: Stage, work: Awaitable[Retrieval]) -> Retrieval:
        """Run a stage without which there is no answer. Raises StageError."""
        started = time.perf_counter()
        outcome = await _within(work, self.deadline, stage)
        self._done(stage, started, outcome)
        return outcome

    async def optional(self, stage: Stage, work: Awaitable[_Outcome], deadline: Deadline) -> _Outcome | None:
        """Run a stage that may fail: then None, and the trace says degraded and why."""
        started = time.perf_counter()
        try:
            outcome = await _sound(_within(work, deadline, stage), stage)
        except StageError as error:
            self._degrade(stage, started, error)
            return None
        self._done(stage, started, outcome)
        return outcome

    def start_expansion(self, expander: Expander, wanted: ExpandRequest) -> asyncio.Task[Expansion | None]:
        """Run the expansion beside whatever comes next; its task never raises StageError."""
        return asyncio.create_task(self._expand(expander, wanted))

    async def _expand(self, expander: Expander, wanted: ExpandRequest) -> Expansion | None:
        started = time.perf_counter()
        try:
            expansion = await _sound(_within(expander.expand(wanted), wanted.deadline, Stage.EXPAND), Stage.EXPAND)
        except StageError as error:
            self._degrade(Stage.EXPAND, started, error)
            return None
        detail = {
            "method": expansion.method,
            "proposed": len(expansion.terms),
            **({"prompt": expansion.prompt_id} if expansion.prompt_id else {}),
            **({"calls": [_call(call) for call in expansion.calls]} if expansion.calls else {}),
        }
        self._trace(Stage.EXPAND, started, detail)
        return expansion

    def composed(self, expansion: Expansion, composed: ComposedQuery, *, form: Form, weight: float) -> None:
        """The expansion joined the query."""
        self.form, self.weight, self._composed = form, weight, composed
        kept = sum(term.kept for term in composed.terms)
        by = ", ".join(dict.fromkeys(call.model for call in expansion.calls)) or expansion.method
        share = "" if form in (Form.KEYWORDS, Form.CONCAT) else f" {weight:g}"
        self.label = f"{form}{share} of the original query and {kept} terms by {by}"

    def expansion_account(self) -> ExpansionAccount:
        """What was decided about expansion and what came of it."""
        trace = self._traces.get(Stage.EXPAND)
        terms = () if self._composed is None else self._composed.terms
        if failed := [each for each in (trace, self._traces.get(Stage.RETRIEVE_EXPANDED)) if _is_degraded(each)]:
            decision, reason = "degraded", str(cast("StageTrace", failed[0]).reason)
        elif any(term.kept for term in terms):
            decision, reason = "expanded", self._decision.reason
        else:
            decision, reason = "skipped", self._decision.reason if trace is None or trace.reason else _NO_TERM
        return ExpansionAccount(
            decision=cast("Decided", decision),
            reason=reason,
            method=self._method,
            form=self.form,
            explanation=self.label,
            terms=terms,
        )

    def _done(self, stage: Stage, started: float, outcome: Retrieval | Reranking) -> None:
        if isinstance(outcome, Reranking):
            self._trace(stage, started, {"model": outcome.model, "scored": len(outcome.scores), **outcome.detail})
            return
        detail = {"candidates": len(outcome.ranking), **outcome.detail}
        if not outcome.partial:
            self._trace(stage, started, detail)
            return
        self._traces[stage] = StageTrace(
            stage=stage,
            status=StageStatus.DEGRADED,
            reason=outcome.partial_reason,
            message=outcome.partial,
            took_ms=_ms_since(started),
            detail=detail,
        )

    def _trace(self, stage: Stage, started: float, detail: Mapping[str, Any]) -> None:
        self._traces[stage] = StageTrace(stage=stage, status=StageStatus.OK, took_ms=_ms_since(started), detail=detail)

    def _degrade(self, stage: Stage, started: float, error: StageError) -> None:
        self._traces[stage] = StageTrace(
            stage=stage,
            status=StageStatus.DEGRADED,
            reason=error.reason,
            message=str(error),
            took_ms=_ms_since(started),
        )


def _is_degraded(trace: StageTrace | None) -> bool:
    return trace is not None and trace.status is StageStatus.DEGRADED


_Value = TypeVar("_Value")


async def _within(work: Awaitable[_Value], deadline: Deadline, stage: Stage) -> _Value:
    """`work`, or BackendTimeout at the deadline: the adapter's own bound is the first, this the last."""
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await work
    except TimeoutError as error:
        raise BackendTimeout(f"The stage {stage} did not end within its share of the deadline.") from error


async def _sound(work: Awaitable[_Value], stage: Stage) -> _Value:
    """`work`; a bug in an optional stage costs that stage and not the search, and is logged whole."""
    try:
        return await work
    except SearchError:
        raise
    except Exception as error:
        _log.exception("defect in stage %s", stage)
        raise Defect(f"The stage {stage} failed by a defect of this service; its log says how.") from error


def _call(call: ModelCall) -> dict[str, Any]:
    return {
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "took_ms": call.took_ms,
    }


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
