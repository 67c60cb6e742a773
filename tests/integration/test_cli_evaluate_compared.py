"""`searchsvc evaluate`: the baseline, the grid, how it is served, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
from aiohttp import web

from searchsvc.cli import main
from tests.support.collections import QUERIES, write_collection
from tests.support.commands import refusal
from tests.support.model_servers import chat_answer, serving

PLAIN = "plain:expansion=off,rerank=off"
LLM = "llm:expansion=llm,rerank=off"
COMPLETION = json.dumps({"completion": "the driver of the wireless adapter"})


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def collection(tmp_path):
    return write_collection(tmp_path / "collection")


def evaluate(capsys, *tokens):
    main(["evaluate", *map(str, tokens), "--json"])
    return json.loads(capsys.readouterr().out)


def error(capsys, *tokens):
    return refusal(capsys, "evaluate", *tokens)


async def chat(request):
    """A chat model that completes every query alike; what is Chinese is refused, for the completion is English."""
    if request.path.endswith("/models"):
        return web.json_response({"data": [{"id": "served"}]})
    return web.json_response(chat_answer(COMPLETION))


async def test_a_named_baseline_and_reference_take_the_place_of_the_first(capsys, collection, monkeypatch):
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        told = await asyncio.to_thread(
            *(evaluate, capsys, collection, "--variant", PLAIN, "--variant", LLM, "--measures", "nDCG@10,RR@10"),
            *("--baseline", "llm", "--reference", "RR@10"),
        )

    llm, plain = told["variants"]
    assert (told["baseline"], told["reference"], told["serving"]) == ("llm", "RR@10", "complete")
    assert (llm["name"], llm["vs_baseline"]) == ("llm", None)
    assert set(plain["vs_baseline"]) == {"measure", "diff", "ci95", "p", "wins", "ties", "losses", "harm_rate"}
    assert plain["vs_baseline"]["measure"] == "RR@10"
    assert llm["expansions"] == {"expanded": 2, "skipped": 0, "pending": 0, "degraded": 1}
    assert (llm["expanded_share"], plain["expanded_share"]) == (pytest.approx(2 / 3), 0.0)


def test_a_baseline_or_reference_that_there_is_not_is_told(capsys, collection):
    assert "--baseline plian is none of base, rerank, full" in error(capsys, collection, "--baseline", "plian")
    assert "--reference nDCG@5 is none of nDCG@10, RR@10, R@100" in error(capsys, collection, "--reference", "nDCG@5")


async def test_a_grid_tells_what_expansion_adds_behind_the_reranker(capsys, collection, monkeypatch):
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        told = await asyncio.to_thread(
            evaluate, capsys, collection, "--grid", "--variant", "v:expansion=llm,rerank.depth=3"
        )
        await asyncio.to_thread(main, ["evaluate", str(collection), "--grid"])

    assert [each["name"] for each in told["variants"]] == ["base", "expand", "rerank", "expand+rerank"]
    assert told["measures"] == ["nDCG@10", "RR@10", "R@100", "R@3"]
    by_name = {each["name"]: each["measures"]["R@3"] for each in told["variants"]}
    grid = told["grid"]
    assert grid["expansion_behind_reranker"]["R@3"]["mean"] == pytest.approx(
        by_name["expand+rerank"] - by_name["rerank"]
    )
    assert grid["expansion_alone"]["R@3"]["mean"] == pytest.approx(by_name["expand"] - by_name["base"])
    assert [each["expansions"]["expanded"] for each in told["variants"]] == [0, 2, 0, 2]
    assert "behind the reranker" in capsys.readouterr().out


def test_the_report_with_plots_is_written(capsys, collection, tmp_path):
    page = tmp_path / "report.html"

    main(["evaluate", str(collection), "--variant", PLAIN, "--variant", "rr:expansion=off", "--html", str(page)])

    captured = capsys.readouterr()
    assert f"written: {page}" in captured.err
    html = page.read_text("utf-8")
    assert "rr against plain" in html
    assert html.count("<svg") == 2
    assert error(capsys, "--index", "i", "--queries", "q", "--html", page).startswith("error: --html needs --qrels")


def test_a_grid_is_made_from_one_variant_that_expands(capsys, collection):
    assert "one, and 2 are named" in error(capsys, collection, "--grid", "--variant", PLAIN, "--variant", LLM)
    assert "of plain on and off, and it has none" in error(capsys, collection, "--grid", "--variant", PLAIN)


async def test_a_live_search_does_not_wait_for_an_expansion_that_is_late(capsys, collection, monkeypatch):
    asked = []

    async def slow(request):
        if request.path.endswith("/models"):
            return web.json_response({"data": [{"id": "served"}]})
        asked.append(await request.text())
        await asyncio.sleep(0.3 if len(asked) > 1 else 0)
        return web.json_response(chat_answer(COMPLETION))

    async with serving(slow) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        live = await asyncio.to_thread(
            evaluate, capsys, collection, "--serving", "live", "--variant", PLAIN, "--variant", f"{LLM},timeout_ms=200"
        )
        warm = asked[0]

    plain, llm = live["variants"]
    assert live["serving"] == "live"
    assert not any(query["text"] in warm for query in QUERIES), "warming up must not fill the cache"
    assert (plain["expanded_share"], llm["expanded_share"]) == (0.0, 0.0)
    assert llm["expansions"] == {"expanded": 0, "skipped": 0, "pending": 3, "degraded": 0}
    assert (llm["missed"], llm["missed_queries"]) == ([], 0)
    assert llm["measures"] == plain["measures"]


@pytest.mark.slow  # a process of its own
async def test_ctrl_c_keeps_the_queries_that_all_variants_have_answered(collection, tmp_path):
    process: asyncio.subprocess.Process | None = None

    async def stopping(request):
        if not request.path.endswith("/models") and QUERIES[2]["text"] in await request.text():
            process.send_signal(signal.SIGINT)
            await asyncio.Event().wait()
        return await chat(request)

    async with serving(stopping) as url:
        variants = ("--variant", PLAIN, "--variant", LLM)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "searchsvc", "evaluate", collection, *variants, "--json"),
            env=os.environ | {"SEARCHSVC_EXPANDER__URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

    told = json.loads(out)
    assert process.returncode == 130
    assert "interrupted: all variants have answered 2 of 3 queries" in err.decode()
    assert (told["interrupted"], told["queries"], told["queries_not_run"]) == (True, 2, 1)
    assert [list(each["queries"]) for each in told["variants"]] == [["q1", "q2"]] * 2
    assert told["variants"][0]["measures"]["nDCG@10"] == pytest.approx(1.0), "no query that was not run counts 0"


async def test_where_the_tokens_are_used_up_what_is_done_is_told(capsys, collection, monkeypatch):
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        with pytest.raises(SystemExit) as caught:
            await asyncio.to_thread(
                evaluate, capsys, collection, "--variant", PLAIN, "--variant", LLM, "--max-tokens", 480
            )

    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert caught.value.code == 1
    assert "asks the chat model up to 3 times, about" in captured.err
    assert "stopped by --max-tokens: all variants have answered 1 of 3 queries" in captured.err
    assert "46 tokens are used" in captured.err
    assert (told["interrupted"], told["queries"]) == (True, 1)


async def test_what_the_chat_model_says_is_recorded_and_replayed_without_a_call(
    capsys, collection, monkeypatch, tmp_path
):
    file = tmp_path / "said.jsonl"
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        recorded = await asyncio.to_thread(evaluate, capsys, collection, "--variant", LLM, "--record", file)
        await asyncio.to_thread(main, ["evaluate", str(collection), "--variant", LLM, "--record", str(file)])
        told = capsys.readouterr().err
    monkeypatch.delenv("SEARCHSVC_EXPANDER__URL")
    replayed = await asyncio.to_thread(
        evaluate, capsys, collection, "--variant", f"again:expansion=recorded,expansion.file={file},rerank=off"
    )

    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [(line["id"], line["model"], line["input_tokens"]) for line in lines] == [
        ("q1", "served", 12),
        ("q3", "served", 12),
    ]
    assert "recorded: 0 answers of the chat model" in told, "those of the second run are there already"
    (llm,), (again,) = recorded["variants"], replayed["variants"]
    assert again["measures"] == llm["measures"]
    assert again["tokens"]["calls"] == 0
    assert again["expansions"]["expanded"] == 2
    assert again["missed"][0]["message"].endswith("has nothing for this query.")


def test_a_limit_that_lets_nothing_through_is_told(capsys, collection):
    assert "--rpm is 0: more than 0 was expected" in error(capsys, collection, "--rpm", "0")
    assert "--max-tokens is -5" in error(capsys, collection, "--max-tokens", "-5")


@pytest.mark.parametrize(("served", "times"), [("complete", 1), ("live", 2)])
async def test_served_live_no_variant_finds_what_another_has_asked_for(capsys, collection, monkeypatch, served, times):
    asked = []

    async def noting(request):
        asked.append(await request.text())
        return await chat(request)

    async with serving(noting) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        told = await asyncio.to_thread(
            *(evaluate, capsys, collection, "--serving", served, "--variant", LLM),
            *("--variant", f"other:{LLM.partition(':')[2]},expansion.weight=0.3"),
        )

    assert [sum(query["text"] in each for each in asked) for query in QUERIES] == [times] * 3
    cached = sum(each["cached_completions"] for each in told["variants"])
    assert cached == (2 if times == 1 else 0)
