"""What a request may ask: its query, its page, and the fields that it names on the index it searches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from searchsvc.documents import clean
from searchsvc.errors import Forbidden, InvalidRequest, json_pointer
from searchsvc.model import (
    FIRST_PAGE,
    AnyOf,
    Filters,
    Not,
    Range,
    RangesFacet,
    RawFilter,
    SearchRequest,
)
from searchsvc.schema import FieldKind, IndexField, IndexSchema
from searchsvc.suggest import did_you_mean

MAX_QUERY_CHARACTERS = 8192
MAX_DEPTH = 200
"""How many candidates may be retrieved and reranked for one answer (rerankers get worse beyond: arXiv 2411.11767)."""

_RANGED = (FieldKind.DATE, FieldKind.NUMBER)


def checked(request: SearchRequest) -> SearchRequest:
    """The request with a clean query. Raises InvalidRequest naming the field and the next step."""
    if len(request.user_query) > MAX_QUERY_CHARACTERS:
        raise InvalidRequest(
            f"The query has {len(request.user_query)} characters; at most {MAX_QUERY_CHARACTERS} are allowed.",
            pointer="/query",
            hint="Shorten it to what you are looking for.",
        )
    query = clean(request.user_query).strip()
    if not query:
        raise InvalidRequest("The query is empty.", pointer="/query", hint="Send at least one word.")
    return replace(request, user_query=query)


def check_window(request: SearchRequest) -> None:
    """Pages are cut from one window of `depth` candidates. Raises InvalidRequest if this one reaches past it."""
    depth = request.rerank.depth
    if request.cursor is not None and request.offset:
        raise InvalidRequest("from and cursor are two ways to page.", pointer="/from", hint="Leave out from.")
    if request.cursor not in (None, FIRST_PAGE) or request.offset + request.top_k <= depth:
        return
    ways = ["ask for less"]
    if request.cursor is None:
        ways.append('page with cursor "*"')
    if depth < MAX_DEPTH:
        ways.append(f"raise rerank.depth (at most {MAX_DEPTH})")
    raise InvalidRequest(
        f"from + size is {request.offset + request.top_k}, beyond depth, which is {depth}.",
        pointer="/size",
        hint=f"{', or '.join(ways).capitalize()}.",
    )


def check_fields(request: SearchRequest, schema: IndexSchema, *, raw_filters: bool) -> None:
    """Whatever the request names is on the index and of a kind that fits.

    Raises InvalidRequest with the pointer and the nearest right name; Forbidden for a raw filter where none is allowed.
    """
    _check_filters(request.filters, schema, raw_filters=raw_filters)
    for facet in request.facets:
        pointer = json_pointer("facets", facet.field)
        field = _known(facet.field, schema, pointer, "facet", (each for each in schema.fields.values() if each.facet))
        if isinstance(facet, RangesFacet):
            for bounds in facet.ranges:
                _check_range(bounds, field, pointer)
    sortable = [each for each in schema.fields.values() if each.sort]
    for key in request.sort:
        _known(key.field, schema, json_pointer("sort", key.field), "sort", sortable)
    if request.collapse is not None:
        groups = (each for each in sortable if each.kind in (FieldKind.KEYWORD, FieldKind.NUMBER))
        _known(request.collapse, schema, "/collapse", "collapse", groups)
    for names, part in ((request.fields or (), "fields"), (request.highlight, "highlight")):
        for name in names:
            _check_returned(name, schema, part)


def _check_filters(filters: Filters, schema: IndexSchema, *, raw_filters: bool) -> None:
    filterable = [each for each in schema.fields.values() if each.filter]
    for condition in filters:
        if isinstance(condition, RawFilter):
            if not raw_filters:
                raise Forbidden(
                    "Filters in Elasticsearch's own words (filters.es) are not allowed here.",
                    hint="An operator allows them with SEARCHSVC_API__ALLOW_RAW_FILTERS=true.",
                )
            continue
        inner = condition.condition if isinstance(condition, Not) else condition
        pointer = json_pointer("filters", inner.field)
        field = _known(inner.field, schema, pointer, "filter", filterable)
        if isinstance(inner, Range):
            _check_range(inner, field, pointer)
        elif isinstance(inner, AnyOf):
            for value in inner.values:
                _check_value(value, field, pointer)


def _known(name: str, schema: IndexSchema, pointer: str, what: str, allowed: Iterable[IndexField]) -> IndexField:
    names = [each.name for each in allowed]
    if name in names:
        return schema.fields[name]
    hint = f"Fields for {what}: {', '.join(names)}." if len(names) <= 12 else did_you_mean(name, names)
    raise InvalidRequest(f"There is no {what} field {name!r}.", pointer=pointer, hint=hint if names else "It has none.")


def _check_returned(name: str, schema: IndexSchema, part: str) -> None:
    returned = schema.returned
    if returned is None or any(name == each or name.startswith(f"{each}.") for each in returned):
        return
    raise InvalidRequest(
        f"The field {name!r} does not come back from this index.",
        pointer=f"/{part}",
        hint=did_you_mean(name, returned),
    )


def _check_range(bounds: Range, field: IndexField, pointer: str) -> None:
    if field.kind not in _RANGED:
        ranged = "gte, gt, lte and lt work on dates and numbers only"
        raise InvalidRequest(
            f"The field {field.name!r} holds {field.kind} values; {ranged}.",
            pointer=pointer,
            hint="Give a value or a list of values.",
        )
    for value in bounds.bounds().values():
        _check_value(value, field, pointer)


def _check_value(value: object, field: IndexField, pointer: str) -> None:
    if field.kind is FieldKind.DATE:
        _check_time(value, pointer)
        return
    fits = {
        FieldKind.KEYWORD: isinstance(value, str),
        FieldKind.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        FieldKind.BOOLEAN: isinstance(value, bool),
        FieldKind.TEXT: False,
    }[field.kind]
    if fits:
        return
    if field.kind is FieldKind.TEXT:
        raise InvalidRequest(
            f"The field {field.name!r} holds text, which has no exact values.",
            pointer=pointer,
            hint='Only {"exists": true} and {"exists": false} work on it.',
        )
    raise InvalidRequest(
        f"{value!r} is no {_WORDS[field.kind]}, which the field {field.name!r} holds.",
        pointer=pointer,
        hint=f"Give a {_WORDS[field.kind]}.",
    )


_WORDS = {FieldKind.KEYWORD: "string", FieldKind.NUMBER: "number", FieldKind.BOOLEAN: "true or false"}


def _check_time(value: object, pointer: str) -> None:
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        if (time.utcoffset() or timedelta()) % timedelta(minutes=1):
            raise ValueError(value)
        time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{value!r} is no time.", pointer=pointer, hint="Write ISO 8601, such as 2026-01-31T12:00:00Z."
        ) from None
