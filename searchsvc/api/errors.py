"""Errors as the API tells them: RFC 9457 problem details that name the field and the next step, for every status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from searchsvc.api.unions import BRANCHES, ConditionBody, FacetBody, FilterBody, RangeBody
from searchsvc.api.wire import ExpansionBody, RerankBody, SearchBody
from searchsvc.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    ConfigurationError,
    Conflict,
    Forbidden,
    InvalidRequest,
    Overloaded,
    SearchError,
    StageError,
    Unauthenticated,
    UnknownIndex,
    json_pointer,
)
from searchsvc.suggest import did_you_mean

_log = logging.getLogger(__name__)
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Basic realm="searchsvc"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
}

_STATUS: tuple[tuple[type[SearchError], HTTPStatus], ...] = (
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownIndex, HTTPStatus.NOT_FOUND),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (BackendTimeout, HTTPStatus.GATEWAY_TIMEOUT),
    (BackendUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    (BadModelOutput, HTTPStatus.BAD_GATEWAY),
    (StageError, HTTPStatus.BAD_GATEWAY),
    (Conflict, HTTPStatus.CONFLICT),
    (SearchError, HTTPStatus.BAD_GATEWAY),
)


def add_error_handlers(app: FastAPI) -> None:
    """Every error of the app leaves as `application/problem+json`."""
    app.add_exception_handler(SearchError, _search_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def problem(
    status: HTTPStatus,
    *,
    kind: str,
    detail: str,
    next_step: str = "",
    errors: Sequence[dict[str, str]] = (),
    retryable: bool = False,
) -> Response:
    """A problem reply; `kind` is the last part of its type URN."""
    body: dict[str, Any] = {
        "type": f"urn:searchsvc:problem:{kind}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "next_step": next_step,
        "retryable": retryable,
        "errors": list(errors),
    }
    return Response(orjson.dumps(body), status.value, _HEADERS.get(status), media_type="application/problem+json")


async def _search_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SearchError)  # noqa: S101 - narrows the type: registered for SearchError alone
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if isinstance(error, ConfigurationError):
        _log.error("configuration: %s", error)
        error = ConfigurationError("The service is set up wrongly; its log says how.")
    pointed = [{"pointer": error.pointer, "detail": error.message}] if isinstance(error, InvalidRequest) else []
    if isinstance(error, UnknownIndex) and request.method == "POST":
        pointed = [{"pointer": "/index", "detail": error.message}]
    return problem(
        status,
        kind=_kebab(type(error).__name__),
        detail=error.message,
        next_step=error.hint or _next_step(error),
        errors=pointed,
        retryable=isinstance(error, BackendTimeout | BackendUnavailable | Overloaded),
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows the type
    found = error.errors()[:_TOLD]
    if any(each["type"] == "json_invalid" for each in found):
        return problem(HTTPStatus.BAD_REQUEST, kind="malformed-json", detail="The body is not JSON.", next_step=_SEND)
    if found[0]["loc"] == ("body",) and "json" not in request.headers.get("content-type", ""):
        return problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            kind="unsupported-media-type",
            detail="The body was not sent as JSON.",
            next_step="Send the header Content-Type: application/json.",
        )
    errors = [_told(each) for each in found]
    first = errors[0]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        kind="invalid-request",
        detail=f"{first['pointer']}: {first['detail']}" if first["pointer"] else first["detail"],
        next_step=_SEND,
        errors=errors,
    )


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows the type
    status = HTTPStatus(error.status_code)
    next_step = _SEND if status is HTTPStatus.BAD_REQUEST else "/docs lists the routes."
    reply = problem(status, kind=_kebab(status.name.title()), detail=str(error.detail), next_step=next_step)
    reply.headers.update(error.headers or {})
    return reply


async def _bug(_: Request, error: Exception) -> Response:
    _log.error("unexpected error", exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        kind="bug",
        detail="The service has a defect; its log holds the traceback.",
        next_step="Report it with the log.",
    )


def _next_step(error: SearchError) -> str:
    if isinstance(error, BackendTimeout):
        return "Try again, or allow more time with timeout_ms."
    if isinstance(error, BackendUnavailable | Overloaded):
        return "Try again in a moment."
    if isinstance(error, Unauthenticated):
        return "Send the header Authorization, as you would to Elasticsearch."
    if isinstance(error, Forbidden):
        return "Ask whoever runs Elasticsearch for the privilege to read this index."
    return "See the log of the service."


def _told(error: dict[str, Any]) -> dict[str, str]:
    """Where and what, without the value: it may be long, private, or no valid text."""
    location = [str(part) for part in error["loc"][1:] if part not in BRANCHES]
    pointer = json_pointer(*location)
    if error["type"] in ("model_type", "dict_type"):
        return {"pointer": pointer, "detail": "Give an object"}
    if error["type"] != "extra_forbidden":
        return {"pointer": pointer, "detail": str(error["msg"])}
    hint = did_you_mean(location[-1][:_LONGEST_NAME], _siblings(location))
    return {"pointer": pointer, "detail": f"There is no such field. {hint}"}


def _siblings(location: Sequence[str]) -> list[str]:
    """The fields that the object at this place has, whose last part is none of them."""
    part = location[0] if len(location) > 1 else ""
    nested = len(location) > 3
    shapes: dict[str, type[BaseModel]] = {
        "expansion": ExpansionBody,
        "rerank": RerankBody,
        "filters": ConditionBody if nested else FilterBody,
        "facets": RangeBody if nested else FacetBody,
    }
    shape = shapes.get(part, SearchBody)
    return [field.alias or name for name, field in shape.model_fields.items()]


_TOLD = 20
"""Of the errors of one request, so many are told."""
_LONGEST_NAME = 64
_SEND = "Send one JSON object in UTF-8; /docs shows its fields."


def _kebab(name: str) -> str:
    return "".join("-" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("-").replace("_", "")
