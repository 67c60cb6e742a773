from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import tantivy

from searchsvc.documents import Document
from searchsvc.embedded import engine as engine_module
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.fields import OpenTantivy, create_tantivy, open_tantivy
from searchsvc.embedded.store import DataFolder
from searchsvc.errors import BackendRejected, ConfigurationError, InvalidDocuments, Overloaded, UnknownIndex
from searchsvc.protocols import ExpandRequest
from searchsvc.text import Analyzer
from tests.support.embedded import analyzer, ids, load, soon, words_query
from tests.support.requests import wanted


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(tmp_path, analyzer())
    yield engine
    await engine.close()


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    """Shares nothing but the folder with `engine`, as another process would."""
    reader = EmbeddedEngine(tmp_path, Analyzer())
    yield reader
    await reader.close()


def _documents(*texts: str) -> list[Document]:
    return [Document(doc_id=str(number), text=text) for number, text in enumerate(texts)]


async def test_an_engine_without_documents_has_no_names(engine) -> None:
    assert await engine.names() == ()
    assert await engine.admin.status() == ()
    with pytest.raises(UnknownIndex, match="documents"):
        await engine.open("documents")


async def test_the_first_load_publishes(engine, reader) -> None:
    report = await load(engine, "documents", _documents("red", "green"))

    assert (report.loaded, report.duplicates, report.live) == (2, 0, True)
    assert await reader.names() == ("documents",)
    assert await ids(reader, "documents", "green") == ["1"]
    assert [(each.alias, each.documents, each.complete) for each in await reader.admin.status()] == [
        ("documents", 2, True)
    ]
    assert (await reader.admin.status())[0].bytes > 1000


async def test_a_load_into_the_live_index_is_seen_by_readers_that_have_it_open(engine, reader) -> None:
    await load(engine, "documents", _documents("red", "green"))
    before = await reader.open("documents")
    assert await reader.open("documents") is before
    await load(engine, "documents", [Document(doc_id="1", text="blue"), Document(doc_id="9", text="green")])

    assert await ids(reader, "documents", "green") == ["9"]
    assert await ids(reader, "documents", "blue") == ["1"]
    held = await before.retriever.retrieve(wanted(words_query("green"), top_k=9))
    assert [each.doc_id for each in held.ranking] == ["1"]


async def test_the_last_document_of_an_id_wins_and_the_others_are_counted(engine) -> None:
    documents = [Document(doc_id=str(number % 100), text=str(number)) for number in range(250)]
    report = await load(engine, "documents", documents)

    assert (report.loaded, report.duplicates) == (100, 150)
    assert await ids(engine, "documents", "0 50 149 199 249") == ["49", "99"]


async def test_loading_the_same_again_changes_nothing(engine) -> None:
    documents = _documents("red", "green red", "blue")
    await load(engine, "documents", documents)
    first = await (await engine.open("documents")).statistics.document_frequencies(["red"], deadline=soon())
    report = await load(engine, "documents", documents)
    again = await (await engine.open("documents")).statistics.document_frequencies(["red"], deadline=soon())

    assert report.loaded == 3
    assert first == again
    assert (again.doc_count, again.df) == (3, {"red": 2})


async def test_a_new_index_stays_unseen_until_it_is_swapped_in(engine, reader) -> None:
    first = (await load(engine, "documents", _documents("red"))).index
    second = await engine.admin.create("documents")
    report = await load(engine, "documents", _documents("green"))

    assert (report.index, report.live) == (second, False)
    assert await ids(reader, "documents", "green") == []
    assert await engine.admin.swap("documents") == second
    assert await ids(reader, "documents", "green") == ["0"]
    assert {each.index: each.alias for each in await reader.admin.status()} == {first: None, second: "documents"}


