"""Cursors that a client has unpacked, changed and packed again: refused or answered, they never break anything."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import httpx
import pytest

from tests.api.test_search import SEARCH, assert_problem, search

ASKED = {"query": "网络 network null docker", "rerank": {"depth": 2}, "expansion": "off"}
VALUES = [
    *(None, True, -1, 2**31, 10**18, 10**30, float("nan"), float("inf"), "x", "\ud800"),
    *({}, [], [[]], [1], [1, 2], ["-5", "eq"], [10**30, "gte"], {"a": 1}),
]


def unpacked(cursor: str) -> Any:
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))


def packed(value: Any) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode().rstrip("=")


async def assert_no_harm(client: httpx.AsyncClient, forged: Any) -> None:
    for size in (1, 200):
        reply = await client.post(SEARCH, json={**ASKED, "size": size, "cursor": packed(forged)})
        if reply.status_code != 200:
            assert_problem(reply, 422, "/cursor")


@pytest.mark.parametrize("value", VALUES, ids=str)
async def test_any_part_of_a_cursor_may_be_anything(client: httpx.AsyncClient, value: Any) -> None:
    first = unpacked((await search(client, **ASKED, size=2, cursor="*"))["next_cursor"])
    window = first[2]

    for place in range(len(first)):
        await assert_no_harm(client, [*first[:place], value, *first[place + 1 :]])
    for place in range(len(window[0])):
        line = [*window[0][:place], value, *window[0][place + 1 :]]
        await assert_no_harm(client, [*first[:2], [line, *window[1:]], *first[3:]])


@pytest.mark.parametrize("doc_id", ["\ud800", "x" * 40_000, "", "\0"])
async def test_a_window_may_hold_what_no_document_can_be_called(client: httpx.AsyncClient, doc_id: str) -> None:
    first = unpacked((await search(client, **ASKED, size=2, cursor="*"))["next_cursor"])
    first[2][0][0], first[4] = doc_id, 0

    page = await search(client, **ASKED, size=2, cursor=packed(first))
    assert doc_id not in [hit["doc_id"] for hit in page["hits"]]


async def test_a_window_that_no_search_has_is_refused(client: httpx.AsyncClient) -> None:
    first = unpacked((await search(client, **ASKED, size=2, cursor="*"))["next_cursor"])
    first[2] *= 1000

    assert_problem(await client.post(SEARCH, json={**ASKED, "size": 2, "cursor": packed(first)}), 422, "/cursor")


async def test_a_small_cursor_that_unpacks_to_much_is_refused(client: httpx.AsyncClient) -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" * 50_000_000)).decode()

    assert_problem(await client.post(SEARCH, json={**ASKED, "size": 2, "cursor": bomb}), 422, "/cursor")
