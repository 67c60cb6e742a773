"""The routes. Handlers translate and call; they decide nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request, Response

from searchsvc.api.convert import to_reply, to_request
from searchsvc.api.errors import problem
from searchsvc.api.wire import Problem, SearchBody, SearchReply
from searchsvc.errors import SearchError
from searchsvc.wiring import Runtime

_PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}
_SEARCH_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _PROBLEM | {"description": "The body is not JSON."},
    404: _PROBLEM | {"description": "There is no such index."},
    422: _PROBLEM | {"description": "A field is wrong; `errors` names it."},
    502: _PROBLEM | {"description": "The search engine refused: configuration."},
    503: _PROBLEM | {"description": "The search engine is away or busy."},
    504: _PROBLEM | {"description": "The search engine did not answer within timeout_ms."},
}

router = APIRouter()


@router.post("/v1/search", response_model=SearchReply, responses=_SEARCH_PROBLEMS)
async def search(body: SearchBody, request: Request) -> Response:
    """Search one index: candidates, expansion, reranking, and an account of every stage."""
    result = await _runtime(request).service.search(to_request(body))
    return _json(to_reply(result))


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Whether the process answers; says nothing of what it leans on."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: _PROBLEM})
async def readyz(request: Request) -> Response:
    """Whether searches can be answered: the engine is there and has an index."""
    try:
        names = await _runtime(request).engine.names()
    except SearchError as error:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            kind="not-ready",
            detail=error.message,
            next_step=error.hint or "Look at the search engine.",
            retryable=True,
        )
    if not names:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            kind="not-ready",
            detail="There is no index.",
            next_step="Load one: searchsvc index load FILE.",
            retryable=True,
        )
    return _json({"status": "ready", "indices": list(names)})


@router.get("/info")
async def info(request: Request) -> Response:
    """What runs: version, engine, models, limits; no secrets."""
    return _json(_runtime(request).info())


def _runtime(request: Request) -> Runtime:
    return cast("Runtime", request.app.state.runtime)


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