async def test_swapping_back_needs_the_name_of_the_older_index(engine) -> None:
    first = (await load(engine, "documents", _documents("red"))).index
    await load(engine, await engine.admin.create("documents"), _documents("green"))
    await engine.admin.swap("documents")

    with pytest.raises(UnknownIndex, match="no complete index"):
        await engine.admin.swap("documents")
    assert await engine.admin.swap("documents", physical=first) == first
    assert await ids(engine, "documents", "red") == ["0"]


async def test_an_index_whose_load_did_not_end_cannot_be_published(engine) -> None:
    await load(engine, "documents", _documents("red"))
    empty = await engine.admin.create("documents")

    for physical in (None, empty, "other-v1-20260101000000", "documents"):
        with pytest.raises(UnknownIndex):
            await engine.admin.swap("documents", physical=physical)
    assert await ids(engine, "documents", "red") == ["0"]


async def test_a_load_whose_input_fails_leaves_the_index_as_it_was(engine) -> None:
    await load(engine, "documents", _documents("red", "green"))

    def broken() -> Iterator[Document]:
        yield from _documents(*["blue"] * 100)
        raise InvalidDocuments("line 101: not JSON")

    with pytest.raises(InvalidDocuments, match="line 101"):
        await load(engine, "documents", broken())
    assert [each.complete for each in await engine.admin.status()] == [False]
    assert await ids(engine, "documents", "red blue") == ["0"]
    await load(engine, "documents", _documents("blue"))
    assert await ids(engine, "documents", "red blue") == ["0"]
    assert [each.complete for each in await engine.admin.status()] == [True]


async def test_files_of_a_commit_that_was_killed_before_its_last_write_do_not_stop_the_rerun(
    engine, tmp_path: Path
) -> None:
    """The search library makes the same files again, under the same names, and refuses to overwrite any."""
    physical = (await load(engine, "documents", _documents("red", "green"))).index
    committed = tmp_path / "indices" / physical / "tantivy" / "meta.json"
    before = committed.read_bytes()
    await load(engine, "documents", _documents("blue"))
    committed.write_bytes(before)

    await load(engine, "documents", _documents("blue"))
    assert await ids(engine, "documents", "red green blue") == ["0", "1"]


async def test_an_empty_load_makes_an_index_that_finds_nothing(engine) -> None:
    await load(engine, "documents", [])

    assert await ids(engine, "documents", "red") == []


async def test_the_loop_runs_and_searches_answer_while_documents_load(engine) -> None:
    await load(engine, "documents", _documents("red"))
    reports: list[int] = []
    go_on = threading.Event()

    def slow() -> Iterator[Document]:
        yield from _documents("green")
        assert go_on.wait(10)

    loading = asyncio.create_task(engine.admin.load("documents", slow(), progress=reports.append))
    await asyncio.sleep(0.05)
    assert await ids(engine, "documents", "red") == ["0"]
    assert not loading.done()
    go_on.set()
    await loading
    assert reports[-1] == 1
    assert await ids(engine, "documents", "green") == ["0"]


async def test_a_second_load_is_refused_while_one_runs(engine, reader) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[Document]:
        begun.set()
        assert go_on.wait(10)
        yield from _documents("green")

    loading = asyncio.create_task(load(engine, "documents", slow()))
    await asyncio.to_thread(begun.wait, 10)
    with pytest.raises(Overloaded):
        await load(reader, "other", _documents("red"))
    go_on.set()
    await loading
    assert await reader.names() == ("documents",)


async def test_a_cancelled_load_stops_and_can_be_run_again(engine, reader) -> None:
    begun = threading.Event()

    def endless() -> Iterator[Document]:
        for number in range(10**9):
            begun.set()
            yield Document(doc_id=str(number), text="endless")

    loading = asyncio.create_task(load(engine, "documents", endless()))
    await asyncio.to_thread(begun.wait, 10)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await _until_free(reader)
    assert await ids(reader, "documents", "endless red") == ["0"]


