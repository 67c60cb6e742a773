from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

import searchsvc.demo
from searchsvc.cli import main
from tests.support.collections import CORPUS, write_collection, write_jsonl
from tests.support.commands import refusal
from tests.support.model_servers import chat_answer, serving

DEMO = Path(searchsvc.demo.__file__).parent / "collection"
PLAIN = "plain:expansion=off,rerank=off"
NEAR = "near:expansion=neighbours,rerank=off"
QUERIES = "q1\tnetwork name\nq2\t空指针\nq3\tlarge logs\nq4\tzzzz\n"
QRELS = "q1\tdns\t2\nq1\twifi\t1\nq2\tjava\t1\n"


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.tsv"
    path.write_text(QUERIES, "utf-8")
    return path


@pytest.fixture
def qrels(tmp_path):
    path = tmp_path / "qrels.tsv"
    path.write_text(QRELS, "utf-8")
    return path


@pytest.fixture
def index(capsys, tmp_path):
    main(["index", "load", str(write_jsonl(tmp_path / "corpus.jsonl", CORPUS)), "--index", "mine"])
    capsys.readouterr()
    return "mine"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A data folder with some of the demo corpus as an index."""
    folder = tmp_path_factory.mktemp("demo")
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join((DEMO / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)[::4]), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEARCHSVC_DATA_DIR", str(folder))
        main(["index", "load", str(corpus), "--index", "demo"])
    return folder


@pytest.fixture
def demo(monkeypatch, loaded, tmp_path):
    """That index, and as a file some of the demo's queries."""
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(loaded))
    path = tmp_path / "some.jsonl"
    path.write_text("".join((DEMO / "queries.jsonl").read_text("utf-8").splitlines(keepends=True)[:12]), "utf-8")
    return "--index", "demo", "--queries", path


def evaluate(capsys, *tokens):
    main(["evaluate", *map(str, tokens), "--json"])
    return json.loads(capsys.readouterr().out)


def shown(capsys, *tokens):
    main(["evaluate", *map(str, tokens)])
    captured = capsys.readouterr()
    return captured.out, captured.err


def error(capsys, *tokens):
    return refusal(capsys, "evaluate", *tokens)


async def chat(request):
    """A chat model that completes every query alike."""
    if request.path.endswith("/models"):
        return web.json_response({"data": [{"id": "served"}]})
    return web.json_response(chat_answer(json.dumps({"completion": "the driver of the wireless adapter"})))


async def broken(request):
    return web.json_response({"detail": "no"}, status=500)


def statuses(capsys):
    main(["index", "status", "--json"])
    return json.loads(capsys.readouterr().out)["indices"]


def test_without_judgements_variants_are_compared_and_the_index_stays_as_it_was(capsys, demo):
    before = statuses(capsys)

    told = evaluate(capsys, *demo, "--variant", PLAIN, "--variant", NEAR)

    assert statuses(capsys) == before
    assert (told["index"], told["engine"], told["queries"], told["depth"]) == ("demo", "embedded", 12, 10)
    plain, near = told["variants"]
    assert plain["compared_with_first"] is None
    changed = {name: each for name, each in near["queries"].items() if each["top_10"]}
    assert near["compared_with_first"]["top_10_changed"] == len(changed) / 12 > 0
    for query_id, each in near["queries"].items():
        assert each["top_10"] == (each["results"] != plain["queries"][query_id]["results"])
        assert set(each["new"]) == set(each["results"]) - set(plain["queries"][query_id]["results"])
    ordered = sorted(changed, key=lambda query_id: changed[query_id]["rbo"])
    assert [each["query_id"] for each in told["judge_first"]] == ordered[:10]
    assert {each["variant"] for each in told["judge_first"]} == {"near"}


def test_people_see_what_changed_and_which_query_to_judge_first(capsys, demo):
    out, err = shown(capsys, *demo, "--variant", PLAIN, "--variant", NEAR)

    lines = out.splitlines()
    assert lines[0].startswith(f"demo: 12 queries of {demo[-1]}; engine embedded, expander neighbours")
    for column in ("top 3 changed", "top 10 changed", "overlap@10", "RBO", "rescued", "p95 ms", "tokens in", "1-RBO"):
        assert column in out
    assert "changed: the ordered list is another" in out
    at = next(number for number, line in enumerate(lines) if line.startswith("Worth judging first"))
    assert 1 <= len(lines[at + 2 :]) <= 10
    assert all(" near " in line and " new; " in line for line in lines[at + 2 :])
    assert err == f"Next:  searchsvc judge --index demo --queries {demo[-1]} --variant {PLAIN} --variant {NEAR}\n"


