"""`POST /v1/expand`: what a query would be expanded with. Shapes, and the way to and from the service's values."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import BaseModel, Field

from searchsvc.api.convert import methods_of, stage_reply, term_reply
from searchsvc.api.unions import Strict
from searchsvc.api.wire import ExpansionBody, StageReply, TermReply
from searchsvc.model import ExpansionOptions, Form, Mode, SearchRequest, Wait
from searchsvc.result import SearchResult, Stage
from searchsvc.schema import Caller


class ExpandBody(Strict):
    """A query to expand, and how: the keys of `expansion` in a search."""

    query: str = Field(description="At most 8,192 characters, one of them not blank.", min_length=1)
    index: str = Field("documents", min_length=1, max_length=255)
    expansion: ExpansionBody = Field(default_factory=lambda: ExpansionBody.model_validate({}))
    timeout_ms: int = Field(20_000, ge=1, le=60_000, description="For the whole request.")


class ExpandReply(BaseModel):
    """What the expansion of the query comes to."""

    query_id: str
    took_ms: float
    query: str
    expanded_query: str | None
    decision: Literal["expanded", "skipped", "degraded", "pending"]
    reason: str
    method: str | None
    form: str | None
    weight: float | None = Field(description="λ, as it would be used.")
    explanation: str
    terms: list[TermReply]
    stage: StageReply = Field(description="What the methods did: calls, tokens, times, failures.")


def to_expand_request(body: ExpandBody, caller: Caller | None = None) -> SearchRequest:
    """The search whose expansion is asked for. Raises InvalidRequest."""
    given = body.expansion
    return SearchRequest(
        query_id=uuid.uuid4().hex,
        user_query=body.query,
        index=body.index,
        expansion=ExpansionOptions(
            mode=Mode(given.mode),
            methods=methods_of(given),
            form=None if given.form is None else Form(given.form),
            weight=given.weight,
            terms=given.terms,
            prompt=given.prompt,
            wait=Wait.COMPLETE,
        ),
        timeout_ms=body.timeout_ms,
        caller=caller,
    )


def to_expand_reply(result: SearchResult) -> dict[str, Any]:
    """The answer as JSON values, in the shape of `ExpandReply`."""
    account = result.expansion
    (trace,) = (trace for trace in result.stages if trace.stage is Stage.EXPAND)
    return {
        "query_id": result.query_id,
        "took_ms": result.took_ms,
        "query": result.user_query,
        "expanded_query": result.expanded_query,
        "decision": account.decision,
        "reason": account.reason,
        "method": account.method,
        "form": account.form,
        "weight": account.weight,
        "explanation": account.explanation,
        "terms": [term_reply(term) for term in account.terms],
        "stage": stage_reply(trace),
    }
