"""The routes. Handlers translate and call; they decide nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, TypeVar, cast

import orjson
from fastapi import APIRouter, Request, Response

from searchsvc.api.convert import index_reply, place_in, to_reply, to_request
from searchsvc.api.errors import problem
from searchsvc.api.expand import ExpandBody, ExpandReply, to_expand_reply, to_expand_request
from searchsvc.api.wire import IndexReply, InfoReply, Problem, ReadyReply, SearchBody, SearchReply
from searchsvc.errors import InvalidRequest, SearchError, Unauthenticated
from searchsvc.model import DEFAULT_INDEX
from searchsvc.schema import Caller
from searchsvc.wiring import Runtime

_CLIENT_GONE = 499
"""Nobody reads it; nginx's number for it."""

_MAX_AUTHORIZATION = 12_000
"""Elasticsearch takes headers of 16 kB in all and closes the connection on longer ones, so that the next search on it,
somebody else's, would wait in vain."""


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }


_SEARCH_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The body is not JSON."),
    401: _problem("Searches run in the caller's name, and `Authorization` is missing or wrong."),
    403: _problem("The caller may not read the index, or raw filters are not allowed."),
    404: _problem("There is no such index."),
    408: _problem("The body did not arrive in time."),
    413: _problem("The body is too large."),
    415: _problem("The body was not sent as application/json."),
    422: _problem("A field is wrong; `errors` names it."),
    500: _problem("A defect of the service."),
    502: _problem("The search engine refused, or the service is set up wrongly."),
    503: _problem("The search engine is away or busy."),
    504: _problem("The search engine did not answer within timeout_ms."),
}
_INDEX_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": _problem("Another error."),  # else FastAPI describes a 422 of its own, which no name gets
    **{status: _SEARCH_PROBLEMS[status] for status in (404, 500, 502, 503, 504)},
}

router = APIRouter()
_Value = TypeVar("_Value")


@router.post("/v1/search", response_model=SearchReply, responses=_SEARCH_PROBLEMS)
async def search(body: SearchBody, request: Request) -> Response:
    """Search one index: candidates, expansion, reranking, and an account of every stage."""
    wanted = to_request(body, _caller(request))
    try:
        result = await _while_there(request, _runtime(request).service.search(wanted))
    except InvalidRequest as error:
        raise InvalidRequest(error.message, pointer=place_in(body, error.pointer), hint=error.hint) from None
    if result is None:
        return Response(status_code=_CLIENT_GONE)
    if not body.highlight:
        return _json(to_reply(result, fields=body.fields))
    reply = await asyncio.to_thread(to_reply, result, fields=body.fields, highlight=body.highlight)  # seconds at worst
    return _json(reply)


@router.post("/v1/expand", response_model=ExpandReply, responses=_SEARCH_PROBLEMS)
async def expand(body: ExpandBody, request: Request) -> Response:
    """What a query would be expanded with on an index: terms, weights, frequencies, and what was dropped and why."""
    wanted = to_expand_request(body, _caller(request))
    result = await _while_there(request, _runtime(request).service.expand(wanted))
    return Response(status_code=_CLIENT_GONE) if result is None else _json(to_expand_reply(result))


@router.get("/v1/indices/{name}", response_model=IndexReply, responses=_INDEX_PROBLEMS)
async def index(name: str, request: Request) -> Response:
    """What a request may name on an index: its fields, and what may be done with each."""
    return _json(index_reply(name, await _runtime(request).service.opened(name)))


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Whether the process answers; says nothing of what it leans on."""
    return {"status": "alive"}


@router.get("/readyz", response_model=ReadyReply, responses={503: _problem("Searches cannot be answered.")})
async def readyz(request: Request) -> Response:
    """Whether searches can be answered: the engine is there and has an index that can be opened."""
    runtime = _runtime(request)
    try:
        names = await runtime.engine.names()
        if names:
            await runtime.service.pipeline(DEFAULT_INDEX if DEFAULT_INDEX in names else names[0])
            return _json({"status": "ready", "indices": list(names)})
        detail, next_step = "There is no index.", "Load one: searchsvc index load FILE."
    except SearchError as error:
        detail, next_step = error.message, error.hint or "Look at the search engine."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, kind="not-ready", detail=detail, next_step=next_step, retryable=True)


@router.get("/info", response_model=InfoReply)
async def info(request: Request) -> Response:
    """What runs: version, engine, models, limits; no secrets."""
    return _json(_runtime(request).info())


def _runtime(request: Request) -> Runtime:
    return cast("Runtime", request.app.state.runtime)


def _caller(request: Request) -> Caller | None:
    """Who asks, where searches run in the caller's name; else the header, which is for somebody else, is not read.

    Raises Unauthenticated, whose words never hold the header.
    """
    settings = _runtime(request).settings
    if settings.engine != "elasticsearch" or settings.elasticsearch.run_as != "caller":
        return None
    given = request.headers.getlist("Authorization")
    if not given:
        raise Unauthenticated("Searches run with the rights of whoever asks, and nobody is named.")
    scheme, _, credentials = given[0].partition(" ")
    if len(given) > 1 or not (scheme and credentials.strip() and given[0].isascii() and given[0].isprintable()):
        raise Unauthenticated("The header Authorization is not one scheme and its credentials.")
    if len(given[0]) > _MAX_AUTHORIZATION:
        raise Unauthenticated(f"The header Authorization has more than {_MAX_AUTHORIZATION} characters.")
    return Caller(authorization=given[0])


async def _while_there(request: Request, work: Awaitable[_Value]) -> _Value | None:
    """`work`, cancelled with all its calls when the client goes away: then None."""
    handler = cast("asyncio.Task[Any]", asyncio.current_task())
    watch = asyncio.create_task(_cancel_when_left(request, handler))
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.done():  # somebody else cancelled: the server that stops
            raise
        handler.uncancel()
        return None
    finally:
        watch.cancel()


async def _cancel_when_left(request: Request, handler: asyncio.Task[Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    handler.cancel()


def _json(body: dict[str, Any]) -> Response:
    try:
        content = orjson.dumps(body)
    except TypeError:  # integers beyond 64 bits and very deep nesting, in indices that others made
        content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, media_type="application/json")
