"""How alike the two engines rank: the same corpus in both, every query of a collection, BM25 alone.

python benchmarks/parity.py COLLECTION [--es http://127.0.0.1:9200]
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import track

from searchsvc import forms
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.model import Deadline, Ranking
from searchsvc.protocols import RetrieveRequest
from searchsvc.settings import load_settings
from searchsvc.wiring import Runtime, open_runtime

TOP = 10


async def loaded(runtime: Runtime, collection: Collection) -> str:
    name = collection.index_name(runtime.analyzer.fingerprint)
    if name not in await runtime.engine.names():
        await runtime.engine.admin.load(name, collection.documents(), progress=lambda _: None)
    return name


async def top(runtime: Runtime, name: str, text: str) -> Ranking:
    index = await runtime.engine.open(name)
    query = forms.plain_query(text, runtime.analyzer.terms(text))
    found = await index.retriever.retrieve(RetrieveRequest(query=query, top_k=TOP, deadline=Deadline.after_ms(30_000)))
    return found.ranking


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--es", default="http://127.0.0.1:9200")
    arguments = parser.parse_args()
    collection = read_collection(arguments.collection)
    overlaps, ratios, identical = [], [], 0
    async with AsyncExitStack() as stack:
        runtimes = [
            await stack.enter_async_context(open_runtime(load_settings(overrides=overrides).settings))
            for overrides in ({"engine": "embedded"}, {"engine": "elasticsearch", "elasticsearch.url": arguments.es})
        ]
        names = [await loaded(runtime, collection) for runtime in runtimes]
        for text in track(collection.queries.values(), description="queries", console=Console(stderr=True)):
            one, other = [await top(runtime, name, text) for runtime, name in zip(runtimes, names, strict=True)]
            ids = [[candidate.doc_id for candidate in ranking] for ranking in (one, other)]
            overlaps.append(len(set(ids[0]) & set(ids[1])) / max(1, len(ids[0]), len(ids[1])) if any(ids) else 1.0)
            identical += ids[0] == ids[1]
            ratios += [a.score / b.score for a, b in zip(one, other, strict=False)]
    Console().print(
        f"{collection.folder.name}: {len(overlaps)} queries, top-{TOP} overlap {fmean(overlaps):.4f}, "
        f"identical in order {identical}, score ratio {min(ratios):.6f} to {max(ratios):.6f}"
    )


if __name__ == "__main__":
    asyncio.run(main())
