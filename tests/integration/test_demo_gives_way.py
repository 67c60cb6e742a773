"""The demo corpus that `serve` loads, and the first documents of one's own: they never mix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from searchsvc.cli import main
from searchsvc.demo.marker import demo_index, remember
from searchsvc.demo.replacing import load_own
from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.errors import BackendUnavailable
from tests.support.collections import CORPUS, write_jsonl
from tests.support.embedded import analyzer, ids, load

DEMO = [Document(doc_id=f"demo-{number}", text="demo article") for number in range(3)]
OWN = [Document(doc_id="own", text="my own article")]


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
async def engine(data_dir):
    opened = EmbeddedEngine(data_dir, analyzer())
    yield opened
    await opened.close()


async def with_demo(engine: EmbeddedEngine, data_dir: Path) -> str:
    """As `serve` leaves it."""
    physical = await engine.admin.create("documents")
    remember(data_dir, physical)
    await load(engine, physical, DEMO)
    return physical


async def load_mine(engine, data_dir, name="documents", documents=OWN):
    return await load_own(engine.admin, name, documents, data_dir=data_dir, progress=lambda _: None)


async def states(engine):
    return {each.index: (each.alias, each.documents, each.complete) for each in await engine.admin.status()}


def serve_once() -> str:
    """What `serve` says until it answers requests."""
    command = [sys.executable, "-W", "ignore", "-m", "searchsvc", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        assert "url" in json.loads(server.stdout.readline())
        server.send_signal(signal.SIGINT)
        return server.stderr.read()


@pytest.mark.slow
def test_the_first_own_file_takes_the_place_of_the_demo_that_serve_loaded(capsys, data_dir, tmp_path):
    assert "loading the demo corpus" in serve_once()
    demo = demo_index(data_dir)
    own = write_jsonl(tmp_path / "articles.jsonl", CORPUS)

    main(["index", "load", str(own), "--json"])

    told = capsys.readouterr()
    report = json.loads(told.out)
    assert (report["loaded"], report["live"]) == (4, True)
    assert report["index"] != demo
    assert "replaced the demo corpus" in told.err
    main(["index", "load", str(own)])
    again = capsys.readouterr()
    assert "replaced" not in again.err
    assert "documents is live" in again.err
    main(["index", "status", "--json"])
    found = json.loads(capsys.readouterr().out)["indices"]
    assert {each["index"]: (each["alias"], each["documents"] > 200) for each in found} == {
        demo: (None, True),
        report["index"]: ("documents", False),
    }


@pytest.mark.slow  # a process of its own
def test_serve_loads_no_demo_beside_an_index_that_is_being_made(capsys, data_dir):
    main(["index", "create", "documents", "--json"])
    made = json.loads(capsys.readouterr().out)["index"]

    assert "demo" not in serve_once()
    main(["index", "status", "--json"])
    assert [each["index"] for each in json.loads(capsys.readouterr().out)["indices"]] == [made]


async def test_searches_see_own_documents_only(engine, data_dir):
    demo = await with_demo(engine, data_dir)

    report, replaced = await load_mine(engine, data_dir)

    assert (replaced, report.live, report.loaded) == (True, True, 1)
    assert await ids(engine, "documents", "article") == ["own"]
    assert await states(engine) == {demo: (None, 3, True), report.index: ("documents", 1, True)}


async def test_what_was_loaded_stays_when_more_is_loaded(engine, data_dir):
    await with_demo(engine, data_dir)
    await load_mine(engine, data_dir)

    report, replaced = await load_mine(engine, data_dir, documents=[Document(doc_id="more", text="one more article")])

    assert (replaced, report.live) == (False, True)
    assert sorted(await ids(engine, "documents", "article")) == ["more", "own"]


async def test_another_name_has_nothing_to_do_with_the_demo(engine, data_dir):
    demo = await with_demo(engine, data_dir)

    _, replaced = await load_mine(engine, data_dir, "wiki")

    assert not replaced
    assert (await states(engine))[demo] == ("documents", 3, True)


async def test_a_demo_that_was_cut_off_gets_no_own_documents(engine, data_dir):
    demo = await engine.admin.create("documents")
    remember(data_dir, demo)

    report, replaced = await load_mine(engine, data_dir)

    assert (replaced, report.live) == (True, True)
    assert await states(engine) == {demo: (None, 0, False), report.index: ("documents", 1, True)}


async def test_a_load_in_its_place_that_is_cut_off_leaves_the_demo_and_is_run_again_into_the_same_index(
    engine, data_dir
):
    def broken():
        yield OWN[0]
        raise BackendUnavailable("cut off")

    demo = await with_demo(engine, data_dir)
    with pytest.raises(BackendUnavailable):
        await load_mine(engine, data_dir, documents=broken())
    assert len(await ids(engine, "documents", "article")) == 3

    report, replaced = await load_mine(engine, data_dir)

    assert replaced
    assert await states(engine) == {demo: (None, 3, True), report.index: ("documents", 1, True)}


async def test_an_index_that_was_made_for_own_documents_is_the_one_that_is_published(engine, data_dir):
    await with_demo(engine, data_dir)
    made = await engine.admin.create("documents")

    for name in ("documents", made):
        report, _ = await load_mine(engine, data_dir, name)
        assert (report.index, report.live) == (made, True)


async def test_a_demo_that_was_left_for_another_index_is_none_any_more(engine, data_dir):
    demo = await with_demo(engine, data_dir)
    other = await engine.admin.create("documents")
    await load(engine, other, OWN)
    await engine.admin.swap("documents", physical=other)

    report, replaced = await load_mine(engine, data_dir)

    assert (replaced, report.index) == (False, other)
    assert (await states(engine))[demo] == (None, 3, True)


async def test_the_demo_index_named_as_such_is_loaded_into_and_stays(engine, data_dir):
    demo = await with_demo(engine, data_dir)

    for name, count in ((demo, 4), ("documents", 4)):
        report, replaced = await load_mine(engine, data_dir, name)
        assert (replaced, report.index) == (False, demo)
        assert (await states(engine))[demo] == ("documents", count, True)
