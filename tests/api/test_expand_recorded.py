"""Recorded expansions are files of the service's machine: no request from outside may name one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize("path", ["/v1/search", "/v1/expand"])
@pytest.mark.parametrize(
    ("expansion", "pointer"),
    [
        ({"file": "said.jsonl"}, "/expansion/file"),
        ({"run": "mugi/gpt"}, "/expansion/run"),
        ({"method": "recorded", "file": "/etc/passwd"}, "/expansion/file"),
        ({"recorded": {"file": "said.jsonl"}}, "/expansion/recorded"),
        ({"method": "recorded"}, "/expansion"),
        ({"method": "neighbours+recorded*0.5"}, "/expansion"),
        ({"methods": [{"name": "recorded"}]}, "/expansion"),
        ({"mode": "auto", "method": "recorded"}, "/expansion"),
        ({"mode": "shadow", "method": "recorded"}, "/expansion"),
    ],
)
async def test_a_request_cannot_read_a_file(
    client: httpx.AsyncClient, path: str, expansion: dict[str, Any], pointer: str
) -> None:
    reply = await client.post(path, json={"query": "网络不通", "expansion": expansion})

    assert reply.status_code == 422
    assert [error["pointer"] for error in reply.json()["errors"]] == [pointer]


async def test_the_word_alone_is_no_way_in_either(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/search", json={"query": "网络不通", "expansion": "recorded"})

    assert reply.status_code == 422
    assert "which searchsvc evaluate takes" in reply.json()["next_step"]
