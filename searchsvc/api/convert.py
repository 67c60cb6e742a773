"""Between the shapes of the API and the values of the service; the only place that knows both."""

from __future__ import annotations

import uuid
from typing import Any

from searchsvc.api.wire import ExpansionBody, RangeBody, RerankBody, SearchBody
from searchsvc.errors import InvalidRequest, json_pointer
from searchsvc.model import (
    AnyOf,
    ExpansionOptions,
    Explanation,
    Filters,
    Form,
    Mode,
    Range,
    RerankOptions,
    RerankQuery,
    SearchRequest,
)
from searchsvc.result import ExpansionTerm, Placement, RankedCandidate, SearchResult, StageTrace
from searchsvc.service import check_window
from searchsvc.text import snippet

_MARKED = 64
"""Of a long query's terms so many, the longest, are marked in snippets."""


def to_request(body: SearchBody) -> SearchRequest:
    """The search that the body asks for. Raises InvalidRequest if the page lies beyond the window."""
    rerank = _rerank(body.rerank)
    request = SearchRequest(
        query_id=uuid.uuid4().hex,
        user_query=body.query,
        index=body.index,
        top_k=body.size,
        offset=body.from_,
        retrieval_depth=rerank.depth,
        filters=_filters(body.filters),
        expansion=_expansion(body.expansion),
        rerank=rerank,
        explain=body.explain,
        timeout_ms=body.timeout_ms,
        client_id=body.client_id,
    )
    check_window(request)
    return request


def to_reply(result: SearchResult) -> dict[str, Any]:
    """The answer as JSON values, in the shape of `wire.SearchReply`."""
    account = result.expansion
    marked = frozenset(sorted(result.matched_terms, key=lambda term: (-len(term), term))[:_MARKED])
    return {
        "query_id": result.query_id,
        "took_ms": result.took_ms,
        "query": result.user_query,
        "expanded_query": result.expanded_query,
        "expansion": {
            "decision": account.decision,
            "reason": account.reason,
            "method": account.method,
            "form": account.form,
            "explanation": account.explanation,
            "terms": [_term(term) for term in account.terms],
        },
        "total": {"value": result.total.value, "relation": result.total.relation},
        "hits": [_hit(hit, marked) for hit in result.hits],
        "stages": [_stage(trace) for trace in result.stages],
        "degraded": [{"stage": trace.stage, "reason": trace.reason} for trace in result.degraded],
    }


def _expansion(value: str | ExpansionBody) -> ExpansionOptions:
    if isinstance(value, str):
        if value in frozenset(Mode):
            return ExpansionOptions(mode=Mode(value))
        return ExpansionOptions(mode=Mode.ON, method=value)
    return ExpansionOptions(
        mode=Mode(value.mode),
        method=value.method,
        form=None if value.form is None else Form(value.form),
        weight=value.weight,
        terms=value.terms,
        prompt=value.prompt,
    )


def _rerank(value: str | RerankBody) -> RerankOptions:
    if isinstance(value, str):
        return RerankOptions(mode=Mode(value))
    return RerankOptions(
        mode=Mode(value.mode), depth=value.depth, query=RerankQuery(value.query), instruction=value.instruction
    )


def _filters(filters: dict[str, Any]) -> Filters:
    return tuple(_condition(field, value) for field, value in filters.items())


def _condition(field: str, value: str | list[str] | RangeBody) -> AnyOf | Range:
    if isinstance(value, RangeBody):
        bounds = value.model_dump(exclude_none=True)
        if not bounds:
            raise InvalidRequest(
                "The range has no bound.", pointer=json_pointer("filters", field), hint="Give one of gte, gt, lte, lt."
            )
        return Range(field=field, **bounds)
    values = (value,) if isinstance(value, str) else tuple(value)
    if not values:
        raise InvalidRequest(
            "The list of values is empty.", pointer=json_pointer("filters", field), hint="Give one value or more."
        )
    return AnyOf(field=field, values=values)


def _term(term: ExpansionTerm) -> dict[str, Any]:
    return {
        "term": term.term,
        "weight": term.weight,
        "df": term.df,
        "source": term.source,
        "source_text": term.source_text,
        "kept": term.kept,
        "reason": term.reason,
    }


def _hit(hit: RankedCandidate, terms: frozenset[str]) -> dict[str, Any]:
    candidate = hit.candidate
    reply = {
        "doc_id": candidate.doc_id,
        "rank": hit.rank,
        "score": hit.score,
        "score_kind": hit.score_kind,
        "title": candidate.title,
        "snippet": snippet(candidate.text or candidate.title, terms),
        "source": candidate.source,
        "retrieval": _placement(hit.retrieval),
        "rerank": _placement(hit.rerank),
        "movement": hit.movement,
    }
    if hit.explanation is not None:
        reply["explanation"] = _explanation(hit.explanation)
    return reply


def _placement(placement: Placement | None) -> dict[str, Any] | None:
    return None if placement is None else {"rank": placement.rank, "score": placement.score}


def _explanation(tree: Explanation) -> dict[str, Any]:
    details = [_explanation(each) for each in tree.details]
    return {"value": tree.value, "description": tree.description, "details": details}


def _stage(trace: StageTrace) -> dict[str, Any]:
    return {
        **trace.detail,
        "stage": trace.stage,
        "status": trace.status,
        "reason": trace.reason,
        "took_ms": trace.took_ms,
        **({"message": trace.message} if trace.message else {}),
    }
