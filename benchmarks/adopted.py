"""An index of others behind the service: is everything switched off equal to the raw search, are document
frequencies right on several shards, and what does the service add in time?

python benchmarks/adopted.py COLLECTION [--es http://127.0.0.1:9200] [--rounds 3]

The corpus is put into two indices as people make them (standard analyser; one shard, and three), and searched by a
query over the text fields and by a tuned one with function_score and an access filter. The indices are deleted at the
end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from rich.console import Console
from rich.progress import track
from rich.table import Table

from searchsvc.elastic.client import connect
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.model import Deadline, ExpansionOptions, Mode, RerankOptions, SearchRequest
from searchsvc.settings import Settings
from searchsvc.settings.declared import ElasticsearchSettings, IndexSettings
from searchsvc.wiring import Runtime, open_runtime

TOP = 10
TUNED = """{"function_score": {
  "query": {"bool": {"must": [{"multi_match": {"query": "{{query}}", "fields": ["title^3", "text"]}}],
                     "filter": [{"term": {"visible_to": "everyone"}}]}},
  "field_value_factor": {"field": "popularity", "modifier": "log1p"}}}"""
MAPPING = {
    "properties": {
        "title": {"type": "text"},
        "text": {"type": "text"},
        "visible_to": {"type": "keyword"},
        "popularity": {"type": "float"},
    }
}


def hits_of(reply: Any) -> list[tuple[str, float]]:
    return [(hit["_id"], hit["_score"]) for hit in reply["hits"]["hits"]]


def raw_body(user_query: str, *, tuned: bool) -> dict[str, Any]:
    """What one would send by hand."""
    if tuned:
        return {"query": json.loads(TUNED.replace('"{{query}}"', json.dumps(user_query)))}
    matches = [
        {"match": {field: {"query": user_query, "boost": boost}}} for field, boost in (("title", 3), ("text", 1))
    ]
    return {"query": {"dis_max": {"queries": matches, "tie_breaker": 0.3}}}


def actions(collection: Collection) -> Iterable[dict[str, Any]]:
    for number, document in enumerate(collection.documents()):
        source = {"title": document.title, "text": document.text, "popularity": 1 + number % 17}
        yield {
            "_id": document.doc_id,
            "_source": {**source, "visible_to": ["everyone", "staff"][number % 5 == 0 :][:1]},
        }


@asynccontextmanager
async def indexed(client: AsyncElasticsearch, collection: Collection, shards: int) -> AsyncIterator[str]:
    name = f"raw-{collection.folder.name}-{shards}"
    await client.indices.delete(index=name, ignore_unavailable=True)
    await client.indices.create(
        index=name, settings={"number_of_shards": shards, "number_of_replicas": 0}, mappings=MAPPING
    )
    try:
        await async_bulk(client, actions(collection), index=name, chunk_size=2000, refresh=True)
        yield name
    finally:
        await client.indices.delete(index=name)


def settings_of(es: str, name: str) -> Settings:
    fields: dict[str, Any] = {
        "index": name,
        "text_fields": ["title^3", "text"],
        "returned": ["title"],
        "title": "title",
    }
    tables = {"plain": IndexSettings(**fields), "tuned": IndexSettings(**fields, base_query=TUNED)}
    return Settings(engine="elasticsearch", elasticsearch=ElasticsearchSettings(url=es), indices=tables)


def off(index: str, user_query: str) -> SearchRequest:
    return SearchRequest(
        query_id="1",
        user_query=user_query,
        index=index,
        top_k=TOP,
        expansion=ExpansionOptions(mode=Mode.OFF),
        rerank=RerankOptions(mode=Mode.OFF),
        timeout_ms=60_000,
    )


async def equality(runtime: Runtime, client: AsyncElasticsearch, name: str, queries: list[str], table: Table) -> None:
    for index in ("plain", "tuned"):
        same_ids = same_order = same_scores = 0
        for text in track(queries, description=f"{name} {index}", console=Console(stderr=True)):
            result = await runtime.service.search(off(index, text))
            ours = [(hit.candidate.doc_id, hit.score) for hit in result.hits]
            raw = hits_of(await client.search(index=name, body={**raw_body(text, tuned=index == "tuned"), "size": TOP}))
            same_ids += {doc_id for doc_id, _ in ours} == {doc_id for doc_id, _ in raw}
            same_order += [doc_id for doc_id, _ in ours] == [doc_id for doc_id, _ in raw]
            same_scores += [score for _, score in ours] == [score for _, score in raw]
        table.add_row(name, index, str(len(queries)), str(same_ids), str(same_order), str(same_scores))


async def parity(runtime: Runtime, client: AsyncElasticsearch, name: str, words: list[str], table: Table) -> None:
    """Document frequencies as the service has them, against a count for each word by itself."""
    opened = await runtime.engine.open("plain")
    counts = await opened.statistics.document_frequencies(words, deadline=Deadline.after_ms(60_000))
    equal = found = 0
    for word in words:
        phrases = [{"match_phrase": {field: word}} for field in ("title", "text")]
        counted = await client.count(index=name, query={"bool": {"should": phrases}})
        equal += counts.df[word] == counted["count"]
        found += counts.df[word] > 0
    table.add_row(name, str(len(words)), str(found), str(equal), str(counts.doc_count))


async def times(
    runtime: Runtime, client: AsyncElasticsearch, name: str, queries: list[str], rounds: int, table: Table
) -> None:
    """In turn, so that both meet the same machine."""
    for index in ("plain", "tuned"):
        took: dict[str, list[float]] = {"raw": [], "service": []}
        for text in queries * rounds:
            body = {
                **raw_body(text, tuned=index == "tuned"),
                "size": TOP,
                "_source": ["title"],
                "track_total_hits": 1000,
            }
            started = time.perf_counter()
            await client.search(index=name, body=body)
            took["raw"].append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            await runtime.service.search(off(index, text))
            took["service"].append((time.perf_counter() - started) * 1000)
        raw, service = median(took["raw"]), median(took["service"])
        table.add_row(name, index, f"{raw:.2f}", f"{service:.2f}", f"{service - raw:+.2f}", f"{service / raw:.2f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--es", default="http://127.0.0.1:9200")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    collection = read_collection(arguments.collection)
    queries = list(collection.queries.values())
    equal = Table("index", "query", "queries", "same documents", "same order", "same scores", title="off equals raw")
    frequencies = Table("index", "words", "found", "df as counted", "documents", title="document frequencies")
    added = Table("index", "query", "raw ms", "service ms", "added", "ratio", title="median times, expansion off")
    client = connect([arguments.es]).options(request_timeout=120)
    try:
        for shards in (1, 3):
            async with (
                indexed(client, collection, shards) as name,
                open_runtime(settings_of(arguments.es, name)) as runtime,
            ):
                every = [word.surface for text in queries for word in runtime.analyzer.words(text, parts=False)]
                words = list(dict.fromkeys(every))[:300]
                await equality(runtime, client, name, queries, equal)
                await parity(runtime, client, name, words, frequencies)
                await times(runtime, client, name, queries, arguments.rounds, added)
    finally:
        await client.close()
    for table in (equal, frequencies, added):
        Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
