"""A real process that loads documents is killed at the worst moments: nothing half-built is seen, a rerun is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from tests.support.embedded import analyzer, ids, load, loaded_folder, soon, words_query
from tests.support.requests import wanted

pytestmark = pytest.mark.slow  # processes of their own

ALL = 300
CHILD = f"""
import asyncio, sys, time
from pathlib import Path
from searchsvc.documents import Document
from searchsvc.embedded import loading, store
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.text import Analyzer

folder, stage = Path(sys.argv[1]), sys.argv[2]

def hang(*arguments):
    print("here", flush=True)
    time.sleep(60)

def documents():
    for number in range({ALL}):
        if stage == "half of the documents" and number == {ALL} // 2:
            hang()
        yield Document(doc_id=str(number), text=f"new article {{number}}")

if stage == "before the words":
    loading.build_vocabulary = hang
if stage == "before publishing":
    store.DataFolder.publish = hang

async def main():
    engine = EmbeddedEngine(folder, Analyzer())
    await engine.admin.load("documents", documents(), progress=lambda _: None)

asyncio.run(main())
"""

STAGES = ("half of the documents", "before the words", "before publishing")


@contextmanager
def _killed_at(folder: Path, stage: str) -> Iterator[None]:
    """Runs the body while the child hangs at `stage`, then kills the child."""
    command = [sys.executable, "-c", CHILD, str(folder), stage]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "here\n"
            yield
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL


def _documents() -> list[Document]:
    return [Document(doc_id=str(number), text=f"new article {number}") for number in range(ALL)]


async def _assert_whole(engine: EmbeddedEngine) -> None:
    index = await engine.open("documents")
    found = await index.retriever.retrieve(wanted(words_query("article")))
    assert found.total.value == ALL
    statistics = await index.statistics.document_frequencies(["new"], deadline=soon())
    assert (statistics.doc_count, statistics.df["new"]) == (ALL, ALL)
    assert [each.documents for each in await engine.admin.status() if each.alias] == [ALL]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_first_load_that_is_killed_is_not_seen_and_a_rerun_is_whole(tmp_path: Path, stage: str) -> None:
    engine = EmbeddedEngine(tmp_path, analyzer())
    with _killed_at(tmp_path, stage):
        assert await engine.names() == ()

    assert await engine.names() == ()
    report = await load(engine, "documents", _documents())
    assert (report.loaded, report.duplicates, report.live) == (ALL, 0, True)
    assert len(await engine.admin.status()) == 1
    await _assert_whole(engine)
    await engine.close()


async def test_a_load_into_the_live_index_that_is_killed_leaves_what_was_there(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, analyzer())
    await load(engine, "documents", [Document(doc_id="7", text="old article")])
    with _killed_at(tmp_path, "half of the documents"):
        assert await ids(engine, "documents", "article") == ["7"]

    assert await ids(engine, "documents", "old article") == ["7"]
    await load(engine, "documents", _documents())
    await _assert_whole(engine)
    await engine.close()


def test_the_vectors_of_a_killed_load_are_kept(tmp_path: Path) -> None:
    with _killed_at(tmp_path, "half of the documents"):
        pass
    rows = next((tmp_path / "vectors").glob("*.f16"))
    kept = rows.stat().st_size

    loaded_folder(tmp_path, _documents()[: ALL // 3])
    assert kept > 0
    assert rows.stat().st_size - kept < 20 * 1024
