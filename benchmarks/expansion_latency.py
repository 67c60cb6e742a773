"""What expansion costs a search: added time without a language model, and what a slow one does to the answer.

    python benchmarks/expansion_latency.py COLLECTION [--engine elasticsearch] [--rounds 3]

First the methods that need no language model, one search at a time, against expansion off in the same run: p50 and
p95 of the whole search, and what the median grew by. Then a language model that takes 700 ms behind a total budget of
400 ms: p95 of the whole search, and what became of its expansions; the second pass finds them in the cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from rich.console import Console
from rich.progress import track
from rich.table import Table

from searchsvc.errors import SearchError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.model import ExpansionOptions, MethodShare, Mode, RerankOptions, SearchRequest
from searchsvc.result import SearchResult
from searchsvc.settings import load_settings
from searchsvc.wiring import Runtime, open_runtime

LOCAL = ("neighbours", "prf", "dictionary")
LLM_MS, BUDGET_MS = 700, 400
WARM = 20


@asynccontextmanager
async def slow_model() -> AsyncIterator[str]:
    """An OpenAI-compatible endpoint on loopback that answers after LLM_MS with words of the query."""

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(LLM_MS / 1000)
        said = body["messages"][-1]["content"].removeprefix("<query>").removesuffix("</query>")
        completion = f"People who ask about this mostly read about {said} causes, symptoms, history and cost."
        message = {"role": "assistant", "content": json.dumps({"completion": completion})}
        usage = {"prompt_tokens": 300, "completion_tokens": 60}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"model": "slow", "choices": [choice], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (host, port) = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


async def load(runtime: Runtime, collection: Collection) -> str:
    name = collection.index_name(runtime.analyzer.fingerprint)
    if name not in await runtime.engine.names():
        await runtime.engine.admin.load(name, collection.documents(), progress=lambda _: None)
    return name


def request(index: str, query: str, *, method: str | None, timeout_ms: int) -> SearchRequest:
    expansion = ExpansionOptions(mode=Mode.OFF)
    if method is not None:
        expansion = ExpansionOptions(mode=Mode.ON, methods=(MethodShare(name=method),))
    return SearchRequest(
        query_id="q",
        user_query=query,
        index=index,
        expansion=expansion,
        rerank=RerankOptions(mode=Mode.OFF),
        timeout_ms=timeout_ms,
    )


async def timed(runtime: Runtime, wanted: SearchRequest) -> tuple[float, SearchResult]:
    started = time.perf_counter()
    result = await runtime.service.search(wanted)
    return (time.perf_counter() - started) * 1000, result


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def local(runtime: Runtime, index: str, queries: list[str], rounds: int) -> Table:
    there = (await runtime.service.pipeline(index)).expanders
    methods = [None, *(each for each in LOCAL if each in there)]
    took: dict[str | None, list[float]] = {method: [] for method in methods}
    for query in queries[:WARM]:
        for method in methods:
            await timed(runtime, request(index, query, method=method, timeout_ms=10_000))
    for _ in track(range(rounds), description="local methods", console=Console(stderr=True)):
        for query in queries:
            for method in methods:  # one after the other on the same query: what slows one slows all
                took[method].append((await timed(runtime, request(index, query, method=method, timeout_ms=10_000)))[0])
    table = Table(title=f"whole search, ms, {len(took[None])} each")
    for column in ("expansion", "p50", "p95", "added p50"):
        table.add_column(column, justify="left" if column == "expansion" else "right")
    base = statistics.median(took[None])
    for method, values in took.items():
        median = statistics.median(values)
        added = "" if method is None else f"{median - base:+.1f}"
        table.add_row(method or "off", f"{median:.1f}", f"{percentile(values, 0.95):.1f}", added)
    return table


async def behind_slow_model(runtime: Runtime, index: str, queries: list[str]) -> Table:
    table = Table(title=f"a language model of {LLM_MS} ms behind a budget of {BUDGET_MS} ms, {len(queries)} queries")
    for column in ("pass", "p50", "p95", "expand: status, reason"):
        table.add_column(column, justify="right" if column.startswith("p") and column != "pass" else "left")
    for name in ("first", "second"):
        took, found = [], []
        for query in track(queries, description=f"{name} pass", console=Console(stderr=True)):
            milliseconds, result = await timed(runtime, request(index, query, method="llm", timeout_ms=BUDGET_MS))
            took.append(milliseconds)
            trace = next(each for each in result.stages if each.stage == "expand")
            found.append(f"{trace.status} {trace.reason or ''}".strip())
        told = ", ".join(f"{what} {count}" for what, count in Counter(found).most_common())
        table.add_row(name, f"{statistics.median(took):.0f}", f"{percentile(took, 0.95):.0f}", told)
        await asyncio.sleep(2 * LLM_MS / 1000)
    return table


async def run(arguments: argparse.Namespace) -> None:
    collection = read_collection(arguments.collection)
    queries = list(collection.queries.values())[: arguments.queries]
    console = Console(width=100)
    async with slow_model() as url:
        overrides = {"engine": arguments.engine, "expander.url": url, "expander.model": "slow"}
        async with open_runtime(load_settings(overrides=overrides).settings) as runtime:
            index = await load(runtime, collection)
            documents = sum(each.documents for each in await runtime.engine.admin.status() if each.alias == index)
            console.print(f"{collection.folder.name}: {documents} documents, engine {runtime.settings.engine}")
            console.print(await local(runtime, index, queries, arguments.rounds))
            console.print(await behind_slow_model(runtime, index, queries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=56)
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
