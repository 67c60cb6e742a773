"""docs/afternoon.md as a person types it: every command, in order, on a secured index of three shards."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import StartNodes
from tests.support.adopted import make_articles
from tests.support.elastic import raw_client
from tests.support.model_servers import FakeReranker, chat_answer, serving
from tests.support.vllm import free_port

pytestmark = [pytest.mark.es, pytest.mark.slow]

PAGE = (Path(__file__).parent.parent.parent / "docs" / "afternoon.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROLES = next(text for kind, text in BLOCKS if kind == "yaml")
PASSWORD = "a-password"
ROOT = ("root", "root-password")


@pytest.fixture(scope="module")
def url(start_nodes: StartNodes, tmp_path_factory: pytest.TempPathFactory) -> str:
    roles: Path = tmp_path_factory.mktemp("roles") / "roles.yml"
    roles.write_text(ROLES)
    users = [f"{ROOT[0]}:{ROOT[1]}:superuser", f"searchsvc:{PASSWORD}:searchsvc-reader"]
    return start_nodes(users=users, roles=roles).urls[0]


async def chat(request: web.Request) -> web.StreamResponse:
    """A language model that completes every query to the same answer."""
    if request.path.endswith("/models"):
        return web.json_response({"data": [{"id": "served"}]})
    return web.json_response(chat_answer("网络连接失败时检查路由器、密码和数据库；restart the router and the driver."))


@dataclass
class Typist:
    """Types the blocks of the page into a shell in one folder, with the page's addresses taken to be ours."""

    folder: Path
    addresses: dict[str, str]
    env: dict[str, str]
    exports: list[str] = field(default_factory=list)
    service: subprocess.Popen[bytes] | None = None
    output: list[str] = field(default_factory=list)

    def type(self, block: str, *, stdin: str = "") -> str:
        """What the block prints; it must succeed."""
        for ours, theirs in self.addresses.items():
            block = block.replace(ours, theirs)
        script = "set -e\n" + "".join(self.exports) + block
        self.exports += [f"{line}\n" for line in block.splitlines() if line.startswith("export ")]
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def serve(self) -> None:
        """`searchsvc serve` with what was exported so far; the one before ends."""
        self.stop()
        script = "".join(self.exports) + "exec searchsvc serve"
        with (self.folder / "serve.log").open("wb") as log:
            self.service = subprocess.Popen(["bash", "-c", script], cwd=self.folder, env=self.env, stderr=log)
        base = self.addresses["http://127.0.0.1:8080"]
        for _ in range(600):
            assert self.service.poll() is None, (self.folder / "serve.log").read_text()
            if _answers(f"{base}/livez"):
                return
            time.sleep(0.1)
        raise AssertionError("the service did not start")

    def stop(self) -> None:
        if self.service is not None:
            self.service.terminate()
            self.service.wait(timeout=20)
            self.service = None


@asynccontextmanager
async def typist(url: str, folder: Path) -> AsyncIterator[Typist]:
    port = free_port()
    bin_folder = Path(sys.executable).parent
    env = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "SEARCHSVC_API__PORT": str(port),
        "SEARCHSVC_DATA_DIR": str(folder / "data"),
        "PYTHONWARNINGS": "ignore",
    }
    async with serving(FakeReranker()) as reranker, serving(chat) as model:
        addresses = {
            "http://127.0.0.1:9200": url,
            "http://127.0.0.1:8080": f"http://127.0.0.1:{port}",
            "http://gpu:8000": reranker,
            "http://gpu:8001": model,
        }
        person = Typist(folder=folder, addresses=addresses, env=env)
        try:
            yield person
        finally:
            person.stop()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


def block_with(text: str) -> str:
    return next(block for _, block in BLOCKS if text in block)


async def raw_order(url: str, body: dict[str, Any]) -> list[tuple[str, float]]:
    auth = b64encode(f"{ROOT[0]}:{ROOT[1]}".encode()).decode()
    async with raw_client(url) as client:
        reply = await client.options(headers={"authorization": f"Basic {auth}"}).search(index="articles", body=body)
    return [(hit["_id"], hit["_score"]) for hit in reply["hits"]["hits"]]


def order(printed: str) -> list[tuple[str, float]]:
    return [(hit["doc_id"], hit["score"]) for hit in json.loads(printed[printed.index("{") :])["hits"]]


async def test_every_command_of_the_page_works_as_typed(url: str, tmp_path: Path) -> None:
    made = await make_articles(url, "articles", shards=3, basic_auth=ROOT)
    base_query = json.loads(
        re.search(r"base_query = '''\n(.*?)'''", PAGE, re.DOTALL)[1].replace("{{query}}", "网络不通")
    )
    async with typist(url, tmp_path) as person:
        typed: set[str] = set()

        async def run(text: str, stdin: str = "") -> str:
            block = block_with(text)
            typed.add(block)
            return await asyncio.to_thread(person.type, block, stdin=stdin)

        async def serve() -> None:
            await asyncio.to_thread(person.serve)

        await run("export SEARCHSVC_ELASTICSEARCH__URL")
        assert "articles" in await run("searchsvc index adopt articles")
        config = tmp_path / "searchsvc.toml"
        assert "\n[indices.articles]\n" in "\n" + config.read_text("utf-8")
        assert "valid" in await run("searchsvc config check")
        typed.add(block_with("searchsvc serve"))
        await serve()
        assert order(await run('"expansion": "off", "rerank": "off"'))
        assert "comments.author" in await run("/v1/indices/articles")

        tuned = re.search(r"base_query = '''.*?'''\n", PAGE, re.DOTALL)[0]
        config.write_text(config.read_text("utf-8").replace("[indices.articles]\n", "[indices.articles]\n" + tuned))
        await serve()
        assert order(await run('"expansion": "off", "rerank": "off"')) == await raw_order(url, {"query": base_query})

        await run("SEARCHSVC_RERANKER__URL")
        explained = await run("--explain")
        assert "数据库" in explained
        assert "degraded" not in explained
        unjudged = await run("printf")
        assert "full" in unjudged
        await run("searchsvc judge", stdin="2103" * 40)
        assert (tmp_path / "qrels.tsv").read_text("utf-8").count("human") >= 10
        assert "nDCG@10" in await run("--qrels qrels.tsv")
        await serve()
        page = json.loads((await run('"cursor": "*"')).partition("{")[2].join(["{", ""]))
        assert page["next_cursor"]
        assert page["facets"]
        assert {key for hit in page["hits"] for key in hit["source"]} <= {"title", "tags"}
        assert all(made[hit["doc_id"]]["lang"] != "en" for hit in page["hits"])

        await run("RUN_AS")
        await serve()
        assert order(await run("curl -s -u searchsvc"))
        commands = {block for kind, block in BLOCKS if kind == "sh"}
        assert not commands - typed, "blocks that no step of this test has typed"
