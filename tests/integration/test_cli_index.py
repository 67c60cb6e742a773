from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest

from searchsvc.cli import index as index_commands
from searchsvc.cli import main
from searchsvc.protocols import IndexStatus, LoadReport
from tests.support.collections import CORPUS, write_jsonl


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mixed(tmp_path):
    """Seven lines: four documents, one of them again, and two that are none."""
    file = write_jsonl(tmp_path / "mixed.jsonl", [*CORPUS, CORPUS[0]])
    file.write_bytes(file.read_bytes() + b'{"id": "x"}\nno JSON at all\n')
    return file


def run_json(capsys, *tokens):
    main([*tokens, "--json"])
    return json.loads(capsys.readouterr().out)


def exit_status(*tokens):
    with pytest.raises(SystemExit) as caught:
        main(list(tokens))
    return caught.value.code


def test_the_first_load_of_a_name_is_live(capsys, tmp_path):
    file = write_jsonl(tmp_path / "corpus.jsonl.gz", CORPUS)

    main(["index", "load", str(file)])

    told = capsys.readouterr()
    assert told.out.startswith("4 lines = 4 loaded + 0 duplicated + 0 skipped; index documents-v1-")
    assert "documents is live. Next: searchsvc search QUERY --index documents" in told.err


def test_a_bad_line_stops_the_load_and_is_named(capsys, mixed):
    assert exit_status("index", "load", str(mixed)) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert "line 6: 'text' is missing" in told.err
    assert "line 7: not JSON" in told.err
    assert "2 of the 7 lines" in " ".join(told.err.split())
    assert "--skip-bad" in told.err
    assert run_json(capsys, "index", "status") == {"indices": []}


def test_a_bad_line_is_told_in_json_too(capsys, mixed):
    assert exit_status("index", "load", str(mixed), "--json") == 2

    told = json.loads(capsys.readouterr().out)
    assert told["loaded"] == 0
    assert told["index"] is None
    assert [bad["line"] for bad in told["bad_lines"]] == [6, 7]


def test_bad_lines_are_skipped_only_when_asked_to_and_the_counts_add_up(capsys, mixed):
    told = run_json(capsys, "index", "load", str(mixed), "--skip-bad")

    assert told["lines"] == told["loaded"] + told["duplicates"] + told["skipped"]
    assert (told["lines"], told["loaded"], told["duplicates"], told["skipped"]) == (7, 4, 1, 2)
    assert told["live"] is True
    assert [bad["line"] for bad in told["bad_lines"]] == [6, 7]


