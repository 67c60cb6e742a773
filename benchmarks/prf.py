"""What pseudo-relevance feedback gains and harms: RM3 against the original query, with paired intervals.

python benchmarks/prf.py COLLECTION… [--engine elasticsearch] [--queries 200]

Every collection is a folder of corpus, queries and judgements. The service's own expander and forms; no reranker.
The rows: what the service does, Anserini's parameters (10 terms, scores as they are), other shares, fewer terms.
R@100 counts every document that is judged relevant at all, R(rel=2)@100 those of grade 2 and above (0 where none is).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from searchsvc import forms
from searchsvc.errors import SearchError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.evaluation.comparison import Difference, difference
from searchsvc.evaluation.measures import values
from searchsvc.expansion.prf import Feedback, PrfExpander
from searchsvc.model import Deadline, Form, Ranking, WeightedQuery
from searchsvc.protocols import ExpandRequest, OpenIndex, RetrieveRequest
from searchsvc.settings import load_settings
from searchsvc.wiring import Runtime, open_runtime

MEASURES = ("nDCG@10", "R@100", "R(rel=2)@100")
PROPOSALS = 64


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way to do it."""

    name: str
    feedback: Feedback = field(default_factory=Feedback)
    weight: float = 0.5


CASES = (
    Case(name="as the service does it"),
    Case(name="Anserini's: 10 terms, scores", feedback=Feedback(terms=10, sharpness=1)),
    Case(name="scores as they are", feedback=Feedback(sharpness=1)),
    Case(name="10 terms", feedback=Feedback(terms=10)),
    Case(name="20 terms", feedback=Feedback(terms=20)),
    Case(name="5 documents", feedback=Feedback(documents=5)),
    Case(name="20 documents", feedback=Feedback(documents=20)),
    Case(name="λ .3", weight=0.3),
    Case(name="λ .7", weight=0.7),
)


@dataclass(kw_only=True)
class Found:
    """What it gives, by measure and query, and the time of every expansion."""

    values: Mapping[str, Mapping[str, float]]
    took_ms: Sequence[float] = ()


def deadline() -> Deadline:
    return Deadline.after_ms(60_000)


async def load(runtime: Runtime, collection: Collection) -> OpenIndex:
    name = collection.index_name(runtime.analyzer.fingerprint)
    if name not in await runtime.engine.names():
        await runtime.engine.admin.load(name, collection.documents(), progress=lambda _: None)
    return await runtime.engine.open(name)


async def retrieve(index: OpenIndex, query: WeightedQuery) -> Ranking:
    return (await index.retriever.retrieve(RetrieveRequest(query=query, top_k=100, deadline=deadline()))).ranking


async def measured(
    index: OpenIndex, expander: PrfExpander, weight: float, query: WeightedQuery, base: Ranking
) -> tuple[Ranking, float]:
    """The ranking of the expanded query, and milliseconds that the expansion took."""

    async def first_pass() -> Ranking:
        return base

    request = ExpandRequest(user_query=query.text, deadline=deadline(), terms=PROPOSALS, first_pass=first_pass)
    started = time.perf_counter()
    expansion = await expander.expand(request)
    took_ms = (time.perf_counter() - started) * 1000
    composed = forms.compose(query, expansion, form=Form.MIXTURE, weight=weight)
    return await retrieve(index, composed.query), took_ms


async def run_cases(runtime: Runtime, collection: Collection, most: int) -> tuple[Found, dict[str, Found]]:
    index = await load(runtime, collection)
    chosen = list(collection.queries)[:: max(1, len(collection.queries) // most)][:most]
    qrels = {each: collection.qrels[each] for each in chosen}
    texts = {each: collection.queries[each] for each in chosen}
    queries = {each: forms.plain_query(text, runtime.analyzer.terms(text)) for each, text in texts.items()}
    bases = {each: await retrieve(index, query) for each, query in queries.items()}
    found: dict[str, Found] = {}
    for case in track(CASES, description=collection.folder.name, console=Console(stderr=True)):
        expander = PrfExpander(index.statistics, runtime.analyzer, case.feedback)
        done = {
            each: await measured(index, expander, case.weight, query, bases[each]) for each, query in queries.items()
        }
        ranked = {each: doc_ids(ranking) for each, (ranking, _) in done.items()}
        found[case.name] = Found(
            values=values(MEASURES, qrels, ranked), took_ms=[took_ms for _, took_ms in done.values()]
        )
    base = values(MEASURES, qrels, {each: doc_ids(ranking) for each, ranking in bases.items()})
    return Found(values=base), found


def doc_ids(ranking: Ranking) -> list[str]:
    return [candidate.doc_id for candidate in ranking]


def show(collection: Collection, engine: str, base: Found, found: Mapping[str, Found]) -> None:
    table = Table(title=f"{collection.folder.name}: {len(base.values['nDCG@10'])} queries, {engine}")
    for column in ("", "nDCG@10", "harm", "R@100", "R(rel=2)@100", "p50 ms"):
        table.add_column(column, justify="right" if column else "left")
    means = {measure: f"{fmean(base.values[measure].values()):.3f}" for measure in MEASURES}
    table.add_row("original query", means["nDCG@10"], "", means["R@100"], means["R(rel=2)@100"])
    for name, each in found.items():
        differences = [difference(base.values[measure], each.values[measure]) for measure in MEASURES]
        spans = [spanned(each) for each in differences]
        table.add_row(name, spans[0], f"{differences[0].harm:.3f}", *spans[1:], f"{median(each.took_ms):.1f}")
    Console(width=130).print(table)


def spanned(gain: Difference) -> str:
    span = "" if gain.interval is None else f" [{gain.interval[0]:+.3f} {gain.interval[1]:+.3f}]"
    return f"{gain.mean:+.3f}{span}"


async def run(arguments: argparse.Namespace) -> None:
    async with open_runtime(load_settings(overrides={"engine": arguments.engine}).settings) as runtime:
        for folder in arguments.collections:
            collection = read_collection(folder)
            base, found = await run_cases(runtime, collection, arguments.queries)
            show(collection, runtime.settings.engine, base, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", type=Path, nargs="+", metavar="COLLECTION")
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--queries", type=int, default=10_000, help="at most so many queries, evenly spread")
    arguments = parser.parse_args()
    if arguments.queries < 1:
        parser.error("--queries is 1 or more.")
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
