"""What the method `neighbours` finds across languages, and what it costs.

    python benchmarks/neighbours.py [--engine elasticsearch] [--timing COLLECTION]

Pairs come from the demo collection by rule, each a query in one language and a document in the other without a common
term, so that BM25 finds none:

titles   two articles on one thing in both languages (their ids differ in the language alone): of the title of one the
         words that the other has not, two or more of them words with a topic
queries  judged queries and a relevant document (grade 1 or more, or 2 or more) that shares no term with them

Recall@10 without a reranker, in all documents and in those of the document's language (a filter); beside it nDCG@10 of
all judged queries of the collection. With --timing a collection of any size is loaded and its queries are searched with
expansion off and on in turn: the difference of the medians is what neighbours cost.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from searchsvc.demo import demo_documents, demo_queries
from searchsvc.documents import Document
from searchsvc.errors import SearchError
from searchsvc.evaluation.collection import read_collection
from searchsvc.evaluation.measures import values
from searchsvc.model import AnyOf, ExpansionOptions, Form, MethodShare, Mode, RerankOptions, SearchRequest
from searchsvc.settings import load_settings
from searchsvc.text import Analyzer
from searchsvc.text.words import is_unspaced
from searchsvc.vocabulary.words import is_word
from searchsvc.wiring import Runtime, open_runtime

DEMO = "benchmark-demo"
METHOD = (MethodShare(name="neighbours"),)
VARIANTS: Mapping[str, ExpansionOptions] = {
    "BM25": ExpansionOptions(mode=Mode.OFF),
    "neighbours (default)": ExpansionOptions(mode=Mode.ON, methods=METHOD),
    "all zscore .3": ExpansionOptions(mode=Mode.ON, methods=METHOD, form=Form.ZSCORE, weight=0.3),
    "all zscore .5": ExpansionOptions(mode=Mode.ON, methods=METHOD, form=Form.ZSCORE, weight=0.5),
    "all mixture .3": ExpansionOptions(mode=Mode.ON, methods=METHOD, form=Form.MIXTURE, weight=0.3),
    "all mixture .5": ExpansionOptions(mode=Mode.ON, methods=METHOD, form=Form.MIXTURE, weight=0.5),
    "all rrf .5": ExpansionOptions(mode=Mode.ON, methods=METHOD, form=Form.RRF, weight=0.5),
}
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, and a document that it is about."""

    query: str
    doc_id: str
    lang: str
    """Of the document."""


def terms(document: Document, analyzer: Analyzer) -> set[str]:
    return {*analyzer.terms(document.title), *analyzer.terms(document.text)}


def title_pairs(documents: Mapping[str, Document], analyzer: Analyzer) -> Iterator[Pair]:
    for doc_id, document in documents.items():
        stem, _, lang = doc_id.rpartition("-")
        other = documents.get(f"{stem}-{'en' if lang == 'zh' else 'zh'}")
        if other is None:
            continue
        known = terms(other, analyzer)
        words = [
            word for word in analyzer.words(document.title, parts=False) if not known & {*analyzer.terms(word.surface)}
        ]
        if sum(is_word(word.term, word.surface) for word in words) >= 2:
            yield Pair(" ".join(word.surface for word in words), other.doc_id, other.lang)


def query_pairs(documents: Mapping[str, Document], analyzer: Analyzer, grade: int) -> Iterator[Pair]:
    for query in demo_queries():
        said = {*analyzer.terms(query.text)}
        lang = "zh" if any(is_unspaced(term) for term in said) else "en"
        for doc_id, given in query.grades.items():
            if given >= grade and lang != documents[doc_id].lang and not said & terms(documents[doc_id], analyzer):
                yield Pair(query.text, doc_id, documents[doc_id].lang)


async def found(runtime: Runtime, index: str, query: str, options: ExpansionOptions, lang: str = "") -> list[str]:
    request = SearchRequest(
        query_id="",
        user_query=query,
        index=index,
        filters=(AnyOf(field="lang", values=(lang,)),) if lang else (),
        expansion=options,
        rerank=RerankOptions(mode=Mode.OFF),
        timeout_ms=60_000,
    )
    result = await runtime.service.search(request)
    if result.degraded:
        raise SystemExit(f"a search was degraded: {result.stages}")
    return [hit.candidate.doc_id for hit in result.hits]


async def recall(runtime: Runtime, pairs: list[Pair], options: ExpansionOptions, *, filtered: bool) -> float:
    hits = [
        pair.doc_id in await found(runtime, DEMO, pair.query, options, pair.lang if filtered else "") for pair in pairs
    ]
    return fmean(hits)


async def quality(runtime: Runtime) -> None:
    documents = {document.doc_id: document for document in demo_documents()}
    await load(runtime, DEMO, list(documents.values()))
    sets = {
        "titles": list(title_pairs(documents, runtime.analyzer)),
        "queries, grade ≥ 2": list(query_pairs(documents, runtime.analyzer, 2)),
        "queries, grade ≥ 1": list(query_pairs(documents, runtime.analyzer, 1)),
    }
    judged = {query.query_id: query for query in demo_queries()}
    table = Table(title=f"Recall@10 across languages, {runtime.settings.engine}: all documents / the other language's")
    table.add_column("variant")
    for name, pairs in sets.items():
        table.add_column(f"{name}: {len(pairs)}", justify="right")
    table.add_column(f"nDCG@10 of {len(judged)} queries", justify="right")
    for name, options in track(VARIANTS.items(), description="variants", console=Console(stderr=True)):
        cells = [
            " / ".join([f"{await recall(runtime, pairs, options, filtered=each):.2f}" for each in (False, True)])
            for pairs in sets.values()
        ]
        run = {each: await found(runtime, DEMO, query.text, options) for each, query in judged.items()}
        ndcg = values(("nDCG@10",), {each: query.grades for each, query in judged.items()}, run)["nDCG@10"]
        table.add_row(name, *cells, f"{fmean(ndcg.values()):.3f}")
    Console(width=130).print(table)


async def timing(runtime: Runtime, folder: Path) -> None:
    collection = read_collection(folder)
    name = collection.index_name(runtime.analyzer.fingerprint)
    started = time.perf_counter()
    loaded = await load(runtime, name, collection.documents())
    print(f"load: {time.perf_counter() - started:.1f} s" if loaded else "already loaded")
    took: dict[str, list[float]] = {"BM25": [], "neighbours (default)": []}
    for each in took:
        await found(runtime, name, "warm up", VARIANTS[each])
    for text in [*collection.queries.values()] * ROUNDS:
        for each, times in took.items():
            started = time.perf_counter()
            await found(runtime, name, text, VARIANTS[each])
            times.append((time.perf_counter() - started) * 1000)
    off, on = (median(times) for times in took.values())
    print(
        f"{folder.name}, {runtime.settings.engine}, {len(took['BM25'])} searches each: p50 off {off:.1f} ms, "
        f"on {on:.1f} ms, added {on - off:.1f} ms"
    )


async def load(runtime: Runtime, name: str, documents: Iterator[Document] | list[Document]) -> bool:
    """Whether it had to be loaded: an index without neighbours is loaded again."""
    if name in await runtime.engine.names() and (await runtime.engine.open(name)).neighbours is not None:
        return False
    await runtime.engine.admin.load(name, documents, progress=lambda _: None)
    return True


async def run(arguments: argparse.Namespace) -> None:
    async with open_runtime(load_settings(overrides={"engine": arguments.engine}).settings) as runtime:
        await quality(runtime)
        if arguments.timing is not None:
            await timing(runtime, arguments.timing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--timing", type=Path, metavar="COLLECTION")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