def test_of_many_bad_lines_the_first_twenty_are_told_with_their_problem_and_all_others_by_number(capsys, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text("{}\n" * 30)

    assert exit_status("index", "load", str(file)) == 2

    told = capsys.readouterr().err
    assert "line 20: " in told
    assert "line 21: " not in told
    assert "and 10 more, lines 21, 22, 23, 24, 25, 26, 27, 28, 29, 30\n" in told


def test_json_has_every_bad_line(capsys, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text("{}\n" * 30)

    assert exit_status("index", "load", str(file), "--json") == 2

    told = json.loads(capsys.readouterr().out)
    assert told["skipped"] == 30
    assert [bad["line"] for bad in told["bad_lines"]] == list(range(1, 31))


def test_a_file_without_documents_is_refused(capsys, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text("{}\n\n")

    assert exit_status("index", "load", str(file), "--skip-bad") == 2
    assert "holds no document" in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_not_there_is_named(capsys):
    assert exit_status("index", "load", "nowhere.jsonl") == 2
    assert "cannot read nowhere.jsonl" in capsys.readouterr().err


def test_a_new_index_is_made_loaded_and_swapped_in(capsys, tmp_path):
    old = write_jsonl(tmp_path / "old.jsonl", CORPUS[:1])
    new = write_jsonl(tmp_path / "new.jsonl", CORPUS)
    live = run_json(capsys, "index", "load", str(old), "--index", "wiki")["index"]

    made = run_json(capsys, "index", "create", "wiki")["index"]
    assert states(capsys) == {live: ("wiki", 1, True), made: (None, 0, False)}

    loaded = run_json(capsys, "index", "load", str(new), "--index", "wiki")
    assert (loaded["index"], loaded["live"]) == (made, False)
    assert states(capsys) == {live: ("wiki", 1, True), made: (None, 4, True)}

    assert run_json(capsys, "index", "swap", "wiki") == {"name": "wiki", "index": made}
    assert states(capsys) == {live: (None, 1, True), made: ("wiki", 4, True)}

    assert run_json(capsys, "index", "swap", "wiki", "--to", live)["index"] == live
    assert states(capsys)[live] == ("wiki", 1, True)


def test_people_are_told_what_is_live_and_what_to_do_next(capsys, tmp_path):
    file = write_jsonl(tmp_path / "corpus.jsonl", CORPUS)

    main(["index", "status"])
    assert "There is no index yet. Next: searchsvc index load FILE" in capsys.readouterr().err
    main(["index", "load", str(file)])
    main(["index", "create"])
    assert "Next: searchsvc index load FILE --index documents" in capsys.readouterr().err
    main(["index", "status"])
    shown = capsys.readouterr().out
    assert shown.count("live") == 1
    assert "not published, no load has ended" in shown
    main(["index", "load", str(file)])
    assert "No search sees it yet. Next: searchsvc index swap documents --to documents-v1-" in capsys.readouterr().err
    main(["index", "swap"])
    assert "Searches of documents see it now." in capsys.readouterr().err


@pytest.mark.parametrize("command", [("index", "create"), ("index", "status")])
def test_in_a_pipe_the_name_of_an_index_is_whole_on_one_line_without_control_codes(capsys, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    made = run_json(capsys, "index", "create", "a-long-name-" * 8 + "x")["index"]

    main([*command, *(["a-long-name-" * 8 + "x"] if command[-1] == "create" else [])])

    told = capsys.readouterr().out
    assert any(line.split()[0].startswith(made[:-3]) for line in told.splitlines())
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("alias", "documents", "complete", "state"),
    [
        ("wiki", 3, True, "live"),
        ("wiki", 3, False, "live, a load runs or was cut off"),
        ("wiki", 0, False, "live, a load runs or was cut off"),
        (None, 3, True, "not published"),
        (None, 3, False, "not published, a load runs or was cut off"),
        (None, 0, False, "not published, no load has ended"),
        ("other", 3, False, "live as other, a load runs or was cut off"),
    ],
)
def test_the_state_says_whether_searches_see_an_index_and_whether_its_load_ended(
    capsys, monkeypatch, alias, documents, complete, state
):
    found = IndexStatus(index="wiki-v1-20260102030405", alias=alias, documents=documents, bytes=1, complete=complete)
    monkeypatch.setattr(index_commands, "open_runtime", runtime_with(OneIndex(found)))

    main(["index", "status"])

    told = capsys.readouterr()
    assert told.out.splitlines()[1].split("  ")[-1].strip() == state
    assert ("can be run again" in told.err) == ("cut off" in state)


def test_a_live_index_is_shown_as_live_while_a_load_into_it_runs_and_after_that_was_killed(capsys, tmp_path):
    main(["index", "load", str(write_jsonl(tmp_path / "corpus.jsonl", CORPUS))])
    capsys.readouterr()

    with loading_forever(tmp_path) as child:
        main(["index", "status"])
        while_running = capsys.readouterr().out
        child.kill()
    main(["index", "status"])

    assert "live, a load runs or was cut off" in while_running
    assert "live, a load runs or was cut off" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_load_says_that_it_can_be_run_again(tmp_path):
    with loading_forever(tmp_path) as child:
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=30)

    assert child.returncode == 130
    assert told.strip() == "Interrupted. Nothing is lost or doubled: run the same command again."


def test_a_pipe_is_refused_before_it_is_read(capsys, tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b'{"id": "a", "text": "b"}\n')
    os.close(writer)

    assert exit_status("index", "load", f"/dev/fd/{reader}") == 2

    told = " ".join(capsys.readouterr().err.split())
    assert f"/dev/fd/{reader} is a pipe or a device" in told
    assert "Save them to a file first" in told
    assert os.read(reader, 8) == b'{"id": "'
    os.close(reader)


def test_a_folder_is_refused(capsys, tmp_path):
    assert exit_status("index", "load", str(tmp_path)) == 2
    assert "is a folder" in capsys.readouterr().err


def test_swapping_in_what_there_is_not_is_the_callers_to_mend(capsys):
    assert exit_status("index", "swap", "wiki") == 2
    assert "wiki" in capsys.readouterr().err


def test_an_unknown_engine_is_refused(capsys):
    assert exit_status("index", "status", "--engine", "lucene") == 2


class OneIndex:
    """An engine that holds one index."""

    def __init__(self, found):
        self.found = found

    async def status(self):
        return (self.found,)


def runtime_with(admin):
    @asynccontextmanager
    async def opened(settings):
        yield SimpleNamespace(engine=SimpleNamespace(admin=admin))

    return opened


LOADING_FOREVER = """
import sys, time
from searchsvc.cli import index, main

read = index.read_documents

def slowly(file):
    yield from read(file)
    print("here", flush=True)
    while True:  # documents go on for ever
        time.sleep(0.01)
        yield from read(file)

index.read_documents = slowly
main(["index", "load", sys.argv[1]])
"""


@contextmanager
def loading_forever(tmp_path):
    """A process in the middle of a load."""
    file = write_jsonl(tmp_path / "corpus.jsonl", CORPUS)
    command = [sys.executable, "-W", "ignore", "-c", LOADING_FOREVER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "here\n"
            yield child
        finally:
            child.kill()


class ForgetfulAdmin:
    """Loses a document on the way."""

    async def load(self, name, documents, *, progress, words):
        count = len(list(documents))
        progress(count)
        return LoadReport(index=f"{name}-v1-1", loaded=count - 1, duplicates=0, live=True)


def test_counts_that_do_not_add_up_are_an_error(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(index_commands, "open_runtime", runtime_with(ForgetfulAdmin()))
    file = write_jsonl(tmp_path / "corpus.jsonl", CORPUS)

    assert exit_status("index", "load", str(file)) == 1
    assert "3 loaded and 0 duplicates" in " ".join(capsys.readouterr().err.split())


def states(capsys):
    found = run_json(capsys, "index", "status")["indices"]
    return {each["index"]: (each["alias"], each["documents"], each["complete"]) for each in found}
