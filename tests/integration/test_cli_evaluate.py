from __future__ import annotations

import asyncio
import json

import pytest

from searchsvc.cli import main
from searchsvc.evaluation.variants import KEYS
from tests.support.collections import CORPUS, QRELS, QUERIES, write_collection, write_jsonl
from tests.support.commands import refusal
from tests.support.model_servers import FakeReranker, serving

PLAIN = "plain:expansion=off,rerank=off"


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def collection(tmp_path):
    return write_collection(tmp_path / "collection", suffix=".gz")


def evaluate(capsys, *tokens):
    main(["evaluate", *map(str, tokens), "--json"])
    return json.loads(capsys.readouterr().out)


def error(capsys, *tokens):
    return refusal(capsys, "evaluate", *tokens)


def statuses(capsys):
    main(["index", "status", "--json"])
    return json.loads(capsys.readouterr().out)["indices"]


def test_three_variants_run_through_the_real_pipeline(capsys, collection):
    told = evaluate(capsys, collection)

    assert (told["engine"], told["queries"], told["depth"]) == ("embedded", 3, 100)
    assert told["expander"]["model"] == "neighbours"
    assert told["reranker"]["model"] == "use-multilingual-v3"
    assert [each["name"] for each in told["variants"]] == ["base", "rerank", "full"]
    base, rerank, full = told["variants"]
    assert base["measures"] == {"nDCG@10": pytest.approx(1.0), "RR@10": 1.0, "R@100": 1.0}
    assert base["differences"] == {}
    assert set(rerank["differences"]) == {"nDCG@10", "RR@10", "R@100"}
    assert full["missed"] == []
    assert set(base["queries"]) == {"q1", "q2", "q3"}


def test_the_corpus_is_loaded_once_as_an_index_of_its_own(capsys, collection):
    index = evaluate(capsys, collection, "--variant", PLAIN)["index"]
    first = statuses(capsys)
    evaluate(capsys, collection, "--variant", PLAIN)

    assert statuses(capsys) == first
    assert [(each["alias"], each["documents"]) for each in first] == [(index, 4)]


def test_people_see_tables_and_which_parts_ran(capsys, collection):
    main(["evaluate", str(collection), "--variant", PLAIN, "--variant", "rr:expansion=off"])

    shown = capsys.readouterr().out
    assert "3 judged queries; engine embedded" in " ".join(shown.split())
    assert "Δ first" in shown
    assert "p95 ms" in shown
    assert "\x1b" not in shown


def test_in_a_pipe_no_line_is_broken(capsys, collection, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    names = ["a-very-long-name-of-the-first-variant", "a-very-long-name-of-the-second-variant"]

    main(["evaluate", str(collection), *(f"--variant={name}:expansion=off,rerank=off" for name in names)])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"{collection}: 3 judged queries; engine embedded, expander neighbours (embedded),"
        " reranker use-multilingual-v3 (embedded)"
    )
    assert [sum(name in line for line in lines) for name in names] == [4, 4]


def test_the_help_names_every_key_of_a_variant(capsys):
    main(["evaluate", "--help"])

    shown = capsys.readouterr().out
    assert [key for key in KEYS if key != "expansion.method" and key not in shown] == []


async def test_the_models_are_named_as_they_answered_and_the_first_query_is_warm(capsys, collection, monkeypatch):
    reranker = FakeReranker()
    async with serving(reranker) as url:
        monkeypatch.setenv("SEARCHSVC_RERANKER__URL", url)
        told = await asyncio.to_thread(evaluate, capsys, collection, "--variant", "rr:expansion=off")
        warm = [body["query"] for body in reranker.scored()]
        await asyncio.to_thread(main, ["evaluate", str(collection), "--variant", "rr:expansion=neighbours"])

    assert told["reranker"] == {"kind": "server", "url": url, "model": "served"}
    assert told["expander"] == {"kind": "embedded", "model": "neighbours"}
    assert f"expander neighbours (embedded), reranker served at {url}" in capsys.readouterr().out
    texts = [query["text"] for query in QUERIES]
    assert warm == [texts[0], *texts]
    assert list(told["variants"][0]["queries"]) == ["q1", "q2", "q3"]


