from __future__ import annotations

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from searchsvc.cli import index as index_commands
from searchsvc.cli import main
from searchsvc.protocols import LoadReport
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
    assert "empty" in shown
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


def test_swapping_in_what_there_is_not_is_the_callers_to_mend(capsys):
    assert exit_status("index", "swap", "wiki") == 2
    assert "wiki" in capsys.readouterr().err


def test_an_unknown_engine_is_refused(capsys):
    assert exit_status("index", "status", "--engine", "lucene") == 2


class ForgetfulAdmin:
    """Loses a document on the way."""

    async def load(self, name, documents, *, progress):
        count = len(list(documents))
        progress(count)
        return LoadReport(index=f"{name}-v1-1", loaded=count - 1, duplicates=0, live=True)


def test_counts_that_do_not_add_up_are_an_error(capsys, monkeypatch, tmp_path):
    @asynccontextmanager
    async def forgetful(settings):
        yield SimpleNamespace(engine=SimpleNamespace(admin=ForgetfulAdmin()))

    monkeypatch.setattr(index_commands, "open_runtime", forgetful)
    file = write_jsonl(tmp_path / "corpus.jsonl", CORPUS)

    assert exit_status("index", "load", str(file)) == 1
    assert "3 loaded and 0 duplicates" in " ".join(capsys.readouterr().err.split())


def states(capsys):
    found = run_json(capsys, "index", "status")["indices"]
    return {each["index"]: (each["alias"], each["documents"], each["complete"]) for each in found}
