"""The account of one search while it runs: every stage timed, errors of optional ones kept, decisions noted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from searchsvc.errors import BackendTimeout, Defect, Reason, SearchError, StageError
from searchsvc.expanding import Outcome
from searchsvc.joining import Joined
from searchsvc.model import Deadline, SearchRequest
from searchsvc.policy.rules import Decision
from searchsvc.result import (
    Decided,
    Expansion,
    ExpansionAccount,
    ExpansionTerm,
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


class ExpansionNotes:
    """What was decided about the expansion of one search, and what it came to."""

    def __init__(self) -> None:
        self.decision = Decision(False, "")
        self.methods: tuple[str, ...] = ()
        """Those that expand."""
        self.absent: Mapping[str, str] = {}
        """Those that were named and that this index lacks, each with why."""
        self.policy: Mapping[str, Any] = {}
        """What `auto` went by."""
        self.joined: Joined | None = None
        """How the expansions join the query, whether or not it was searched for."""
        self.expansions: tuple[Expansion, ...] = ()
        """What arrived."""
        self._terms: tuple[ExpansionTerm, ...] = ()

    def join(self, joined: Joined) -> None:
        """The expansions join the query like this."""
        self.joined, self._terms = joined, joined.terms

    def join_lists_only(self, joined: Joined) -> None:
        """The mixture is not worth it, and `joined` has none; what was proposed for it stays in the account."""
        self.joined = joined

    def shadow(self, *, expand: bool) -> None:
        """The query is left as it is, whatever was decided; that is noted."""
        would = "it would be expanded" if expand else "it would be left as it is"
        self.decision, self.joined = Decision(False, f"shadow: {would}, {self.decision.reason}"), None
        _log.info("shadow: %s; %s", would, self.policy)

    def count_hits_alone(self, alone: Mapping[str, int]) -> None:
        """How many hits of the answer each kept term alone brought."""
        self._terms = tuple(
            replace(term, hits_alone=alone.get(term.term, 0)) if term.kept else term for term in self._terms
        )

    @property
    def label(self) -> str:
        """How the query was expanded, in words."""
        return "" if self.joined is None else self.joined.label

    def account(self, traces: Mapping[Stage, StageTrace]) -> ExpansionAccount:
        """All of it, by what became of the stages."""
        decision, reason = self._decided(traces.get(Stage.EXPAND), traces.get(Stage.RETRIEVE_EXPANDED))
        parts = () if self.joined is None else self.joined.parts
        return ExpansionAccount(
            decision=decision,
            reason=reason,
            method="+".join(self.methods) or None,
            form=parts[0].form if parts else None,
            weight=parts[0].weight if parts else None,
            explanation=self.label,
            terms=self._terms,
            expansions=self.expansions,
            policy=self.policy,
        )

    def _decided(self, expand: StageTrace | None, again: StageTrace | None) -> tuple[Decided, str]:
        if again is not None and again.status is StageStatus.DEGRADED:
            return "degraded", str(again.reason)
        if self.joined is not None and self.joined.parts:
            return "expanded", self.decision.reason
        if expand is not None and expand.status is StageStatus.DEGRADED:
            return "degraded", str(expand.reason)
        if expand is not None and expand.status is StageStatus.PENDING:
            return "pending", str(expand.reason)
        if self.joined is not None and self.decision.expand:
            return "skipped", _NO_TERM
        return "skipped", self.decision.reason


class Account:
    """Collects one StageTrace per stage; only the pipeline writes to it."""

    def __init__(self, request: SearchRequest, deadline: Deadline) -> None:
        self.request = request
        self.deadline = deadline
        self._started = time.perf_counter()
        self._traces: dict[Stage, StageTrace] = {}
        self.expansion = ExpansionNotes()

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
        self.expansion.decision = decision
        self.skip(Stage.EXPAND, reason, decision.reason)

    def failed(self, stage: Stage) -> bool:
        """Whether the stage ran and degraded."""
        return _is_degraded(self._traces.get(stage))

    async def required(self, stage: Stage, work: Awaitable[Retrieval]) -> Retrieval:
        """Run a stage without which there is no answer. Raises StageError."""
        started = time.perf_counter()
        outcome = await _within(work, self.deadline, stage)
        self._done(stage, started, outcome)
        return outcome

    async def optional(self, stage: Stage, work: Awaitable[_Outcome], deadline: Deadline) -> _Outcome | None:
        """Run a stage that may fail: then None, and the trace says degraded and why.

        A stage that runs twice in a search has the time of both: reranking around an expansion, and the second
        retrieval where `auto` takes another λ.
        """
        before = self._traces.get(stage)
        started = time.perf_counter() - (0.0 if before is None else before.took_ms / 1000)
        try:
            outcome = await _sound(_within(work, deadline, stage), stage)
        except StageError as error:
            self._degrade(stage, started, error)
            return None
        self._done(stage, started, outcome)
        return outcome

    def expanded(self, outcomes: Sequence[Outcome]) -> None:
        """What the methods came to: degraded if one failed, else pending if one was late."""
        self.expansion.expansions = tuple(each.expansion for each in outcomes if each.expansion is not None)
        failed = [each for each in outcomes if each.error is not None]
        worst = next((each for each in failed if not each.late), failed[0] if failed else None)
        status = StageStatus.OK if worst is None else StageStatus.PENDING if worst.late else StageStatus.DEGRADED
        error = None if worst is None else worst.error
        absent = self.expansion.absent
        self._traces[Stage.EXPAND] = StageTrace(
            stage=Stage.EXPAND,
            status=status,
            took_ms=max(each.took_ms for each in outcomes),
            reason=None if error is None else error.reason,
            message="" if error is None else str(error),
            detail={**_outcomes(outcomes), **({"not_configured": dict(absent)} if absent else {})},
        )

    def expansion_account(self) -> ExpansionAccount:
        """What was decided about expansion and what came of it."""
        return self.expansion.account(self._traces)

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


def _outcomes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The detail of the stage: for one method its own facts, for several those of all and a list besides."""
    method = "+".join(each.method for each in outcomes)
    found = [each.expansion for each in outcomes if each.expansion is not None]
    if len(outcomes) == 1:
        return {"method": method, **(_facts(found[0]) if found else {})}
    detail: dict[str, Any] = {"method": method}
    if found:
        detail["proposed"] = sum(len(expansion.terms) for expansion in found)
    prompts = [expansion.prompt_id for expansion in found if expansion.prompt_id]
    if prompts:
        detail["prompt"] = prompts[0]
    calls = [_call(call) for expansion in found for call in expansion.calls]
    if calls:
        detail["calls"] = calls
    return {**detail, "methods": [_outcome(each) for each in outcomes]}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    error, expansion = outcome.error, outcome.expansion
    status = StageStatus.OK if error is None else StageStatus.PENDING if outcome.late else StageStatus.DEGRADED
    return {
        "method": outcome.method,
        "share": outcome.share,
        "status": str(status),
        "took_ms": outcome.took_ms,
        **({} if error is None else {"reason": str(error.reason), "message": str(error)}),
        **({} if expansion is None else _facts(expansion)),
    }


def _facts(expansion: Expansion) -> dict[str, Any]:
    known = {
        "prompt": expansion.prompt_id,
        "text": expansion.text,
        "calls": [_call(call) for call in expansion.calls],
    }
    return {"proposed": len(expansion.terms), **{key: fact for key, fact in known.items() if fact}, **expansion.detail}


def _call(call: ModelCall) -> dict[str, Any]:
    return {
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "took_ms": call.took_ms,
    }


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
