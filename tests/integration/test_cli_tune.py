from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from searchsvc.cli import main
from searchsvc.evaluation.variants import parse_variant
from tests.support.collections import CORPUS, write_collection, write_jsonl
from tests.support.commands import refusal
from tests.support.model_servers import chat_answer, serving

FEW = ("--variant", "v:expansion=llm,rerank=off", "--weights", "0.3,0.6", "--terms", "8")


@pytest.fixture(autouse=True)
def a_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def collection(tmp_path):
    return write_collection(tmp_path / "collection")


def tune(capsys, *tokens):
    main(["tune", *map(str, tokens), "--json"])
    return json.loads(capsys.readouterr().out)


def error(capsys, *tokens):
    return refusal(capsys, "tune", *tokens)


async def chat(request):
    if request.path.endswith("/models"):
        return web.json_response({"data": [{"id": "served"}]})
    return web.json_response(chat_answer(json.dumps({"completion": "the driver of the wireless adapter"})))


async def test_settings_are_tried_and_the_chosen_one_is_written_as_a_variant(capsys, collection, monkeypatch, tmp_path):
    file = tmp_path / "chosen.txt"
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        told = await asyncio.to_thread(tune, capsys, collection, *FEW, "--write", file)

    assert [(each["off"], each["weight"], each["terms"], each["depth"]) for each in told["settings"]] == [
        (True, None, None, None),
        (False, 0.3, 8, None),
        (False, 0.6, 8, None),
    ]
    assert (told["measure"], told["queries"], told["enough_queries"]) == ("nDCG@10", 3, False)
    assert told["settings"][0]["gain"] == 0
    assert [each["expanded_share"] for each in told["settings"]] == pytest.approx([0, 2 / 3, 2 / 3])
    assert set(told["estimate"]) == {"measure", "diff", "ci95", "p", "wins", "ties", "losses", "harm_rate"}
    assert sum(told["chosen_by_fold"].values()) == 3
    assert file.read_text("utf-8") == told["variant"] + "\n"
    assert told["written"] == str(file)
    assert parse_variant(told["variant"]).expansion.mode == "off", "nothing is gained here, so nothing is expanded"


async def test_people_see_the_curve_and_that_three_queries_are_few(capsys, collection, monkeypatch):
    async with serving(chat) as url:
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", url)
        await asyncio.to_thread(main, ["tune", str(collection), *FEW])

    shown = capsys.readouterr().out
    assert "3 judged queries are few: under 50 a choice among 3 settings is mostly chance" in shown
    assert "← chosen" in shown
    assert "on queries that it was not made by" in shown
    assert "expanded: 66.7% of the searches of the 2 settings with an expansion" in shown
    assert "no expand for 1 of 3 queries: badModelOutput" in shown
    assert shown.splitlines()[-1].startswith("--variant tuned:expansion=off")


def test_queries_and_judgements_of_your_own_are_tuned_on(capsys, tmp_path):
    main(["index", "load", str(write_jsonl(tmp_path / "corpus.jsonl", CORPUS)), "--index", "mine"])
    (tmp_path / "q.tsv").write_text("q1\tnetwork name\nq2\tlarge logs\n", "utf-8")
    (tmp_path / "j.tsv").write_text("q1\tdns\t2\nq2\tdisk\t1\n", "utf-8")
    capsys.readouterr()

    told = tune(
        capsys,
        *("--index", "mine", "--queries", "q.tsv", "--qrels", "j.tsv", "--measure", "RR@10"),
        *("--variant", "v:expansion=prf", "--weights", "0.5", "--terms", "8", "--depths", "2,3"),
    )

    assert (told["index"], told["measure"], told["queries"]) == ("mine", "RR@10", 2)
    assert [each["depth"] for each in told["settings"]] == [None, 2, 3]
    assert told["settings"][0]["mean"] == 1.0


def test_what_cannot_be_tuned_is_told(capsys, collection):
    assert "Tuning needs judged queries." in error(capsys)
    assert "Tuning needs judged queries." in error(capsys, "--index", "i", "--queries", "q.tsv")
    assert "v has no expansion to be tuned" in error(capsys, collection, "--variant", "v:expansion=off")
    assert "--weights is 'much': numbers, comma-separated" in error(capsys, collection, "--weights", "much")
    assert "--prompts goes with the method llm, not with prf." in error(
        capsys, collection, "--variant", "v:expansion=prf", "--prompts", "terms"
    )
    assert "--weights holds 2: numbers from 0 to 1 were expected." in error(capsys, collection, "--weights", "2")
    assert "--measure names 2 measures" in error(capsys, collection, "--measure", "nDCG@10,RR")
    assert "--write" not in error(capsys, collection, "--measure", "ndcg@10")
