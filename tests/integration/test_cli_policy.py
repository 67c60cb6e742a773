from __future__ import annotations

import json

import pytest

from searchsvc.cli import main
from searchsvc.policy.files import read_model
from tests.support.collections import QUERIES, write_collection, write_jsonl
from tests.support.commands import refusal

TEXTS = {"q1": "network name dns resolve", "q2": "空指针异常 对象 null", "q3": "large logs disk files network"}


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def collection(tmp_path):
    folder = write_collection(tmp_path / "collection")
    write_expansions(folder / "expansions.jsonl.gz", runs=("a", "b"))
    return folder


def write_expansions(path, *, runs):
    lines = (
        {"id": query_id, "text": text, "method": "told", "model": run}
        for run in runs
        for query_id, text in TEXTS.items()
    )
    return write_jsonl(path, lines)


def train(capsys, *tokens):
    main(["policy", "train", *map(str, tokens), "--json"])
    return json.loads(capsys.readouterr().out)


def error(capsys, *tokens):
    return refusal(capsys, "policy", "train", *tokens)


def test_a_model_is_learned_from_recorded_expansions_and_can_be_used(capsys, collection, monkeypatch, tmp_path):
    file = tmp_path / "mine.json"
    told = train(capsys, collection, "--write", file)

    assert (told["written"], told["enough_queries"]) == (str(file), False)
    assert told["judged"].keys() == {"collection", "all"}
    assert (told["judged"]["all"]["queries"], told["judged"]["all"]["cases"]) == (3, 6)
    assert told["judged"]["all"]["regret"].keys() == {"always", "never"}
    written = json.loads(file.read_text("utf-8"))
    assert written["trained"]["command"] == "searchsvc policy train collection"
    assert written["trained"]["queries"] == 3
    assert read_model(file).weights == (0.3, 0.4, 0.5, 0.6, 0.7)

    monkeypatch.setenv("SEARCHSVC_EXPANDER__POLICY", str(file))
    variant = f"auto:expansion=auto,expansion.method=recorded,expansion.file={collection / 'expansions.jsonl.gz'}"
    main(["evaluate", str(collection), "--variant", f"{variant},expansion.run=told/a,rerank=off", "--json"])
    assert json.loads(capsys.readouterr().out)["queries"] == 3


def test_people_see_the_regret_and_that_three_queries_are_few(capsys, collection):
    main(["policy", "train", str(collection)])

    shown = capsys.readouterr()
    assert "3 judged queries are few: under 50 a model learns mostly chance" in shown.out
    assert "regret: always" in shown.out
    assert "written: gain-model.json" in shown.err


def test_an_index_of_ones_own_is_learned_from(capsys, collection, tmp_path):
    main(["index", "load", str(collection / "corpus.jsonl"), "--index", "mine"])
    capsys.readouterr()
    queries = write_jsonl(tmp_path / "queries.jsonl", QUERIES)
    recorded = write_expansions(tmp_path / "said.jsonl", runs=("a",))

    told = train(
        capsys, "--index", "mine", "--queries", queries, "--qrels", collection / "qrels.tsv", "--expansions", recorded
    )

    assert told["judged"]["mine"]["cases"] == 3
    trained = json.loads((tmp_path / "gain-model.json").read_text("utf-8"))["trained"]
    assert trained["command"] == (
        "searchsvc policy train --index mine --queries queries.jsonl --qrels qrels.tsv --expansions said.jsonl"
    )


def test_without_expansions_and_chat_model_there_is_nothing_to_learn_from(capsys, collection):
    (collection / "expansions.jsonl.gz").unlink()

    assert "No query has an expansion to learn from" in error(capsys, collection)


def test_what_does_not_go_together_is_said(capsys, collection):
    assert "Name folders of collections, or all three" in error(capsys)
    assert "Name folders of collections, or all three" in error(capsys, collection, "--index", "mine")
    assert "Name folders of collections, or all three" in error(capsys, "--index", "mine")


def test_a_model_that_fits_no_more_does_not_stop_the_making_of_another(capsys, collection, monkeypatch, tmp_path):
    old = tmp_path / "old.json"
    old.write_text('{"kind": "searchsvc gain model", "format": 1, "analysis": 0}', "utf-8")
    monkeypatch.setenv("SEARCHSVC_EXPANDER__POLICY", str(old))

    assert train(capsys, collection)["written"] == "gain-model.json"
