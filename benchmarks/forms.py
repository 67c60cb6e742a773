"""What each form of composing an expansion gains and harms, over recorded expansions of real language models.

python benchmarks/forms.py COLLECTION [--engine elasticsearch] [--runs 12]

COLLECTION needs `expansions.jsonl[.gz]` beside corpus, queries and judgements: `{id, text, method, model}`, several
runs. Every recorded text goes through the service's own second stage (keywords, document frequencies) and its own
forms; no reranker. Per form: the mean over the runs of the change in nDCG@10 and R@100 against the original query,
the worst and the best run, and harm, the share of queries that lose more than 0.1.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import track
from rich.table import Table

from searchsvc import forms, fusion
from searchsvc.errors import ConfigurationError, SearchError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.evaluation.lines import json_lines, required_id
from searchsvc.evaluation.measures import values
from searchsvc.model import Deadline, Form, Ranking, WeightedQuery
from searchsvc.protocols import OpenIndex, RetrieveRequest
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.settings import load_settings
from searchsvc.text import extract_keywords
from searchsvc.wiring import Runtime, open_runtime

MEASURES = ("nDCG@10", "R@100")
HARM = 0.1
CASES = (
    ("mixture λ .5, n 32", Form.MIXTURE, 0.5, None),
    ("mixture λ .3, n 32", Form.MIXTURE, 0.3, None),
    ("mixture λ .7, n 32", Form.MIXTURE, 0.7, None),
    ("keywords, 5 of weight 1", Form.KEYWORDS, 0.5, None),
    ("concatenated", Form.CONCAT, 0.5, 1000),
    ("rrf, second list 0.5", Form.RRF, 0.5, None),
    ("zscore, second list 0.5", Form.ZSCORE, 0.5, None),
)


def deadline() -> Deadline:
    return Deadline.after_ms(60_000)


async def load(runtime: Runtime, collection: Collection) -> OpenIndex:
    name = collection.index_name(runtime.analyzer.fingerprint)
    if name not in await runtime.engine.names():
        await runtime.engine.admin.load(name, collection.documents(), progress=lambda _: None)
    return await runtime.engine.open(name)


async def retrieve(index: OpenIndex, query: WeightedQuery) -> Ranking:
    return (await index.retriever.retrieve(RetrieveRequest(query=query, top_k=100, deadline=deadline()))).ranking


async def expansion(runtime: Runtime, index: OpenIndex, text: str) -> Expansion:
    keywords = extract_keywords(text, runtime.analyzer, idf=lambda _: 1.0)
    counts = await index.statistics.document_frequencies([each.term for each in keywords], deadline=deadline())
    terms = [
        ExpansionTerm(
            term=each.term,
            frequency=each.frequency,
            df=counts.df[each.term],
            source="recorded",
            source_text=each.surface,
            kept=counts.df[each.term] > 0,
            reason="" if counts.df[each.term] else "not in the index",
        )
        for each in keywords
    ]
    return Expansion(method="recorded", text=text, terms=tuple(terms), doc_count=counts.doc_count)


async def composed(index: OpenIndex, query: WeightedQuery, base: Ranking, found: Expansion, case: tuple) -> Ranking:
    _, form, weight, limit = case
    joined = forms.compose(query, found, form=form, weight=weight, terms=limit)
    ranking = await retrieve(index, joined.query)
    if not joined.fused:
        return ranking
    fuse = fusion.reciprocal_rank_fusion if form is Form.RRF else fusion.standardised_sum
    return fuse([fusion.WeightedList(base), fusion.WeightedList(ranking, weight)]).head(100)


def doc_ids(ranking: Ranking) -> list[str]:
    return [candidate.doc_id for candidate in ranking]


def recorded(collection: Collection) -> dict[str, dict[str, str]]:
    """Text by query id of every run that has one for each query. Raises ConfigurationError if there is none."""
    paths = [collection.folder / name for name in ("expansions.jsonl", "expansions.jsonl.gz")]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise ConfigurationError(
            f"{collection.folder} has no expansions.jsonl and no expansions.jsonl.gz.",
            hint="It holds recorded expansions, {id, text, method, model} a line.",
        )
    runs: dict[str, dict[str, str]] = defaultdict(dict)
    for number, line in json_lines(found[0]):
        query_id = required_id(line, "id", path=found[0], number=number)
        method, model = (required_id(line, key, path=found[0], number=number) for key in ("method", "model"))
        if not isinstance(line.get("text"), str):  # an empty one is a model that said nothing
            raise ConfigurationError(f"{found[0]} line {number}: 'text' is missing or not a string.")
        runs[f"{method}/{model}"][query_id] = line["text"]
    whole = {name: texts for name, texts in runs.items() if texts.keys() >= collection.queries.keys()}
    if not whole:
        raise ConfigurationError(f"No run of {found[0]} has a text for each of the {len(collection.queries)} queries.")
    return whole


async def measure(
    runtime: Runtime, collection: Collection, whole: Mapping[str, Mapping[str, str]], most: int
) -> tuple[dict, Mapping]:
    index = await load(runtime, collection)
    names = sorted(whole)[:: max(1, len(whole) // most)][:most]
    queries = {each: forms.plain_query(text, runtime.analyzer.terms(text)) for each, text in collection.queries.items()}
    bases = {each: await retrieve(index, query) for each, query in queries.items()}
    base = values(MEASURES, collection.qrels, {each: doc_ids(ranking) for each, ranking in bases.items()})
    found: dict[str, list] = defaultdict(list)
    for name in track(names, description="recorded runs", console=Console(stderr=True)):
        rankings: dict[str, dict] = defaultdict(dict)
        for each, query in queries.items():
            expanded = await expansion(runtime, index, whole[name][each])
            for case in CASES:
                rankings[case[0]][each] = doc_ids(await composed(index, query, bases[each], expanded, case))
        for case, ranked in rankings.items():
            found[case].append(values(MEASURES, collection.qrels, ranked))
    return found, base


def show(collection: Collection, found: dict, base: Mapping) -> None:
    runs = len(next(iter(found.values())))
    table = Table(title=f"{collection.folder.name}: {len(collection.queries)} queries, {runs} recorded runs")
    for column in ("form", "nDCG@10", "worst, best run", "R@100", "harm"):
        table.add_column(column, justify="left" if column == "form" else "right")
    table.add_row(
        "original query", f"{fmean(base['nDCG@10'].values()):.3f}", "", f"{fmean(base['R@100'].values()):.3f}"
    )
    for case, results in found.items():
        gains = [[each["nDCG@10"][query] - base["nDCG@10"][query] for query in base["nDCG@10"]] for each in results]
        means = [fmean(run) for run in gains]
        recall = fmean(fmean(each["R@100"].values()) - fmean(base["R@100"].values()) for each in results)
        harm = fmean(fmean(gain < -HARM for gain in run) for run in gains)
        span = f"{min(means):+.3f}, {max(means):+.3f}"
        table.add_row(case, f"{fmean(means):+.3f}", span, f"{recall:+.3f}", f"{harm:.3f}")
    Console(width=100).print(table)


async def run(arguments: argparse.Namespace) -> None:
    collection = read_collection(arguments.collection)
    whole = recorded(collection)
    async with open_runtime(load_settings(overrides={"engine": arguments.engine}).settings) as runtime:
        found, base = await measure(runtime, collection, whole, arguments.runs)
    show(collection, found, base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--runs", type=int, default=1000, help="at most so many recorded runs, evenly spread")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs is 1 or more.")
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