async def test_recorded_candidates_are_reranked_by_a_warm_reranker(capsys, collection, monkeypatch, tmp_path):
    lists = write_jsonl(tmp_path / "lists.jsonl", [{"query_id": "q1", "docs": ["disk", "wifi"]}])
    reranker = FakeReranker()
    async with serving(reranker) as url:
        monkeypatch.setenv("SEARCHSVC_RERANKER__URL", url)
        told = await asyncio.to_thread(
            evaluate, capsys, collection, "--candidates", lists, "--variant", "rr:expansion=off"
        )

    asked = reranker.scored()
    assert [body["query"] for body in asked] == [QUERIES[0]["text"]] * 2
    assert len(asked[1]["documents"]) == 2
    assert told["variants"][0]["missed"] == []


def test_runs_are_written_in_trec_format(capsys, collection, tmp_path):
    told = evaluate(capsys, collection, "--variant", PLAIN, "--runs", tmp_path / "made" / "runs")

    file = tmp_path / "made" / "runs" / "plain.trec"
    assert told["runs"] == [str(file)]
    lines = [line.split(" ") for line in file.read_text("utf-8").splitlines()]
    assert {len(line) for line in lines} == {6}
    assert lines[0][:4] == ["q1", "Q0", "dns", "1"]


def test_an_id_with_a_space_stops_a_run_before_the_first_search(capsys, tmp_path):
    folder = write_collection(tmp_path / "c", corpus=[*CORPUS, {"id": "a b", "text": "x"}])

    assert "The document id 'a b' has a space in it" in error(capsys, folder, "--runs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert statuses(capsys) == []


def test_recorded_candidates_take_the_place_of_the_retriever(capsys, collection, tmp_path):
    lists = write_jsonl(
        tmp_path / "lists.jsonl",
        [{"query_id": "q1", "run": "r", "docs": ["disk", "wifi"]}, {"query_id": "q2", "run": "r", "docs": ["java"]}],
    )

    told = evaluate(capsys, collection, "--candidates", f"{lists}:r", "--variant", PLAIN, "--measures", "RR@10,R@100")

    (plain,) = told["variants"]
    assert [plain["queries"][query_id]["RR@10"] for query_id in ("q1", "q2", "q3")] == [0.5, 1.0, 0.0]
    assert told["queries_without_candidates"] == 1
    assert told["candidates"] == {"source": f"{lists}:r", "shuffle": None}


def test_reranking_mends_a_shuffled_list(capsys, tmp_path):
    docs = [{"id": f"d{number}", "text": text} for number, text in enumerate(TOPICS)]
    queries = [{"id": f"q{number}", "text": text} for number, text in enumerate(TOPICS)]
    qrels = [(f"q{number}", f"d{number}", 1) for number in range(len(TOPICS))]
    folder = write_collection(tmp_path / "c", corpus=docs, queries=queries, qrels=qrels)
    lists = write_jsonl(
        tmp_path / "lists.jsonl", [{"query_id": query["id"], "docs": [doc["id"] for doc in docs]} for query in queries]
    )

    told = evaluate(
        capsys,
        *(folder, "--candidates", lists, "--shuffle", "7", "--measures", "RR@10"),
        *("--variant", PLAIN, "--variant", "rr:expansion=off,rerank=on"),
    )

    plain, rerank = told["variants"]
    assert plain["measures"]["RR@10"] < 0.6
    assert rerank["differences"]["RR@10"]["mean"] > 0.2


def test_what_is_left_out_is_told(capsys, tmp_path):
    folder = write_collection(tmp_path / "c", queries=[*QUERIES, {"id": "q4", "text": "unjudged"}])

    main(["evaluate", str(folder), "--variant", PLAIN])

    assert "1 queries have no judgement and are left out" in capsys.readouterr().out


def test_judgements_that_do_not_count_as_they_stand_are_told(capsys, tmp_path):
    qrels = [*QRELS, ("q1", "gone", 1), ("q2", "gone", 0), ("q3", "disk", 2), ("q9", "gone", 1)]
    folder = write_collection(tmp_path / "c", qrels=qrels)

    told = evaluate(capsys, folder, "--variant", PLAIN)
    main(["evaluate", str(folder), "--variant", PLAIN])

    assert told["judgements_repeated"] == 1
    assert told["judgements_without_document"] == 2
    assert told["relevant_without_document"] == 1
    shown = capsys.readouterr().out
    assert "1 judgements repeat a query and document judged before: the last grade counts" in shown
    assert "2 judgements, 1 of them relevant, name documents that are not in the corpus" in shown


def test_where_all_judgements_count_nothing_is_told(capsys, collection):
    told = evaluate(capsys, collection, "--variant", PLAIN)
    main(["evaluate", str(collection), "--variant", PLAIN])

    assert (told["judgements_repeated"], told["judgements_without_document"]) == (0, 0)
    shown = capsys.readouterr().out
    assert "judgements repeat" not in shown
    assert "not in the corpus" not in shown


def test_a_written_run_is_read_as_candidates(capsys, collection, tmp_path):
    first = evaluate(capsys, collection, "--variant", PLAIN, "--runs", tmp_path / "runs")

    again = evaluate(capsys, collection, "--variant", PLAIN, "--candidates", tmp_path / "runs" / "plain.trec")

    assert again["variants"][0]["measures"] == first["variants"][0]["measures"]
    assert again["queries_without_candidates"] == 0


def test_the_help_names_both_formats_of_candidates(capsys):
    main(["evaluate", "--help"])

    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert '"query-id Q0 doc-id rank score RUN"' in shown
    assert '{"query_id": ..., "run": RUN, "docs": [ids, best first]}' in shown


def test_what_is_wrong_is_told_before_anything_is_loaded(capsys, collection):
    assert "There is no measure 'ndcg@10'. Did you mean nDCG?" in error(capsys, collection, "--measures", "ndcg@10")
    assert "there is no key 'reranker'" in error(capsys, collection, "--variant", "v:reranker=on")
    assert "--shuffle works on --candidates" in error(capsys, collection, "--shuffle", "1")
    assert "is not a folder" in error(capsys, "nowhere")
    assert statuses(capsys) == []


def test_an_expansion_that_there_is_not_is_told_before_the_first_search(capsys, collection):
    told = error(capsys, collection, "--variant", "v:expansion=neighbors")

    assert "Variant v: there is no expansion 'neighbors' here. Did you mean neighbours?" in told


def test_a_bad_line_of_the_corpus_is_named(capsys, tmp_path):
    folder = write_collection(tmp_path / "c", corpus=[*CORPUS, {"id": "x", "text": None}])

    assert "corpus.jsonl line 5: 'text' is missing" in error(capsys, folder)


@pytest.mark.es
def test_on_elasticsearch_a_missing_reranker_is_told(capsys, collection, es_url, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", es_url)

    told = evaluate(capsys, collection, "--engine", "elasticsearch", "--variant", PLAIN, "--variant", "rr:rerank=on")

    plain, rerank = told["variants"]
    assert told["engine"] == "elasticsearch"
    assert plain["measures"]["nDCG@10"] == pytest.approx(1.0)
    assert plain["missed"] == []
    assert [(each["stage"], each["reason"], each["queries"]) for each in rerank["missed"]] == [
        ("rerank", "notConfigured", 3)
    ]


TOPICS = (
    "reset the password of a mail account",
    "printer prints blank pages",
    "laptop battery does not charge",
    "database connection pool is exhausted",
    "screen flickers after a driver update",
    "keyboard types the wrong characters",
)
