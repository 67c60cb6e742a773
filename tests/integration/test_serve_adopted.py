"""`searchsvc serve` and `search` with tables of adopted indices and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.adopted import make_articles
from tests.support.elastic import own_name, raw_client

pytestmark = pytest.mark.es

_SEARCHSVC = (sys.executable, "-W", "ignore", "-m", "searchsvc")
GOOD = """
[indices.{name}]
text_fields = ["title^3", "body", "comments.text"]
nested = ["comments"]
title = "title"
facets = ["tags"]

[indices."{name}*"]
text_fields = ["title"]
"""


@pytest.fixture(scope="module")
def name(es_url: str) -> Iterator[str]:
    """An index of articles."""
    own = own_name()
    asyncio.run(make_articles(es_url, own, count=20))
    yield own
    asyncio.run(_delete(es_url, own))


async def _delete(url: str, index: str) -> None:
    async with raw_client(url) as client:
        await client.indices.delete(index=index)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, es_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", es_url)
    monkeypatch.setenv("SEARCHSVC_API__PORT", "0")


def tables(text: str) -> None:
    Path("searchsvc.toml").write_text(text, "utf-8")


def refusal(*command: str) -> str:
    """What a command says that ends with 2."""
    ended = subprocess.run(
        [*_SEARCHSVC, *command], env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


@pytest.mark.slow  # a process of its own
def test_tables_that_do_not_fit_end_the_start_with_all_that_is_wrong(name: str) -> None:
    tables(f'[indices.{name}]\ntext_fields = ["titel", "comments.text"]\n[indices.other]\ntext_fields = ["x"]\n')

    said = refusal("serve")

    assert f'[indices.{name}] text_fields: "titel" is not there' in said
    assert "Did you mean title?" in said
    assert 'nested = ["comments"]' in said
    assert "[indices.other] index: there is no index" in said


@pytest.mark.slow
def test_a_query_of_ones_own_that_elasticsearch_refuses_ends_the_start(name: str) -> None:
    query = '{"matsch": {"title": "{{query}}"}}'
    tables(f"[indices.{name}]\ntext_fields = ['title']\nbase_query = '{query}'\n")

    said = refusal("serve")

    assert f"[indices.{name}]" in said
    assert "unknown field [matsch]" in said


@pytest.mark.slow
def test_a_search_without_a_name_tells_which_there_are(name: str) -> None:
    tables(GOOD.format(name=name))

    said = refusal("search", "python")

    assert "There is no index 'documents'" in said
    assert name in said


def test_adopted_indices_alone_are_served(name: str) -> None:
    tables(GOOD.format(name=name))
    with _serving() as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/readyz") as reply:
            ready = json.load(reply)
        process.terminate()
        said = process.communicate(timeout=20)[1].decode()

    assert {name, f"{name}*"} <= set(ready["indices"])
    assert f"index {name}: {name}\n" in said
    assert f"index {name}*: {name}\n" in said
    assert "demo" not in said


@pytest.mark.slow
def test_an_elasticsearch_that_cannot_be_reached_is_told_and_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", "http://127.0.0.1:1")
    tables(GOOD.format(name=name))
    with _serving() as process:
        assert process.stdout is not None
        assert "url" in json.loads(process.stdout.readline())
        process.terminate()
        said = process.communicate(timeout=20)[1].decode()

    assert f"index {name} not reached yet: " in said


def _serving() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_SEARCHSVC, "serve", "--json"], env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