def test_variants_that_do_the_same_leave_nothing_to_judge(capsys, index, queries):
    same = PLAIN.replace("plain", "same")

    told = evaluate(capsys, "--index", index, "--queries", queries, "--variant", PLAIN, "--variant", same)
    out, err = shown(capsys, "--index", index, "--queries", queries, "--variant", PLAIN, "--variant", same)
    alone, _ = shown(capsys, "--index", index, "--queries", queries, "--variant", PLAIN)

    assert told["variants"][1]["compared_with_first"] == {
        "top_3_changed": 0,
        "top_10_changed": 0,
        "overlap_at_10": 1,
        "rbo": pytest.approx(1),
        "rescued": 0,
    }
    assert told["judge_first"] == []
    assert "No variant changes the first page of any query." in out
    assert err == ""
    assert "One variant alone: there is nothing to compare." in alone


async def test_a_query_without_results_is_rescued_and_the_tokens_are_counted(capsys, index, queries, monkeypatch):
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        full = "llm:expansion=llm,rerank=off"
        told = await asyncio.to_thread(
            evaluate, capsys, "--index", index, "--queries", queries, "--variant", PLAIN, "--variant", full
        )
        out, _ = await asyncio.to_thread(
            shown, capsys, "--index", index, "--queries", queries, "--variant", PLAIN, "--variant", full
        )

    llm = told["variants"][1]
    assert llm["compared_with_first"]["rescued"] == 1
    assert llm["queries"]["q4"]["rescued"]
    assert llm["tokens"] == {"calls": 4, "input": 48, "output": 136, "unknown": 0}, "also of the one that is refused"
    assert llm["missed_queries"] == 1, "the English completion of the Chinese query is refused"
    assert llm["queries"]["q4"]["tokens"] == {"calls": 1, "input": 12, "output": 34, "unknown": 0}
    assert ["4", "0", "48", "136", "75.0%", "1"] in [
        line.split()[4:] for line in out.splitlines() if line.startswith("llm ")
    ]
    assert "the first variant nothing" in out


def test_with_judgements_the_measures_are_told(capsys, index, queries, qrels, tmp_path):
    runs = tmp_path / "runs"

    told = evaluate(
        *(capsys, "--index", index, "--queries", queries, "--qrels", qrels, "--variant", PLAIN),
        *("--measures", "RR@10,R@100", "--runs", runs),
    )

    (plain,) = told["variants"]
    assert plain["measures"] == {"RR@10": 1.0, "R@100": 1.0}
    assert (told["queries"], told["queries_without_judgement"], told["depth"]) == (2, 2, 100)
    assert told["judgements"]["count"] == 3
    assert told["judgements"]["unknown_queries"] is None
    assert told["judgements"]["absent_documents"]["judgements"] == 0
    assert told["unjudged_at_10"] == {"plain": 0.0}
    assert told["runs"] == [str(runs / "plain.trec")]
    assert (runs / "plain.trec").read_text("utf-8").startswith("q1 Q0 dns 1 ")


def test_judgements_of_unknown_queries_and_documents_are_told_with_file_and_line(capsys, index, queries, qrels):
    qrels.write_text(f"{QRELS}q1\tgone\t1\nq2\tlost\t0\nq1\tdisk\t0\nq9\tdns\t1\n", "utf-8")
    tokens = ("--index", index, "--queries", queries, "--qrels", qrels, "--variant", PLAIN)

    judgements = evaluate(capsys, *tokens)["judgements"]
    out, _ = shown(capsys, *tokens)

    absent = judgements["absent_documents"]
    assert (absent["unranked"], absent["judgements"], absent["relevant"]) == (3, 2, 1)
    assert (absent["first_line"], absent["first"]) == (4, "gone")
    assert judgements["unknown_queries"] == {"judgements": 1, "queries": 1, "first_line": 7, "first": "q9"}
    assert "2 judgements, 1 of them relevant, name documents that are not in mine" in out
    assert f"{qrels} line 4 names 'gone'; ids there look like 'dns'" in out
    assert f"1 judgements of 1 queries that are not in {queries} are left out: {qrels} line 7 names 'q9'" in out
    assert "2 queries have no judgement and are left out" in out


def test_judgements_by_the_text_of_the_query_and_their_sources(capsys, index, queries, tmp_path):
    qrels = tmp_path / "quepid.csv"
    qrels.write_text("query,docid,rating,source\nnetwork name,dns,2,human\n空指针,java,1,llm:m\n", "utf-8")

    out, _ = shown(capsys, "--index", index, "--queries", queries, "--qrels", qrels, "--variant", PLAIN)

    assert "judgements: 1 human, 1 llm:m" in out
    assert "nDCG@10" in out
    assert "without judgement among the first 10, counted as not relevant: plain" in out


