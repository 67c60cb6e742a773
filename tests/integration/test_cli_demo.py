"""The demo through the command line, on two of its queries."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from searchsvc.cli import demo as demo_command
from searchsvc.cli import main
from searchsvc.demo import demo_queries
from tests.support.model_servers import FakeReranker, chat_answer, serving

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def two_queries(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_command, "demo_queries", lambda: demo_queries()[:2])


def test_in_a_pipe_every_id_is_whole_and_nothing_is_coloured(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    main(["demo", "--json"])
    report = json.loads(capsys.readouterr().out)
    main(["demo"])
    shown = capsys.readouterr().out

    doc_ids = [hit["doc_id"] for entry in report["queries"] for hit in entry["hits"]]
    assert len(doc_ids) == 10
    assert [doc_id for doc_id in doc_ids if f" {doc_id} " not in shown] == []
    assert "\x1b" not in shown
    assert "Made by: expander neighbours (embedded), reranker use-multilingual-v3 (embedded).\n" in shown


async def test_servers_without_a_configured_model_are_named_by_the_models_that_answered(capsys, monkeypatch):
    async def chat(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response({"data": [{"id": "listed"}]})
        return web.json_response(chat_answer(json.dumps({"completion": "检查网络接口，重新安装缺失的 Python 包。"})))

    async with serving(FakeReranker()) as reranker, serving(chat) as expander:
        monkeypatch.setenv("SEARCHSVC_RERANKER__URL", reranker)
        monkeypatch.setenv("SEARCHSVC_EXPANDER__URL", f"{expander}/v1")
        await asyncio.to_thread(main, ["demo", "--json"])
        report = json.loads(capsys.readouterr().out)
        await asyncio.to_thread(main, ["demo"])

    assert report["summary"]["expander"] == {"kind": "server", "url": f"{expander}/v1", "model": "served"}
    assert report["summary"]["reranker"] == {"kind": "server", "url": reranker, "model": "served"}
    shown = capsys.readouterr().out
    assert f"Made by: expander served at {expander}/v1, reranker served at {reranker}.\n" in shown
