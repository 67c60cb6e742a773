"""`searchsvc expand`: one query for people and scripts, many queries recorded."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
from aiohttp import web
from rich.console import Console

from searchsvc.api.expand import to_expand_reply
from searchsvc.cli import main
from searchsvc.cli.expand import table_of
from searchsvc.model import ExpansionOptions, MethodShare, Mode, RecordedRun, SearchRequest
from searchsvc.result import ExpansionTerm
from searchsvc.settings import load_settings
from searchsvc.wiring import open_runtime
from tests.support.collections import CORPUS, write_collection, write_jsonl
from tests.support.model_servers import chat_answer, serving

COMPLETION = json.dumps({"completion": "the driver of the wireless adapter"})
QUERIES = [
    {"id": "q1", "text": "network name"},
    {"id": "q2", "text": "slow wifi network"},
    {"id": "q3", "text": "large logs"},
]


@pytest.fixture(autouse=True)
def index(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    main(["index", "load", str(write_jsonl(tmp_path / "documents.jsonl", CORPUS))])
    capsys.readouterr()


@pytest.fixture
def batch(tmp_path):
    queries = write_jsonl(tmp_path / "queries.jsonl", QUERIES)
    return ["--queries", str(queries), "--record", str(tmp_path / "said.jsonl")]


class Chat:
    """Completes every query alike, but for what `answers` says of queries that hold a word; keeps what it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def __call__(self, request):
        if request.path.endswith("/models"):
            return web.json_response({"data": [{"id": "served"}]})
        said = (await request.json())["messages"][-1]["content"]
        self.asked.append(said)
        for word, answer in self.answers.items():
            if word in said:
                return answer()
        return web.json_response(chat_answer(COMPLETION))


def expand(capsys, *tokens):
    main(["expand", *tokens, "--json"])
    return json.loads(capsys.readouterr().out)


def failing(capsys, *tokens):
    with pytest.raises(SystemExit) as caught:
        main(["expand", *tokens])
    captured = capsys.readouterr()
    return caught.value.code, captured.out, " ".join(captured.err.split())


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "said.jsonl").read_text("utf-8").splitlines()]


def test_people_see_every_term_and_what_became_of_it(capsys):
    main(["expand", "network names", "--method", "prf+dictionary*0.5"])

    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["query", "network", "names"]
    assert rows[1][:3] == ["expanded", "network", "names"]
    assert rows[2] == ["auto", "no", "rule", "speaks", "against", "it"]
    assert [row[1:3] for row in rows if row[0] == "method"] == [["prf", "ok,"], ["dictionary", "ok,"]]
    assert ["term", "surface", "source", "source", "text", "weight", "df", "kept,", "or", "why", "not"] in rows
    assert any(row[0] == "resolv" and row[-1] == "kept" for row in rows)


def test_scripts_get_the_reply_of_the_api_and_what_the_rules_say(capsys):
    told = expand(capsys, '"network names"', "--method", "prf")

    assert (told["decision"], told["method"]) == ("expanded", "prf")
    assert told["auto"] == {"expand": False, "reason": "quoted phrase"}
    assert {"term", "surface", "weight", "df", "source", "source_text", "kept", "reason"} <= set(told["terms"][0])


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_weights_frequencies_and_reasons_whole(columns):
    terms = [
        ExpansionTerm(
            term="nullpointerexcept",
            surface="NullPointerException",
            frequency=1,
            weight=0.25,
            df=1234,
            source="dictionary+prf",
            source_text="java-null-pointer-zh, git-detached-head-zh and 12 more",
            kept=kept,
            reason="" if kept else "beyond the limit of 30",
        )
        for kept in (True, False)
    ]
    console = Console(width=columns)
    with console.capture() as captured:
        console.print(table_of(terms, width=columns))

    header, kept, dropped = captured.get().splitlines()
    assert header.split()[-6:] == ["weight", "df", "kept,", "or", "why", "not"]
    assert kept.split()[-3:] == ["0.2500", "1,234", "kept"]
    assert dropped.rstrip().endswith("1,234  beyond the limit of 30")
    assert ("nullpointerexcept" in kept) is (columns == 120)


