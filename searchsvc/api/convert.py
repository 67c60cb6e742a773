"""Between the shapes of the API and the values of the service."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from searchsvc.api.conditions import facets_of, filters_of, name_of, sort_of
from searchsvc.api.source import highlights
from searchsvc.api.wire import ExpansionBody, RerankBody, SearchBody
from searchsvc.checks import check_window
from searchsvc.errors import InvalidRequest, json_pointer
from searchsvc.methods import check_shares, parse_methods
from searchsvc.model import (
    ExpansionOptions,
    Explanation,
    Form,
    MethodShare,
    Mode,
    Range,
    RerankOptions,
    RerankQuery,
    SearchRequest,
    Wait,
)
from searchsvc.protocols import OpenIndex
from searchsvc.result import (
    ExpansionTerm,
    FacetCount,
    FacetCounts,
    Placement,
    RankedCandidate,
    SearchResult,
    StageTrace,
)
from searchsvc.schema import Caller
from searchsvc.source_paths import picked
from searchsvc.text import snippet

_MARKED = 64
"""Of a long query's terms so many, the longest, are marked in snippets."""


def to_request(body: SearchBody, caller: Caller | None = None) -> SearchRequest:
    """The search that the body asks for. Raises InvalidRequest if the page lies beyond the window."""
    rerank = _rerank(body.rerank)
    request = SearchRequest(
        query_id=uuid.uuid4().hex,
        user_query=body.query,
        index=body.index,
        top_k=body.size,
        offset=body.from_,
        retrieval_depth=rerank.depth,
        filters=filters_of(body.filters),
        expansion=_expansion(body),
        rerank=rerank,
        explain=body.explain,
        timeout_ms=body.timeout_ms,
        client_id=body.client_id,
        fields=None if body.fields is None else tuple(body.fields),
        facets=facets_of(body.facets),
        sort=sort_of(body.sort),
        collapse=body.collapse,
        highlight=tuple(body.highlight),
        cursor=body.cursor,
        caller=caller,
    )
    check_window(request)
    return request


def place_in(body: SearchBody, pointer: str) -> str:
    """Where in the body as it was sent the thing is that the service calls by the name of its field."""
    for part, entries in (("facets", body.facets), ("sort", body.sort)):
        if isinstance(entries, list) and pointer.startswith(f"/{part}/"):
            pointers = [json_pointer(part, name_of(each)) for each in entries]
            return f"/{part}/{pointers.index(pointer)}" if pointer in pointers else pointer
    return pointer


def to_reply(
    result: SearchResult, *, fields: Sequence[str] | None = None, highlight: Sequence[str] = ()
) -> dict[str, Any]:
    """The answer as JSON values, in the shape of `wire.SearchReply`, with these source fields (None: all)."""
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
            "weight": account.weight,
            "policy": dict(account.policy),
            "explanation": account.explanation,
            "terms": [term_reply(term) for term in account.terms],
        },
        "total": {"value": result.total.value, "relation": result.total.relation},
        "hits": [_hit(hit, marked, fields, highlight) for hit in result.hits],
        "facets": {facet.field: _facet_counts(facet) for facet in result.facets},
        "next_cursor": result.next_cursor,
        "stages": [stage_reply(trace) for trace in result.stages],
        "degraded": [{"stage": trace.stage, "reason": trace.reason} for trace in result.degraded],
    }


def index_reply(name: str, opened: OpenIndex) -> dict[str, Any]:
    """What a request may name on the index, in the shape of `wire.IndexReply`."""
    schema = opened.schema
    return {
        "name": name,
        "kind": "adopted" if opened.as_written else "managed",
        "fields": [asdict(field) for field in schema.fields.values()],
        "returned": schema.returned,
        "problems": schema.problems,
    }


def _expansion(body: SearchBody) -> ExpansionOptions:
    value, wait = body.expansion, Wait(body.expansion_wait)
    if isinstance(value, str):
        if value in frozenset(Mode):
            return ExpansionOptions(mode=Mode(value), wait=wait)
        return ExpansionOptions(mode=Mode.ON, methods=parse_methods(value), wait=wait)
    return ExpansionOptions(
        mode=Mode(value.mode),
        methods=methods_of(value),
        form=None if value.form is None else Form(value.form),
        weight=value.weight,
        terms=value.terms,
        prompt=value.prompt,
        wait=wait,
    )


def methods_of(body: ExpansionBody) -> tuple[MethodShare, ...]:
    """The methods that the body names, in either way. Raises InvalidRequest."""
    if body.methods is None:
        return () if body.method is None else parse_methods(body.method)
    if body.method is not None:
        raise InvalidRequest(
            "method and methods are two ways to say one thing.", pointer="/expansion/methods", hint="Leave out method."
        )
    shares = tuple(MethodShare(name=each.name, weight=each.weight) for each in body.methods)
    check_shares(shares, pointer="/expansion/methods")
    return shares


def _rerank(value: str | RerankBody) -> RerankOptions:
    if isinstance(value, str):
        return RerankOptions(mode=Mode(value))
    return RerankOptions(
        mode=Mode(value.mode), depth=value.depth, query=RerankQuery(value.query), instruction=value.instruction
    )


def _facet_counts(facet: FacetCounts) -> dict[str, Any]:
    ranges = any(isinstance(each.value, Range) for each in facet.counts)
    return {
        "kind": "ranges" if ranges else "terms",
        "values": [{**_facet_value(each), "count": each.count} for each in facet.counts],
        "other": facet.other,
        "error": facet.error,
    }


def _facet_value(counted: FacetCount) -> dict[str, Any]:
    value = counted.value
    return value.bounds() if isinstance(value, Range) else {"value": value}


def term_reply(term: ExpansionTerm) -> dict[str, Any]:
    """One proposed term, in the shape of `wire.TermReply`."""
    return {
        "term": term.term,
        "surface": term.surface or term.term,
        "weight": term.weight,
        "df": term.df,
        "source": term.source,
        "source_text": term.source_text,
        "kept": term.kept,
        "reason": term.reason,
        "hits_alone": term.hits_alone,
    }


def _hit(
    hit: RankedCandidate, terms: frozenset[str], fields: Sequence[str] | None, highlight: Sequence[str]
) -> dict[str, Any]:
    candidate = hit.candidate
    reply = {
        "doc_id": candidate.doc_id,
        "rank": hit.rank,
        "score": hit.score,
        "score_kind": hit.score_kind,
        "title": candidate.title,
        "snippet": snippet(candidate.text or candidate.title, terms),
        "source": candidate.source if fields is None else picked(candidate.source, fields),
        "retrieval": _placement(hit.retrieval),
        "rerank": _placement(hit.rerank),
        "movement": hit.movement,
    }
    if highlight:
        reply["highlights"] = highlights(candidate.source, highlight, terms)
    if candidate.sort_values:
        reply["sort"] = list(candidate.sort_values)
    if hit.explanation is not None:
        reply["explanation"] = _explanation(hit.explanation)
    return reply


def _placement(placement: Placement | None) -> dict[str, Any] | None:
    return None if placement is None else {"rank": placement.rank, "score": placement.score}


def _explanation(tree: Explanation) -> dict[str, Any]:
    details = [_explanation(each) for each in tree.details]
    return {"value": tree.value, "description": tree.description, "details": details}


def stage_reply(trace: StageTrace) -> dict[str, Any]:
    """What one stage did, in the shape of `wire.StageReply`."""
    return {
        **trace.detail,
        "stage": trace.stage,
        "status": trace.status,
        "reason": trace.reason,
        "took_ms": trace.took_ms,
        **({"message": trace.message} if trace.message else {}),
    }
