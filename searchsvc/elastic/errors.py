"""Elasticsearch's errors in our words: the only place that catches exceptions of the client.

A retry is decided by the class that comes out: BackendTimeout and BackendUnavailable may be tried again on another
host, the others never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import elastic_transport
import elasticsearch

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    Forbidden,
    InvalidRequest,
    Overloaded,
    SearchError,
    Unauthenticated,
    UnknownIndex,
)
from searchsvc.model import Facet, Filters, RangesFacet, RawFilter

OVERLOAD_TYPES = frozenset({"es_rejected_execution_exception", "circuit_breaking_exception"})
"""Error types that a retry at once makes worse."""

DISK_FULL_TYPE = "cluster_block_exception"
"""With status 429: the flood stage of the disk watermark; waiting does not help."""

CLOSED_TYPE = "index_closed_exception"
"""With status 400: somebody closed the index, and may open it again."""

DISK_FULL_HINT = "The disk of a node is full: free space, then load again."
CLOSED_HINT = "Somebody closed it: open it again (POST /INDEX/_open)."
NOT_ELASTICSEARCH_HINT = "Check the address: a proxy or another server may answer there."

POINT_GONE_TYPE = "search_context_missing_exception"
"""A point in time that was closed, or that nobody searched in for long; or its node ended."""

_AGAIN = 'Start again with cursor "*".'
_POINT_GONE_HINT = 'Start again with cursor "*"; the next page must be fetched within five minutes.'

MANY_VALUES = "the grouping field must be single valued"
"""The reason of a collapse that cannot be done, which has no type of its own."""

_ONE_VALUE_HINT = "Collapse on a field with one value in every document."

_NO_VALUE_TYPE = "query_shard_exception"
"""A query that can be read and not run, such as one for a number that is too large for its field."""

_UNREADABLE_TEXT = "Failed to parse query [{}]"
"""The reason for which a `query_string` does not take a text: that has a grammar, which not every text follows."""

_TOO_MANY_TYPES = frozenset({"too_many_clauses", "too_many_nested_clauses"})
"""A text of more words, times fields, than a node of that size takes."""

_MAX_REASON_CHARACTERS = 400
_CREDENTIALS_HINT = "Check the credentials, or grant the privilege that the text names."
_HINTS = {
    401: _CREDENTIALS_HINT,
    403: _CREDENTIALS_HINT,
    413: "Something on the way takes smaller requests only: raise its limit above 10 MB.",
}
_BY_STATUS: Mapping[int, type[SearchError]] = {
    408: BackendTimeout,
    429: Overloaded,
    502: BackendUnavailable,
    503: BackendUnavailable,
    504: BackendTimeout,
}
"""All others are BackendRejected."""


@contextmanager
def translated(doing: str, *, in_callers_name: bool = False) -> Iterator[None]:
    """Raise every exception of the client as a SearchError that tells what was being done ("searching documents").

    TimeoutError too, that of an `asyncio.timeout` inside. `in_callers_name`: missing rights are the caller's.

    Raises UnknownIndex, BackendTimeout, BackendUnavailable, BackendRejected, Overloaded, Unauthenticated, Forbidden.
    """
    try:
        yield
    except elasticsearch.UnsupportedProductError as error:
        raise BackendRejected(
            f"While {doing}: the server that answers is not Elasticsearch.", hint=NOT_ELASTICSEARCH_HINT
        ) from error
    except elastic_transport.ApiError as error:
        refused = _callers(error.meta.status) if in_callers_name else None
        raise refused or from_status(doing, error.meta.status, error.body) from error
    except (elastic_transport.ConnectionTimeout, TimeoutError) as error:
        raise BackendTimeout(f"While {doing}: Elasticsearch did not answer in time.") from error
    except elastic_transport.TlsError as error:
        raise BackendRejected(
            f"While {doing}: no trusted connection to Elasticsearch: {error.message}.",
            hint="Check the scheme of the address and SEARCHSVC_ELASTICSEARCH__CA_CERTS.",
        ) from error
    except elastic_transport.SerializationError as error:
        raise BackendUnavailable(f"While {doing}: Elasticsearch's answer broke off or is no JSON.") from error
    except elastic_transport.TransportError as error:
        raise BackendUnavailable(f"While {doing}: no connection to Elasticsearch: {error.message}.") from error


def point_gone() -> InvalidRequest:
    """The error for a point in time that there is no more."""
    return InvalidRequest("The pages of this search have gone.", pointer="/cursor", hint=_POINT_GONE_HINT)


@contextmanager
def in_use(index: str) -> Iterator[None]:
    """Around searches of an index that is open: if it is gone, the name was right and something was done to it."""
    try:
        yield
    except UnknownIndex as error:
        raise BackendUnavailable(f"The index {index} was deleted while it was in use.", hint="Search again.") from error


@contextmanager
def view_blamed(view: str) -> Iterator[None]:
    """Around a search in a point in time that a client sent back (empty: it is ours): one that Elasticsearch cannot
    read was changed on the way. What its shards refuse has another cause.
    """
    try:
        yield
    except BackendRejected as error:
        if not (view and isinstance(error.__cause__, elasticsearch.BadRequestError)):
            raise
        if _asked_shards(error.__cause__.body):
            raise
        raise InvalidRequest("The cursor is damaged.", pointer="/cursor", hint=_AGAIN) from error


@contextmanager
def filters_blamed(filters: Filters) -> Iterator[None]:
    """Around searches with filters: a query that Elasticsearch cannot read is the fault of whoever wrote a raw one,
    and so is a value that a field cannot have, such as a number that is too large for it.
    """
    try:
        yield
    except BackendRejected as error:
        raw = any(isinstance(each, RawFilter) for each in filters)
        if raw and is_forbidden(error):  # Elasticsearch's words name the service's account
            raise Forbidden("filters.es reads what may not be read here.", hint="Leave out other indices.") from error
        if not (filters and isinstance(error.__cause__, elasticsearch.BadRequestError)):
            raise
        if raw:
            raise InvalidRequest(
                error.message, pointer="/filters/es", hint="Mend the query under filters.es."
            ) from error
        if _NO_VALUE_TYPE not in _values(_inside(error.__cause__.body), "type"):
            raise
        raise InvalidRequest(error.message, pointer="/filters", hint="Give values that the fields can have.") from error


@contextmanager
def ranges_blamed(facets: Sequence[Facet]) -> Iterator[None]:
    """Around searches that count ranges: shards refuse a bound that the field cannot have.

    Raises InvalidRequest (pointer /facets).
    """
    try:
        yield
    except BackendRejected as error:
        cause = error.__cause__
        ranges = any(isinstance(each, RangesFacet) for each in facets)
        if not (ranges and isinstance(cause, elasticsearch.BadRequestError) and _asked_shards(cause.body)):
            raise
        raise InvalidRequest(error.message, pointer="/facets", hint="Give bounds that the fields can have.") from error


@contextmanager
def text_blamed(text: str) -> Iterator[None]:
    """Around searches by the user's text: one that the query of the index's owner does not take is the user's to mend.

    Raises InvalidRequest (pointer /query).
    """
    try:
        yield
    except BackendRejected as error:
        if not isinstance(error.__cause__, elasticsearch.BadRequestError):
            raise
        inside = _inside(error.__cause__.body)
        if not _TOO_MANY_TYPES.isdisjoint(_values(inside, "type")):
            raise InvalidRequest(
                "The query has more words than Elasticsearch takes.", pointer="/query", hint="Shorten it."
            ) from error
        if _UNREADABLE_TEXT.format(text) in _values(inside, "reason"):
            raise InvalidRequest(
                "The query is not in the grammar that this index reads (query_string).",
                pointer="/query",
                hint="Close quotes and brackets, or let base_query use simple_query_string, which takes any text.",
            ) from error
        raise


def from_status(doing: str, status: int, body: Any) -> SearchError:
    """What an answer with that status means; `body` is its JSON, or the text of something that is not Elasticsearch."""
    error = _inside(body)
    types, reason = frozenset(_values(error, "type")), _reason(error)
    if "task_cancelled_exception" in types:
        return Overloaded(f"While {doing}: an operator cancelled the task.")
    said = f"While {doing}: Elasticsearch answered {status}" + (f" ({reason})." if reason else ".")
    if status == 404 and "index_not_found_exception" in types:
        return UnknownIndex(said)
    if status == 404 and POINT_GONE_TYPE in types:
        return point_gone()
    if status == 429 and DISK_FULL_TYPE in types:
        return BackendRejected(said, hint=DISK_FULL_HINT)
    if status == 400 and (known := _known_bad_request(doing, types, reason)) is not None:
        return known
    return _BY_STATUS.get(status, BackendRejected)(said, hint=_HINTS.get(status, ""))


def _known_bad_request(doing: str, types: frozenset[str], reason: str) -> SearchError | None:
    if CLOSED_TYPE in types:
        return BackendUnavailable(f"While {doing}: the index is closed.", hint=CLOSED_HINT)
    if MANY_VALUES in reason:
        return InvalidRequest(
            "The field to collapse on has several values in some documents.", pointer="/collapse", hint=_ONE_VALUE_HINT
        )
    return None


def is_forbidden(error: SearchError) -> bool:
    """Whether Elasticsearch refused because these credentials lack a privilege."""
    return isinstance(error.__cause__, elasticsearch.AuthorizationException)


def _inside(body: Any) -> Any:
    """The error in an answer; None in one that is not Elasticsearch's."""
    return body.get("error") if isinstance(body, Mapping) else None


