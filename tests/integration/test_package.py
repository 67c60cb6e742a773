"""The wheel in an environment of its own, outside the checkout; and the extra for the machine with the models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.elastic import own_name
from tests.support.vllm import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("package")
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    wheel = next(folder.glob("searchsvc-*.whl"))
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    held = folder / "held.txt"  # the versions that the project holds, without the hashes that a bare wheel has not
    held.write_text(
        "\n".join(
            line.removesuffix("\\").strip()
            for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
            if "==" in line and not line.startswith((" ", "#"))
        )
    )
    _run(folder / "venv" / "bin" / "pip", "install", "--quiet", "--constraint", held, wheel, cwd=folder, timeout=600)
    return folder / "venv" / "bin"


def test_the_wheel_runs_the_demo(installed: Path, tmp_path: Path) -> None:
    report = json.loads(_run(installed / "searchsvc", "demo", "--json", cwd=tmp_path))

    by_query = {entry["query"]: entry for entry in report["queries"]}
    for query in ("python 导入失败", "java null指针异常处理", "linux网络不通"):
        assert by_query[query]["rank_with"] == 1
    assert report["summary"]["mrr_with"] > report["summary"]["mrr_without"]
    assert len(report["queries"]) >= 60
    assert report["summary"]["documents"] >= 160


def test_the_wheel_serves(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    env = {**os.environ, "SEARCHSVC_DATA_DIR": str(tmp_path / "data")}
    serve = [installed / "searchsvc", "serve", "--port", str(port)]
    with subprocess.Popen(serve, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz")
            answer = _post(f"http://127.0.0.1:{port}/v1/search", {"query": "linux网络不通"})
        finally:
            server.terminate()
        said = server.stderr.read() if server.stderr else ""

    assert answer["hits"][0]["doc_id"] == "net-unreachable-guide-zh"
    assert answer["degraded"] == []
    assert "loading the demo corpus" in said


@pytest.mark.es
def test_the_wheel_makes_an_index(installed: Path, tmp_path: Path, es_url: str) -> None:
    env = {"SEARCHSVC_ELASTICSEARCH__URL": es_url, "SEARCHSVC_ENGINE": "elasticsearch"}
    name = own_name()

    made = json.loads(_run(installed / "searchsvc", "index", "create", name, "--json", cwd=tmp_path, env=env))

    with urllib.request.urlopen(f"{es_url}/{made['index']}/_mapping") as reply:
        mapping = json.load(reply)[made["index"]]["mappings"]
    request = urllib.request.Request(f"{es_url}/{made['index']}", method="DELETE")
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200
    assert mapping["dynamic"] == "strict"
    assert mapping["properties"]["tokens"]["analyzer"] == "whitespace"


@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv to resolve without installing")
def test_the_extra_for_vllm_can_be_resolved(tmp_path: Path) -> None:
    resolved = _run(
        *("uv", "pip", "compile", "--quiet", "--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28"),
        *("--extra", "vllm", "--output-file", tmp_path / "resolved.txt", ROOT / "pyproject.toml"),
        cwd=tmp_path,
    )

    versions = dict(line.split("==") for line in (tmp_path / "resolved.txt").read_text().splitlines() if "==" in line)
    assert "vllm" in versions
    assert "fastapi" in versions, resolved


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer 200 in 30 s")


def _post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)
