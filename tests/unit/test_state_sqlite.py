"""State in a file: several processes at once, and files that cannot be used."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from searchsvc.errors import BackendRejected, ConfigurationError, Overloaded
from searchsvc.state import sqlite as module
from searchsvc.state.sqlite import FILE, SqliteStateStore

PROCESSES, TIMES = 6, 15
CHILD = f"""
import asyncio, sys
from pathlib import Path
from searchsvc.errors import Conflict
from searchsvc.state.sqlite import SqliteStateStore

async def main():
    store = SqliteStateStore(Path(sys.argv[1]))
    sys.stdin.readline()
    for _ in range({TIMES}):
        while True:
            stored = await store.read("counter", "all")
            count = 0 if stored is None else stored.value["n"]
            try:
                await store.write("counter", "all", {{"n": count + 1}}, expected=stored and stored.revision)
                break
            except Conflict:
                pass

asyncio.run(main())
"""


def test_processes_that_start_on_an_empty_folder_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "data")]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    ended = [child.communicate(timeout=60) and child.returncode for child in children]
    stored = asyncio.run(SqliteStateStore(tmp_path / "data").read("counter", "all"))

    assert ended == [0] * PROCESSES
    assert stored is not None
    assert stored.value == {"n": PROCESSES * TIMES}


async def test_a_file_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(SqliteStateStore(tmp_path).write("switches", "live", {}, expected=None))
    await asyncio.wait({writing}, timeout=0.1)
    other.close()

    assert await writing == "1"


async def test_reading_makes_no_file(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "data")

    assert await store.read("switches", "live") is None
    assert await store.names("switches") == ()
    assert not (tmp_path / "data").exists()


async def test_state_outlives_the_store(tmp_path: Path) -> None:
    await SqliteStateStore(tmp_path).write("switches", "live", {"a": 1}, expected=None)
    stored = await SqliteStateStore(tmp_path).read("switches", "live")

    assert stored is not None
    assert stored.value == {"a": 1}


async def test_a_folder_removed_while_it_runs_is_made_again(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "data")
    await store.write("switches", "live", {"a": 1}, expected=None)
    shutil.rmtree(tmp_path / "data")

    assert await store.read("switches", "live") is None
    assert await store.write("switches", "live", {"a": 2}, expected=None)


async def test_a_file_that_is_no_database_is_told_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    store = SqliteStateStore(tmp_path)

    with pytest.raises(BackendRejected, match=r"state.sqlite is damaged.*Move it away"):
        await store.read("switches", "live")
    with pytest.raises(BackendRejected, match="is damaged"):
        await store.write("switches", "live", {}, expected=None)


async def test_a_table_of_another_shape_is_told_with_the_next_step(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("CREATE TABLE documents (something TEXT)")
    database.close()

    with pytest.raises(BackendRejected, match="no such column"):
        await SqliteStateStore(tmp_path).read("switches", "live")


@pytest.mark.parametrize("value", ["[1]", "{", "3"])
async def test_a_document_that_is_no_json_object_is_told(tmp_path: Path, value: str) -> None:
    store = SqliteStateStore(tmp_path)
    await store.write("switches", "live", {"a": 1}, expected=None)
    database = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    database.execute("UPDATE documents SET value = ?", (value,))
    database.close()

    with pytest.raises(BackendRejected, match="switches 'live' is no JSON object"):
        await store.read("switches", "live")


async def test_a_folder_that_cannot_be_made_is_told_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="SEARCHSVC_DATA_DIR"):
        await SqliteStateStore(tmp_path / "file" / "data").write("switches", "live", {}, expected=None)
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigurationError, match="SEARCHSVC_DATA_DIR"):
        await SqliteStateStore(tmp_path).read("switches", "live")


async def test_a_file_held_by_another_process_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    store = SqliteStateStore(tmp_path)
    await store.write("switches", "live", {"a": 1}, expected=None)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Overloaded, match="other processes hold"):
        await store.write("switches", "other", {}, expected=None)
    stored = await store.read("switches", "live")
    other.close()

    assert stored is not None  # reading goes on meanwhile
    assert stored.value == {"a": 1}


async def test_an_access_that_waits_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path)
    await store.write("switches", "live", {"a": 1}, expected=None)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write("switches", "other", {}, expected=None))
    done, _ = await asyncio.wait({writing}, timeout=0.1)
    other.close()

    assert not done
    assert await writing == "1"