async def _until_free(engine: EmbeddedEngine) -> None:
    """The thread sees at its next report that it is to stop."""
    for _ in range(100):
        try:
            await load(engine, "documents", _documents("red"))
        except Overloaded:
            await asyncio.sleep(0.05)
        else:
            return


async def test_an_index_of_another_text_analysis_is_refused(engine, tmp_path: Path) -> None:
    live = (await load(engine, "documents", _documents("red"))).index
    words = tmp_path / "words.txt"
    words.write_text("空指针 10000\n", encoding="utf-8")
    other = EmbeddedEngine(tmp_path, Analyzer(words))

    for attempt in (
        other.open("documents"),
        load(other, live, _documents("green")),
        other.admin.swap("documents", physical=live),
    ):
        with pytest.raises(BackendRejected, match="another text analysis"):
            await attempt
    await other.close()


@pytest.mark.parametrize(
    "victim", ["tantivy/meta.json", "tantivy/*.term", "tantivy/*.store", "vocabulary.json", "meta.json"]
)
@pytest.mark.parametrize("damage", ["empty", "cut", "gone"])
async def test_a_damaged_index_is_said(engine, tmp_path: Path, victim: str, damage: str) -> None:
    physical = (await load(engine, "documents", _documents("red"))).index
    path = next((tmp_path / "indices" / physical).glob(victim))
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    reader = EmbeddedEngine(tmp_path, analyzer())

    with pytest.raises((BackendRejected, UnknownIndex), match=physical):
        await reader.open("documents")
    await reader.close()


async def test_a_published_index_whose_folder_is_gone_is_damaged_not_unknown(engine, tmp_path: Path) -> None:
    physical = (await load(engine, "documents", _documents("red"))).index
    shutil.rmtree(tmp_path / "indices" / physical)

    with pytest.raises(BackendRejected, match="folder is gone"):
        await engine.open("documents")


async def test_a_load_mends_a_name_whose_index_is_gone(engine, tmp_path: Path) -> None:
    physical = (await load(engine, "documents", _documents("red"))).index
    shutil.rmtree(tmp_path / "indices" / physical)

    report = await load(engine, "documents", _documents("green"))

    assert report.live
    assert await ids(engine, "documents", "green") == ["0"]


async def test_vectors_that_are_gone_leave_a_search_without_neighbours(engine, reader, tmp_path: Path) -> None:
    await load(engine, "documents", _documents("red router", "green cable"))
    shutil.rmtree(tmp_path / "vectors")
    index = await reader.open("documents")

    found = await index.neighbours.expand(ExpandRequest(user_query="router", deadline=soon(), terms=8))

    assert found.terms == ()


@pytest.mark.parametrize("change", [{"neighbours": [[[99], [0.9]]]}, {"surfaces": []}])
async def test_a_vocabulary_that_contradicts_itself_is_damaged(engine, reader, tmp_path: Path, change) -> None:
    physical = (await load(engine, "documents", _documents("red router"))).index
    path = tmp_path / "indices" / physical / "vocabulary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(BackendRejected, match="vocabulary"):
        await reader.open("documents")


async def test_what_a_later_version_adds_to_the_meta_file_is_no_damage(engine, reader, tmp_path: Path) -> None:
    physical = (await load(engine, "documents", _documents("red"))).index
    path = tmp_path / "indices" / physical / "meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))

    assert await ids(reader, "documents", "red") == ["0"]


def test_an_assertion_that_fails_in_the_search_library_is_an_error_like_others(tmp_path: Path) -> None:
    """It reaches Python as a BaseException; damaged bytes can cause one, and a limit of 0 does."""
    index = create_tantivy(tmp_path, "small")

    with pytest.raises(BackendRejected, match="small cannot be searched"), index_errors("searched", "small"):
        index.searcher().search(tantivy.Query.all_query(), 0)


