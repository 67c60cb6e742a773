"""What the service costs over raw calls: the same Elasticsearch, the same 20 ms rerank stub, the same queries.

python benchmarks/overhead.py COLLECTION [--es http://127.0.0.1:9200] [--depth 50]

Raw calls are the official client (search) and aiohttp (rerank) in the load process itself, without any HTTP service in
front. The service is one `searchsvc serve` process that the load process asks over HTTP. Rounds alternate; figures are
of both rounds together. Ratios are what counts: everything shares the cores of one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
from elasticsearch import AsyncElasticsearch
from elasticsearch.serializer import OrjsonSerializer
from rich.console import Console
from rich.table import Table

from searchsvc.text import Analyzer

ROUNDS = 2
LOADS = ((1, 150), (16, 800), (32, 1000))
"""Clients, and requests a round."""
INDEX = "overhead"
Ask = Callable[[str], Awaitable[None]]


@dataclass
class Sample:
    """Requests of one kind at one load."""

    latencies_ms: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def rate(self) -> float:
        return len(self.latencies_ms) / self.wall_s

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s * 1000 / len(self.latencies_ms)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_lines(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def find(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz") if path.exists())


@contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen]:
    child = subprocess.Popen([sys.executable, *command], env={**os.environ, **(env or {})})
    try:
        yield child
    finally:
        child.terminate()
        child.wait(10)


async def answering(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(300):
            try:
                async with session.get(url) as reply:
                    if reply.status < 500:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    sys.exit(f"{url} does not answer")


async def drive(ask: Ask, queries: list[str], clients: int, requests: int, pid: int, sample: Sample) -> None:
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            started = time.perf_counter()
            await ask(queries[number % len(queries)])
            sample.latencies_ms.append((time.perf_counter() - started) * 1000)

    started, cpu = time.perf_counter(), cpu_seconds(pid)
    await asyncio.gather(*[client() for _ in range(clients)])
    sample.wall_s += time.perf_counter() - started
    sample.cpu_s += cpu_seconds(pid) - cpu


def raw_calls(es: AsyncElasticsearch, http: aiohttp.ClientSession, reranker: str, depth: int) -> Ask:
    analyzer = Analyzer()

    async def ask(query: str) -> None:
        found = await es.search(
            index=INDEX,
            size=depth,
            query={"match": {"tokens": " ".join(analyzer.terms(query))}},
            source=["title", "text"],
            track_total_hits=False,
        )
        sources = [hit["_source"] for hit in found["hits"]["hits"]]
        documents = [f"{source.get('title', '')}\n{source['text']}" for source in sources]
        body = {"model": "stub", "query": query, "documents": documents, "top_n": 10}
        async with http.post(f"{reranker}/v2/rerank", data=orjson.dumps(body), headers=_JSON) as reply:
            assert len(orjson.loads(await reply.read())["results"]) == min(10, len(documents))

    return ask


_JSON = {"Content-Type": "application/json"}


def service_calls(http: aiohttp.ClientSession, service: str, depth: int) -> Ask:
    async def ask(query: str) -> None:
        body = {"query": query, "index": INDEX, "rerank": {"depth": depth}}
        async with http.post(f"{service}/v1/search", data=orjson.dumps(body), headers=_JSON) as reply:
            answer = orjson.loads(await reply.read())
            assert reply.status == 200, answer
            assert not answer["degraded"], answer
            assert all(hit["rerank"] for hit in answer["hits"])

    return ask


async def measure(arguments: argparse.Namespace, service: str, reranker: str, pid: int) -> dict:
    queries = [query["text"] for query in read_lines(find(arguments.collection, "queries"))]
    serializers = {kind: OrjsonSerializer() for kind in ("application/json", "application/vnd.elasticsearch+json")}
    es = AsyncElasticsearch(arguments.es, connections_per_node=100, serializers=serializers)
    http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))
    asks = {
        "raw calls": (raw_calls(es, http, reranker, arguments.depth), os.getpid()),
        "searchsvc": (service_calls(http, service, arguments.depth), pid),
    }
    samples = {(name, clients): Sample() for name in asks for clients, _ in LOADS}
    try:
        for ask, its_pid in asks.values():
            await drive(ask, queries, 8, 200, its_pid, Sample())
        for clients, requests in LOADS:
            for _ in range(ROUNDS):
                for name, (ask, its_pid) in asks.items():
                    await drive(ask, queries, clients, requests, its_pid, samples[name, clients])
    finally:
        await http.close()
        await es.close()
    return samples


def show(samples: dict, console: Console) -> None:
    table = Table(title="searchsvc over HTTP against raw calls")
    for column in ("clients", "what", "req/s", "p50 ms", "p95 ms", "CPU ms/req", "throughput", "p50", "p95"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for clients, _ in LOADS:
        raw, ours = samples["raw calls", clients], samples["searchsvc", clients]
        for name, each in (("raw calls", raw), ("searchsvc", ours)):
            figures = [each.rate, each.quantile(0.5), each.quantile(0.95), each.cpu_ms]
            ratios = ["", "", ""]
            if each is ours:
                ratios = [
                    f"× {ours.rate / raw.rate:.2f}",
                    f"+ {ours.quantile(0.5) - raw.quantile(0.5):.1f} ms",
                    f"× {ours.quantile(0.95) / raw.quantile(0.95):.2f}",
                ]
            table.add_row(str(clients), name, *(f"{figure:.1f}" for figure in figures), *ratios)
    console.print(table)
    console.print(
        "CPU is that of the process that does the work: the load process for raw calls, the service for ours."
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--es", default="http://127.0.0.1:9200")
    parser.add_argument("--depth", type=int, default=50)
    arguments = parser.parse_args()
    service_port, stub_port = free_port(), free_port()
    service, reranker = f"http://127.0.0.1:{service_port}", f"http://127.0.0.1:{stub_port}"
    env = {
        "SEARCHSVC_ENGINE": "elasticsearch",
        "SEARCHSVC_ELASTICSEARCH__URL": arguments.es,
        "SEARCHSVC_RERANKER__URL": reranker,
    }
    with ExitStack() as stack:
        stack.enter_context(process(str(Path(__file__).with_name("stub_reranker.py")), str(stub_port), "20"))
        load = ["-m", "searchsvc", "index", "load", str(find(arguments.collection, "corpus")), "--index", INDEX]
        await asyncio.to_thread(subprocess.run, [sys.executable, *load], env={**os.environ, **env}, check=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        serve = ("-m", "searchsvc", "serve", "--port", str(service_port))
        child = stack.enter_context(process(*serve, env={**env, "SEARCHSVC_DATA_DIR": folder}))
        await answering(f"{reranker}/rerank")
        await answering(f"{service}/livez")
        samples = await measure(arguments, service, reranker, child.pid)
    show(samples, Console(width=120))


if __name__ == "__main__":
    asyncio.run(main())
