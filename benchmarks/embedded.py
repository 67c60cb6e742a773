"""What the embedded engine costs: loading, size on disk, and the time of each verb at one client.

    python benchmarks/embedded.py COLLECTION_FOLDER [--queries N]

COLLECTION_FOLDER holds corpus.jsonl and queries.jsonl, plain or .gz; nothing is written into it. Prints figures.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from searchsvc.documents import BadLine, Document, read_documents
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.forms import plain_query
from searchsvc.model import Deadline
from searchsvc.protocols import ExpandRequest, OpenIndex, RetrieveRequest
from searchsvc.result import Retrieval
from searchsvc.text import Analyzer
from searchsvc.vocabulary.encoder import ENCODER

DEPTH = 50
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--queries", type=int, default=100, help=f"how many queries, each run {ROUNDS} times")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.collection, arguments.queries))


async def run(collection: Path, query_count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = EmbeddedEngine(Path(folder), Analyzer())
        ENCODER.encode(["loads the weights"])
        await load(engine, collection, "load")
        await load(engine, collection, "load again, vectors known")
        started = time.perf_counter()
        index = await engine.open("documents")
        print(f"{'open':<28}{(time.perf_counter() - started) * 1000:8.0f} ms")
        queries = [document.text for document in documents(collection, "queries")][:query_count]
        await measure(index, queries)
        await engine.close()
        vectors = sum(path.stat().st_size for path in (Path(folder) / "vectors").iterdir())
        print(f"{'vectors on disk':<28}{vectors / 1e6:8.1f} MB")


async def load(engine: EmbeddedEngine, collection: Path, label: str) -> None:
    physical = await engine.admin.create("documents")
    started = time.perf_counter()
    report = await engine.admin.load(physical, documents(collection, "corpus"), progress=lambda _: None)
    took = time.perf_counter() - started
    size = next(each.bytes for each in await engine.admin.status() if each.index == physical)
    print(f"{label:<28}{took:8.1f} s   {report.loaded} documents, {report.loaded / took:.0f}/s, {size / 1e6:.1f} MB")


async def measure(index: OpenIndex, queries: list[str]) -> None:
    analyzer = Analyzer()

    def wanted(query: str) -> RetrieveRequest:
        terms = plain_query(query, analyzer.terms(query))
        return RetrieveRequest(query=terms, top_k=DEPTH, deadline=Deadline.after_ms(10_000))

    async def retrieve(query: str) -> Retrieval:
        return await index.retriever.retrieve(wanted(query))

    async def explain(query: str) -> Retrieval:
        return await index.retriever.retrieve(replace(wanted(query), explain=True))

    async def expand(query: str) -> None:
        assert index.neighbours is not None
        await index.neighbours.expand(ExpandRequest(user_query=query, deadline=Deadline.after_ms(10_000), terms=32))

    async def rerank(query: str, retrieval: Retrieval) -> None:
        assert index.reranker is not None
        candidates = retrieval.ranking.candidates
        await index.reranker.rerank(query, candidates, top_k=50, instruction=None, deadline=Deadline.after_ms(10_000))

    async def both(query: str) -> None:
        await rerank(query, await retrieve(query))

    retrieved = {query: await retrieve(query) for query in queries}
    await timed("retrieve 50", queries, retrieve)
    await timed("retrieve 50, explained", queries, explain)
    await timed("expand by neighbours", queries, expand)
    await timed("rerank 50", queries, lambda query: rerank(query, retrieved[query]))
    await timed("retrieve and rerank 50", queries, both)


async def timed(label: str, queries: list[str], verb: Callable[[str], Awaitable[object]]) -> None:
    took = []
    for query in queries * ROUNDS:
        started = time.perf_counter()
        await verb(query)
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    print(f"{label:<28}{statistics.median(took):8.2f} ms p50, {took[int(len(took) * 0.95)]:.2f} ms p95")


def documents(collection: Path, stem: str) -> Iterator[Document]:
    path = next(path for path in (collection / f"{stem}.jsonl", collection / f"{stem}.jsonl.gz") if path.exists())
    for document in read_documents(path):
        if isinstance(document, BadLine):
            raise SystemExit(f"{path}:{document.number}: {document.problem}")
        yield document


if __name__ == "__main__":
    main()