@pytest.mark.parametrize("error", [ValueError("damaged"), OSError(28, "No space left on device"), IndexError("0")])
def test_errors_of_the_search_library_become_ours(error: Exception) -> None:
    with pytest.raises(BackendRejected, match="small cannot be written"), index_errors("written", "small"):
        raise error


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        (
            'IoError(Os { code: 30, kind: ReadOnlyFilesystem, message: "Read-only file system" })',
            "Read-only file system",
        ),
        ('IoError(Os { code: 13, kind: PermissionDenied, message: "Permission denied" })', "Permission denied"),
        ("IoError(Custom)", "Failed to acquire Lockfile: IoError(Custom)"),
    ],
)
def test_a_folder_that_readers_cannot_lock_must_be_made_writable(system: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="must be writable") as caught, index_errors("opened", "small"):
        raise ValueError(f"Failed to acquire Lockfile: {system}. None.")

    assert caught.value.message.endswith(f"lock file there: {reason}.")
    assert "SEARCHSVC_DATA_DIR" in caught.value.hint


async def test_an_index_in_a_folder_where_no_lock_can_be_put_is_said(engine, tmp_path: Path) -> None:
    """The system refuses the file as it does on a read-only disk, for root too: a folder stands in its place."""
    physical = (await load(engine, "documents", _documents("red"))).index
    lock = tmp_path / "indices" / physical / "tantivy" / ".tantivy-meta.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    reader = EmbeddedEngine(tmp_path, analyzer())

    with pytest.raises(ConfigurationError, match=f"{physical} cannot be opened: its folder must be writable") as caught:
        await reader.open("documents")
    await reader.close()
    assert "None" not in str(caught.value)
    assert "Os {" not in str(caught.value)


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, UnknownIndex("x")])
def test_other_errors_are_left_alone(error: type[BaseException] | BaseException) -> None:
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), index_errors("written", "small"):
        raise error


async def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    engine = EmbeddedEngine(tmp_path / "file", analyzer())

    with pytest.raises(ConfigurationError, match="cannot be written"):
        await load(engine, "documents", _documents("red"))
    await engine.close()


async def test_an_alias_to_an_index_that_was_removed_by_hand_is_said(engine, tmp_path: Path) -> None:
    await load(engine, "documents", _documents("red"))
    DataFolder(tmp_path).publish("documents", "documents-v1-20000101000000")

    with pytest.raises(BackendRejected, match="documents-v1-20000101000000"):
        await engine.open("documents")


async def test_an_opening_that_takes_longer_than_a_search_waits_is_done_once(
    engine, reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(engine, "documents", _documents("red"))
    opened: list[str] = []

    def slow(path: Path, index: str) -> OpenTantivy:
        opened.append(index)
        time.sleep(0.2)
        return open_tantivy(path, index)

    monkeypatch.setattr(engine_module, "open_tantivy", slow)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.open("documents")

    assert await ids(reader, "documents", "red") == ["0"]
    assert len(opened) == 1


async def test_an_index_that_changes_while_it_is_opened_is_opened_again(
    engine, reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(engine, "documents", _documents("red"))
    begun, go_on = threading.Event(), threading.Event()

    def waits(path: Path, index: str) -> OpenTantivy:
        found = open_tantivy(path, index)
        begun.set()
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(engine_module, "open_tantivy", waits)
    searching = asyncio.create_task(ids(reader, "documents", "red green"))
    await asyncio.to_thread(begun.wait, 10)
    await load(engine, "documents", [Document(doc_id="9", text="green")])
    go_on.set()

    assert sorted(await searching) == ["0", "9"]


async def test_closing_ends_an_opening(engine, reader, monkeypatch: pytest.MonkeyPatch) -> None:
    await load(engine, "documents", _documents("red"))
    go_on = threading.Event()
    monkeypatch.setattr(engine_module, "open_tantivy", lambda *_: go_on.wait(10))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.open("documents")
    await reader.close()
    go_on.set()

    assert asyncio.all_tasks() == {asyncio.current_task()}
