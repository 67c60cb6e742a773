"""Every error of the client comes out as one of ours."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import elastic_transport
import elasticsearch
import elasticsearch.exceptions
import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig

from searchsvc.elastic.errors import MANY_VALUES, is_forbidden, translated
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
from tests.support.recorded_elasticsearch import recorded

NODE = NodeConfig("http", "127.0.0.1", 9200)
LIBRARY_ERRORS = sorted(
    {
        value
        for module in (elastic_transport, elasticsearch, elasticsearch.exceptions)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and not issubclass(value, Warning)
    },
    key=lambda each: f"{each.__module__}.{each.__name__}",
)


def api_error(status: int, body: Any) -> elasticsearch.ApiError:
    meta = ApiResponseMeta(node=NODE, duration=0.1, http_version="1.1", status=status, headers=HttpHeaders())
    kind = elasticsearch.exceptions.HTTP_EXCEPTIONS.get(status, elasticsearch.ApiError)
    return kind(message="m", meta=meta, body=body)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, elastic_transport.ApiError):
        return kind("m", meta=api_error(400, None).meta, body=None)
    return kind("m")


def translation(error: BaseException, *, in_callers_name: bool = False) -> SearchError:
    with (
        pytest.raises(SearchError) as caught,
        translated("searching documents", in_callers_name=in_callers_name),
    ):
        raise error
    return caught.value


@pytest.mark.parametrize("kind", LIBRARY_ERRORS)
def test_no_error_of_the_two_libraries_passes(kind: type[Exception]) -> None:
    assert "searching documents" in translation(made(kind)).message


def test_the_walk_finds_the_errors() -> None:
    assert {elastic_transport.TlsError, elasticsearch.UnsupportedProductError, elasticsearch.NotFoundError} <= set(
        LIBRARY_ERRORS
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (elastic_transport.ConnectionTimeout("slow"), BackendTimeout),
        (TimeoutError(), BackendTimeout),
        (elastic_transport.ConnectionError("refused"), BackendUnavailable),
        (elastic_transport.TlsError("certificate"), BackendRejected),
        (elastic_transport.SerializationError("cut"), BackendUnavailable),
        (elastic_transport.SniffingError("none"), BackendUnavailable),
    ],
)
def test_no_answer_is_told_from_a_refusal(error: Exception, kind: type[SearchError]) -> None:
    assert type(translation(error)) is kind


@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        (400, "parsing_exception", BackendRejected),
        (400, "task_cancelled_exception", Overloaded),
        (400, "index_closed_exception", BackendUnavailable),
        (401, "security_exception", BackendRejected),
        (403, "security_exception", BackendRejected),
        (404, "index_not_found_exception", UnknownIndex),
        (404, "document_missing_exception", BackendRejected),
        (405, "", BackendRejected),
        (408, "", BackendTimeout),
        (409, "version_conflict_engine_exception", BackendRejected),
        (413, "", BackendRejected),
        (429, "es_rejected_execution_exception", Overloaded),
        (429, "circuit_breaking_exception", Overloaded),
        (429, "cluster_block_exception", BackendRejected),
        (500, "null_pointer_exception", BackendRejected),
        (502, "", BackendUnavailable),
        (503, "no_shard_available_action_exception", BackendUnavailable),
        (504, "search_timeout_exception", BackendTimeout),
    ],
)
def test_a_status_means(status: int, error_type: str, kind: type[SearchError]) -> None:
    wrapped = {"type": "search_phase_execution_exception", "root_cause": [{"type": error_type, "reason": "because"}]}

    assert type(translation(api_error(status, {"error": wrapped, "status": status}))) is kind


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("error_missing_index", UnknownIndex, "no such index [e-none]"),
        ("error_bad_query", BackendRejected, "unknown field [nope]"),
        ("error_too_many_clauses", BackendRejected, "maxClauseCount is set to"),
        ("error_all_shards_failed", BackendRejected, "No mapping found for [doc_id]"),
        ("error_overloaded", Overloaded, "rejected execution"),
    ],
)
def test_a_real_error_says_its_innermost_reason(name: str, kind: type[SearchError], said: str) -> None:
    answer = recorded(name)
    error = translation(api_error(answer["status"], answer["body"]))

    assert type(error) is kind
    assert said in error.message
    assert len(error.message) < 600


def test_a_missing_privilege_is_named() -> None:
    reason = "action [indices:data/write/index] is unauthorized, granted by the index privileges [index,write,all]"
    error = translation(api_error(403, {"error": {"type": "security_exception", "reason": reason}}))

    assert reason in error.message
    assert "privilege" in error.hint


def test_a_closed_index_is_away_and_may_come_back() -> None:
    error = translation(api_error(400, {"error": {"type": "index_closed_exception", "reason": "closed"}}))

    assert "closed" in error.message
    assert "_open" in error.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthenticated), (403, Forbidden), (400, BackendRejected), (429, Overloaded), (503, BackendUnavailable)],
)
def test_rights_are_those_of_the_caller_where_the_search_is_in_the_callers_name(
    status: int, kind: type[SearchError]
) -> None:
    assert type(translation(api_error(status, {}), in_callers_name=True)) is kind


@pytest.mark.parametrize("status", [401, 403])
def test_a_caller_is_told_nothing_of_users_and_roles(status: int) -> None:
    reason = "action [x] is unauthorized for user [eve] with effective roles [spies]"
    error = translation(
        api_error(status, {"error": {"type": "security_exception", "reason": reason}}), in_callers_name=True
    )

    assert "eve" not in str(error)
    assert "spies" not in str(error)
    assert error.hint


@pytest.mark.parametrize(("status", "forbidden"), [(403, True), (401, False), (400, False), (404, False)])
def test_a_missing_privilege_is_told_from_other_refusals(status: int, forbidden: bool) -> None:
    assert is_forbidden(translation(api_error(status, {}))) is forbidden


def test_a_page_of_a_proxy_is_not_repeated() -> None:
    error = translation(api_error(502, "<html>bad gateway</html>"))

    assert isinstance(error, BackendUnavailable)
    assert "html" not in str(error)


def test_a_cancelled_task_stays_cancelled() -> None:
    with pytest.raises(asyncio.CancelledError), translated("searching documents"):
        raise asyncio.CancelledError


def test_our_own_errors_pass_as_they_are() -> None:
    ours = BackendTimeout("no time is left")

    assert translation(ours) is ours


def test_a_field_of_several_values_that_is_collapsed_on_is_the_mistake_of_whoever_asks() -> None:
    reason = {"type": "illegal_argument_exception", "reason": "failed to extract doc:8, " + MANY_VALUES}
    error = translation(api_error(400, {"error": {"type": "search_phase_execution_exception", "root_cause": [reason]}}))

    assert isinstance(error, InvalidRequest)
    assert error.pointer == "/collapse"
    assert error.hint
