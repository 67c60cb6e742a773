"""Searches in the caller's name: what is taken from the header, and that it appears nowhere."""

from __future__ import annotations

import base64
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchsvc.errors import BackendRejected, Forbidden, Unauthenticated
from searchsvc.model import SearchRequest
from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime
from tests.api.conftest import asking
from tests.api.test_search import SEARCH, assert_problem

SECRET = "s3cr3t-of-the-caller"
BASIC = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()


class Asked:
    """A service that notes what it is asked, and fails as it is told to."""

    def __init__(self, failure: Callable[[SearchRequest], Exception]) -> None:
        self.requests: list[SearchRequest] = []
        self._failure = failure

    async def search(self, request: SearchRequest) -> None:
        self.requests.append(request)
        raise self._failure(request)


@asynccontextmanager
async def serving(
    tmp_path: Path,
    *,
    run_as: str = "caller",
    failure: Callable[[SearchRequest], Exception] = lambda _: Forbidden("No."),
) -> AsyncIterator[tuple[httpx.AsyncClient, Asked]]:
    settings = Settings(data_dir=tmp_path, engine="elasticsearch", elasticsearch={"run_as": run_as})
    service = Asked(failure)
    async with (
        open_runtime(settings) as runtime,
        asking(dataclasses.replace(runtime, service=service)) as client,
    ):
        yield client, service


async def test_the_header_goes_with_the_search(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, service):
        await client.post(SEARCH, json={"query": "a"}, headers={"Authorization": BASIC})

    caller = service.requests[0].caller
    assert caller is not None
    assert caller.authorization == BASIC
    assert caller.identity == "basic reader"


async def test_where_the_service_searches_the_header_is_for_somebody_else(tmp_path: Path) -> None:
    async with serving(tmp_path, run_as="service") as (client, service):
        await client.post(SEARCH, json={"query": "a"}, headers={"Authorization": BASIC})
        await client.post(SEARCH, json={"query": "a"}, headers={"Authorization": "nonsense"})

    assert [request.caller for request in service.requests] == [None, None]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Basic")],
        [("Authorization", "Basic   ")],
        [("Authorization", SECRET)],
        [("Authorization", "Bearer \xe9\xe9" + SECRET)],
        [("Authorization", f"Bearer a\tb{SECRET}")],
        [("Authorization", BASIC), ("Authorization", f"Bearer {SECRET}")],
        [("Authorization", f"Bearer {SECRET}" + "a" * 12_000)],
    ],
)
async def test_without_one_whole_header_nothing_is_searched(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with serving(tmp_path) as (client, service):
        reply = await client.post(SEARCH, json={"query": "a"}, headers=sent)

    problem = assert_problem(reply, 401)
    assert reply.headers["www-authenticate"] == 'Basic realm="searchsvc"'
    assert "Authorization" in problem["detail"] + problem["next_step"]
    assert SECRET not in reply.text
    assert service.requests == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthenticated("Elasticsearch does not know the caller."), 401),
        (Forbidden("The caller may not read articles."), 403),
        (BackendRejected("no"), 502),
        (ValueError("a bug"), 500),
    ],
)
async def test_the_secret_is_in_no_answer_and_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception, status: int
) -> None:
    caplog.set_level(logging.DEBUG)

    async with serving(tmp_path, failure=lambda _: error) as (client, service):
        reply = await client.post(SEARCH, json={"query": "a"}, headers={"Authorization": BASIC})

    assert_problem(reply, status)
    assert ("www-authenticate" in reply.headers) == (status == 401)
    for shown in (reply.text, str(reply.headers), caplog.text, repr(service.requests)):
        assert SECRET not in shown
        assert BASIC.split()[1] not in shown


async def test_a_wrong_body_is_told_without_the_secret(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _):
        reply = await client.post(SEARCH, json={"query": 7}, headers={"Authorization": BASIC})

    assert_problem(reply, 422, "/query")
    assert BASIC.split()[1] not in reply.text


async def test_the_description_names_both_refusals(client: httpx.AsyncClient) -> None:
    description: dict[str, Any] = (await client.get("/openapi.json")).json()

    assert {"401", "403"} <= set(description["paths"][SEARCH]["post"]["responses"])