def _asked_shards(body: Any) -> bool:
    error = _inside(body)
    return not isinstance(error, Mapping) or "failed_shards" in error


def _callers(status: int) -> SearchError | None:
    """What is wrong with the rights of whoever asks; nothing of what Elasticsearch says of its users and roles."""
    if status == 401:
        return Unauthenticated(
            "Elasticsearch does not accept these credentials.",
            hint="Send the Authorization header that Elasticsearch expects of you.",
        )
    if status == 403:
        return Forbidden("You may not search this index.", hint="Ask for the index privilege read.")
    return None


def _values(error: Any, key: str) -> Iterator[str]:
    """Every value of `key` in an error and the errors inside it, outermost first."""
    if isinstance(error, Mapping):
        value = error.get(key)
        if isinstance(value, str) and value:
            yield value
        for inner in ("root_cause", "failed_shards", "caused_by"):
            yield from _values(error.get(inner), key)
        if isinstance(error.get("reason"), Mapping):
            yield from _values(error["reason"], key)
    elif isinstance(error, list):
        for item in error:
            yield from _values(item, key)


def _reason(error: Any) -> str:
    """The innermost reason, shortened."""
    if isinstance(error, str):
        return error[:_MAX_REASON_CHARACTERS]
    reasons = list(_values(error, "reason"))
    return reasons[-1][:_MAX_REASON_CHARACTERS] if reasons else ""