def test_judgements_of_other_queries_are_an_error_that_shows_both_ids(capsys, index, queries, qrels):
    qrels.write_text("7\tdns\t1\n", "utf-8")

    told = error(capsys, "--index", index, "--queries", queries, "--qrels", qrels)

    assert f"{qrels} judges none of the 4 queries of {queries}." in told
    assert "Line 1 names '7'; the first query there is 'q1'." in told


def test_options_that_do_not_go_together_are_told(capsys, tmp_path, queries, qrels):
    folder = write_collection(tmp_path / "collection")
    live = ("--index", "mine", "--queries", queries)

    assert "Nothing is named to be evaluated." in error(capsys)
    assert "--index NAME --queries FILE [--qrels FILE]" in error(capsys, "--variant", PLAIN)
    assert "exclude each other" in error(capsys, folder, *live)
    assert f"--qrels and the folder {folder} exclude each other" in error(capsys, folder, "--qrels", qrels)
    assert "--index needs --queries." in error(capsys, "--index", "mine")
    assert "--queries needs --index." in error(capsys, "--queries", queries)
    assert "--qrels needs --index." in error(capsys, "--qrels", qrels)
    assert "--qrels needs --queries." not in error(capsys, "--index", "mine", "--queries", queries, "--qrels", "gone")
    assert "--candidates goes with the folder" in error(capsys, *live, "--candidates", "x")
    assert "--shuffle goes with the folder" in error(capsys, *live, "--shuffle", "1")
    assert "--measures needs --qrels" in error(capsys, *live, "--measures", "nDCG@10")


def test_an_unknown_index_and_a_bad_file_are_told(capsys, index, queries, tmp_path):
    bad = tmp_path / "gbk.tsv"
    bad.write_bytes("1\t重启\n".encode("gb18030"))

    assert "no index 'mien'" in error(capsys, "--index", "mien", "--queries", queries)
    assert "iconv -f GB18030 -t UTF-8" in error(capsys, "--index", index, "--queries", bad)


def test_a_query_that_cannot_be_searched_is_named(capsys, index, queries):
    queries.write_text(f"ok\tnetwork\nlong\t{'x' * 9000}\n", "utf-8")

    told = error(capsys, "--index", index, "--queries", queries, "--variant", PLAIN)

    assert "Variant plain, query 'long': The query has 9000 characters" in told


async def test_a_missing_stage_is_told(capsys, index, queries, monkeypatch):
    async with serving(broken) as url:
        monkeypatch.setenv("SEARCHSVC_RERANKER__URL", url)
        told = await asyncio.to_thread(
            *(evaluate, capsys, "--index", index, "--queries", queries, "--variant", PLAIN),
            *("--variant", "rr:expansion=off"),
        )

    rerank = told["variants"][1]
    assert rerank["missed_queries"] == 3
    assert {each["stage"] for each in rerank["missed"]} == {"rerank"}


def test_ids_that_no_run_can_hold_do_not_cost_the_figures(capsys, tmp_path, queries):
    main(["index", "load", str(write_jsonl(tmp_path / "c.jsonl", [{"id": "a b", "text": "network"}])), "--index", "s"])
    capsys.readouterr()

    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--index", "s", "--queries", str(queries), "--variant", PLAIN, "--runs", str(tmp_path / "r")])

    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert "p95 ms" in captured.out
    assert "The document id 'a b' has a space in it" in captured.err
    assert list((tmp_path / "r").iterdir()) == []


@pytest.mark.es
def test_on_elasticsearch(capsys, queries, qrels, es_url, monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", es_url)
    engine = ("--engine", "elasticsearch")
    corpus = write_jsonl(tmp_path / "corpus.jsonl", CORPUS)
    main(["index", "load", str(corpus), "--index", "evaluate-live", *engine])
    capsys.readouterr()
    qrels.write_text(f"{QRELS}q1\tgone\t1\nq1\tdisk\t0\n", "utf-8")
    live = ("--index", "evaluate-live", "--queries", queries, *engine)

    compared = evaluate(capsys, *live, "--variant", PLAIN, "--variant", PLAIN.replace("plain", "same"))
    judged = evaluate(capsys, *live, "--qrels", qrels, "--variant", PLAIN)

    assert compared["engine"] == "elasticsearch"
    assert compared["variants"][1]["compared_with_first"]["rbo"] == pytest.approx(1)
    assert compared["variants"][0]["queries"]["q2"]["results"] == ["java"]
    assert judged["variants"][0]["measures"]["RR@10"] == 1.0
    absent = judged["judgements"]["absent_documents"]
    assert (absent["judgements"], absent["first_line"], absent["problem"]) == (1, 4, "")