async def test_what_the_model_took_is_told(capsys, monkeypatch):
    async with serving(Chat()) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        await asyncio.to_thread(main, ["expand", "slow wifi"])

    out = capsys.readouterr().out
    assert "prompt complete-v1, served, 12 + 34 tokens" in out
    assert "stop word" in out


async def test_a_model_that_fails_is_told_and_is_the_exit_status(capsys, monkeypatch):
    async def refuse(_request):
        return web.json_response({"error": {"message": "invalid api key"}}, status=401)

    async with serving(refuse) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        monkeypatch.setenv("SEARCHSVC_EXPANDER__MODEL", "qwen")
        code, out, err = await asyncio.to_thread(failing, capsys, "slow wifi")

    assert code == 1
    assert "expanded  no (rejected)" in out
    assert "401" in err


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([], "Nothing is named to be expanded."),
        (["x", "--queries", "q.tsv"], "A query and --queries exclude each other."),
        (["--queries", "q.tsv"], "--queries needs --record."),
        (["--record", "o.jsonl"], "--record needs --queries."),
        (["x", "--rpm", "6"], "--rpm goes with --queries, not with one query."),
        (["x", "--max-tokens", "6"], "--max-tokens goes with --queries"),
        (["x", "--method", "llm*0"], "The weight of the method 'llm' is '0'"),
        (["x", "--method", "neighbors"], "Did you mean neighbours?"),
        (["x", "--method", "recorded"], "--variant x:expansion=recorded,expansion.file=FILE"),
        (["x", "--method", "llm"], "It needs a chat model: set expander.url."),
        (["x", "--method", "shadw"], "Did you mean shadow?"),
        (["x", "--prompt", "terms"], "The expansion method 'llm' is not available"),
        (["x", "--method", "prf", "--prompt", "terms"], "--prompt goes with the method llm, not with prf."),
        (["--queries", "q.tsv", "--record", "o.jsonl", "--method", "prf"], "the method 'prf' asks none"),
        (["--queries", "q.tsv", "--record", "o.jsonl", "--rpm", "0"], "--rpm is 0: more than 0 was expected."),
        (["--queries", "q.tsv", "--record", "o.jsonl"], "q.tsv cannot be read"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked(capsys, tokens, said):
    code, out, err = failing(capsys, *tokens)

    assert (code, out) == (2, "")
    assert said in err


def test_without_a_chat_model_there_is_nothing_to_record(capsys, batch):
    code, _, err = failing(capsys, *batch)

    assert code == 2
    assert "no chat model is configured" in err


async def test_answers_are_recorded_once_and_replayed_without_a_call(capsys, monkeypatch, tmp_path, batch):
    chat = Chat()
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        first = await asyncio.to_thread(expand, capsys, *batch)
        again = await asyncio.to_thread(expand, capsys, *batch)
        other = await asyncio.to_thread(expand, capsys, *batch, "--prompt", "query2doc")

    assert (first["recorded"], first["recorded_before"], first["calls"]) == (3, 0, 3)
    assert (first["input_tokens"], first["output_tokens"]) == (36, 102)
    assert first["expected_tokens"] > 3 * 46
    assert (again["recorded"], again["recorded_before"], again["calls"]) == (0, 3, 0)
    assert (other["recorded"], len(chat.asked)) == (3, 6)
    assert [(line["id"], line["prompt"], line["model"]) for line in lines(tmp_path)[2:4]] == [
        ("q3", "complete-v1", "served"),
        ("q1", "query2doc-v1", "served"),
    ]
    monkeypatch.delenv("SEARCHSVC_EXPANDER__URL")
    collection = write_collection(tmp_path / "collection", queries=QUERIES)
    replay = f"said:expansion=recorded,rerank=off,expansion.file={batch[-1]},expansion.run=llm:complete-v1/served"
    plain = "plain:expansion=off,rerank=off"
    await asyncio.to_thread(main, ["evaluate", str(collection), "--variant", plain, "--variant", replay, "--json"])
    said = json.loads(capsys.readouterr().out)["variants"][1]
    assert (said["expansions"]["expanded"], said["missed_queries"]) == (3, 0)
    assert (said["tokens"]["calls"], said["recorded_tokens"]) == (0, 3 * 46)


@pytest.mark.parametrize("prompt", ["complete", "terms", "corpus"])
async def test_a_replay_proposes_what_the_answer_did(capsys, monkeypatch, batch, prompt):
    said = {"completion": "Update the drivers, the driver of the wireless adapter."}
    if prompt != "complete":
        said = {"terms": ["wireless driver", "adapter driver", "No name"]}
    chat = Chat(wifi=lambda: web.json_response(chat_answer(json.dumps(said))))
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        await asyncio.to_thread(expand, capsys, *batch, "--prompt", prompt)
        live = await asyncio.to_thread(expand, capsys, "slow wifi network", "--prompt", prompt)
    recorded = RecordedRun(file=batch[-1])
    options = ExpansionOptions(mode=Mode.ON, methods=(MethodShare(name="recorded"),), recorded=recorded)

    async with open_runtime(load_settings().settings, recorded=True) as runtime:
        request = SearchRequest(query_id="q2", user_query="slow wifi network", expansion=options)
        replay = await runtime.service.expand(request)

    def told(terms):
        return [(term["surface"], term["weight"], term["df"], term["kept"], term["reason"]) for term in terms]

    assert told(live["terms"]) == told(to_expand_reply(replay)["terms"])
    assert any(term["kept"] for term in live["terms"])


async def test_a_batch_that_records_nothing_is_the_exit_status(capsys, monkeypatch, tmp_path, batch):
    def silent():
        return web.json_response(chat_answer(""))

    async with serving(Chat(network=silent, logs=silent)) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        code, out, err = await asyncio.to_thread(failing, capsys, *batch)

    assert code == 1
    assert "0 of 3 queries, 0 of them new; 3 calls" in out
    assert "query q3 has no expansion: " in err


async def test_a_query_that_fails_is_told_and_asked_again_by_a_rerun(capsys, monkeypatch, tmp_path, batch):
    def silent():
        return web.json_response(chat_answer(""))

    async with serving(Chat(wifi=silent)) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        await asyncio.to_thread(main, ["expand", *batch])
        captured = capsys.readouterr()
    async with serving(Chat()) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        await asyncio.to_thread(main, ["expand", *batch])

    assert "2 of 3 queries, 2 of them new; 3 calls" in captured.out
    assert "query q2 has no expansion: " in captured.err
    assert "3 of 3 queries, 1 of them new; 1 calls" in capsys.readouterr().out
    assert [line["id"] for line in lines(tmp_path)] == ["q1", "q3", "q2"]


async def test_what_fails_for_all_ends_the_run_and_says_how_far_it_came(capsys, monkeypatch, tmp_path, batch):
    def refused():
        return web.json_response({"error": {"message": "account in arrears", "code": "Arrearage"}}, status=400)

    chat = Chat(wifi=refused)
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        code, out, err = await asyncio.to_thread(failing, capsys, *batch)

    assert code == 1
    assert "1 of 3 queries, 1 of them new" in out
    assert "the same command goes on from there" in err
    assert not any("large logs" in each for each in chat.asked)
    assert [line["id"] for line in lines(tmp_path)] == ["q1"]


async def test_the_tokens_that_are_allowed_are_not_passed(capsys, monkeypatch, tmp_path, batch):
    async with serving(Chat()) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        code, out, err = await asyncio.to_thread(failing, capsys, *batch, "--max-tokens", "480", "--json")

    assert code == 1
    assert "3 of 3 queries are not recorded; asks served up to 3 times, about" in err
    assert json.loads(out)["stopped"].startswith("46 tokens are used")
    assert len(lines(tmp_path)) == 1


@pytest.mark.slow  # a process of its own
async def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path, batch):
    process: asyncio.subprocess.Process | None = None
    chat = Chat()

    async def stopping(request):
        if not request.path.endswith("/models") and "slow wifi" in await request.text():
            process.send_signal(signal.SIGINT)
            await asyncio.Event().wait()
        return await chat(request)

    async with serving(stopping) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "searchsvc", "expand", *batch),
            env=os.environ | {"SEARCHSVC_EXPANDER__URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

    assert process.returncode == 130
    assert b"1 of 3 queries, 1 of them new" in out
    assert b"stopped; the same command goes on from there" in err
    assert [line["id"] for line in lines(tmp_path)] == ["q1"]
