"""The whole service on real servers: Elasticsearch, a small LLM on llama.cpp, a trained mini reranker on vLLM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from searchsvc.api.wire import SearchReply
from tests.support.vllm import RERANKER_FLAGS, TEMPLATE, Running, free_port, llama_server, mini_model, vllm_server

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("equipment")]


@pytest.fixture(scope="module")
def reranker(equipment: Path) -> Iterator[Running]:
    with vllm_server(mini_model(), *RERANKER_FLAGS, "--chat-template", str(TEMPLATE)) as running:
        yield running


@pytest.fixture(scope="module")
def llm(equipment: Path) -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.fixture(scope="module")
def environment(es_url: str, reranker: Running, llm: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        **os.environ,
        "SEARCHSVC_ENGINE": "elasticsearch",
        "SEARCHSVC_ELASTICSEARCH__URL": es_url,
        "SEARCHSVC_RERANKER__URL": reranker.url,
        "SEARCHSVC_EXPANDER__URL": llm,
        "SEARCHSVC_DATA_DIR": str(tmp_path_factory.mktemp("end-to-end")),
    }


def _command(*arguments: str, env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "searchsvc", *arguments, "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextmanager
def _served(env: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "searchsvc", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=env) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                        break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()


def _search(url: str, **body: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/v1/search", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=90) as reply:
        answer = json.load(reply)
    SearchReply.model_validate(answer)
    return answer


def _stages(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["stage"]: stage for stage in answer["stages"]}


@pytest.fixture(scope="module")
def index(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo corpus on the real Elasticsearch, through the command line."""
    import searchsvc.demo

    corpus = Path(searchsvc.demo.__file__).with_name("collection") / "corpus.jsonl"
    report = _command("index", "load", str(corpus), "--index", "end-to-end", env=environment)
    assert report["live"]
    return "end-to-end"


def test_a_query_goes_through_all_of_it_and_the_answer_explains_itself(environment: dict[str, str], index: str) -> None:
    with _served(environment) as url:
        answer = _search(
            url, query="how do I see why the network is unreachable", index=index, explain=True, timeout_ms=60_000
        )

    stages = _stages(answer)
    assert stages["retrieve"]["status"] == "ok"
    assert stages["rerank"]["status"] == "ok"
    assert stages["rerank"]["model"] == "Qwen/Qwen3-Reranker-4B"
    assert {hit["score_kind"] for hit in answer["hits"]} == {"logit"}
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert any(not 0 <= score <= 1 for score in scores), "raw logits are kept"
    assert answer["hits"][0]["explanation"]["description"].startswith("rank 1 by logit of Qwen/Qwen3-Reranker-4B")
    # a language model of 135 M parameters completes some queries and fails at others; either way it is said
    expand = stages["expand"]
    assert (expand["status"], expand["reason"]) in {("ok", None), ("degraded", "badModelOutput")}
    if expand["status"] == "ok":
        assert expand["calls"][0]["output_tokens"] > 0
        assert all(term["df"] > 0 for term in answer["expansion"]["terms"] if term["kept"])


def test_a_reranker_on_vllm_mends_a_shuffled_order(equipment: Path, environment: dict[str, str]) -> None:
    folder = equipment / "data" / "zh-qbqtc"

    found = _command(
        *("evaluate", str(folder), "--candidates", str(folder / "candidates.jsonl.gz"), "--shuffle", "1"),
        *("--variant", "shuffled:expansion=off,rerank=off", "--variant", "reranked:expansion=off"),
        *("--measures", "nDCG@10"),
        env=environment,
    )

    shuffled, reranked = found["variants"]
    assert reranked["missed"] == []
    low, _ = reranked["differences"]["nDCG@10"]["interval"]
    assert low > 0.1, f"{shuffled['measures']} {reranked['measures']}"


def test_the_demo_uses_the_servers_that_are_set(environment: dict[str, str]) -> None:
    only_reranker = {name: value for name, value in environment.items() if name != "SEARCHSVC_EXPANDER__URL"}

    report = _command("demo", env=only_reranker)

    assert report["summary"]["reranker"]["url"] == environment["SEARCHSVC_RERANKER__URL"]
    assert {hit["score_kind"] for entry in report["queries"] for hit in entry["hits"]} == {"logit"}
    assert [entry["degraded"] for entry in report["queries"] if entry["degraded"]] == []


def test_when_the_reranker_dies_the_order_is_that_without_it_and_it_says_so(
    environment: dict[str, str], index: str, reranker: Running
) -> None:
    body = {"query": "docker 端口访问不了", "index": index, "expansion": "off", "timeout_ms": 3000}
    with _served(environment) as url:
        plain = _search(url, **body, rerank="off")
        assert _search(url, **body)["degraded"] == []
        reranker.kill()

        answer = _search(url, **body)

    assert [(hit["doc_id"], hit["score"]) for hit in answer["hits"]] == [
        (hit["doc_id"], hit["score"]) for hit in plain["hits"]
    ]
    assert answer["degraded"] == [{"stage": "rerank", "reason": "transient"}]
    assert answer["took_ms"] < 3000
