"""What expansion gains and harms: every method, form and combination against BM25, paired by query, no reranker.

    python benchmarks/expansion.py COLLECTION... [--engine elasticsearch] [--runs 12] [--only mixture]

Every search goes through the service itself. One table of the methods that need no language model: the change of
nDCG@10 (linear gain) and R@100 with its 95 % interval over the queries, and harm, the share of queries that lose more
than 0.1 nDCG@10. Where a collection has recorded expansions (`expansions.jsonl[.gz]`: id, text, method, model), a
second table of the forms over them: the mean over the recorded runs, the worst and the best run. The row `auto` uses
the shipped gain model, which may have learned on the same queries: benchmarks/policy.py judges it on others.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from searchsvc.errors import ConfigurationError, SearchError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.evaluation.comparison import difference
from searchsvc.evaluation.measures import values
from searchsvc.expansion.runs import read_records
from searchsvc.methods import parse_methods
from searchsvc.model import ExpansionOptions, Form, Mode, RecordedRun, RerankOptions, SearchRequest, Wait
from searchsvc.settings import load_settings
from searchsvc.wiring import Runtime, open_runtime

MEASURES = ("nDCG@10", "R@100")
DEPTH = 100
OFF = ExpansionOptions(mode=Mode.OFF)
METHODS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("neighbours", {}),
    ("neighbours", {"form": Form.MIXTURE, "weight": 0.3}),
    ("prf", {}),
    ("prf", {"weight": 0.3}),
    ("dictionary", {}),
    ("dictionary", {"weight": 0.5}),
    ("neighbours+prf", {}),
    ("neighbours+dictionary", {}),
    ("prf+dictionary*0.5", {}),
)
FORMS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("mixture λ .5, n 32", {}),
    ("mixture λ .5, n 20", {"terms": 20}),
    ("mixture λ .3, n 32", {"weight": 0.3}),
    ("mixture λ .7, n 32", {"weight": 0.7}),
    ("keywords, 5 of weight 1", {"form": Form.KEYWORDS}),
    ("concatenated", {"form": Form.CONCAT, "terms": 256}),
    ("rrf, second list 0.5", {"form": Form.RRF, "weight": 0.5}),
    ("zscore, second list 0.5", {"form": Form.ZSCORE, "weight": 0.5}),
    ("mixture with prf", {"methods": "recorded+prf"}),
    ("mixture with dictionary * 0.3", {"methods": "recorded+dictionary*0.3"}),
    ("mixture, neighbours beside", {"methods": "recorded+neighbours"}),
    ("auto (shipped model)", {"mode": Mode.AUTO}),
)

Rankings = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A collection, loaded."""

    runtime: Runtime
    collection: Collection
    index: str
    base: Mapping[str, Mapping[str, float]]
    """Of the original query, by measure and query."""


def options(method: str, given: Mapping[str, Any], recorded: RecordedRun | None = None) -> ExpansionOptions:
    chosen = {"mode": Mode.ON, **given}
    methods = parse_methods(chosen.pop("methods", method))
    return ExpansionOptions(methods=methods, wait=Wait.COMPLETE, recorded=recorded, **chosen)


async def ranked(
    runtime: Runtime, collection: Collection, index: str, expansion: ExpansionOptions
) -> Mapping[str, Mapping[str, float]]:
    """The values of the measures by query. An evaluation that degraded would lie: it ends here."""
    found: dict[str, Sequence[str]] = {}
    for query_id, text in collection.queries.items():
        request = SearchRequest(
            query_id=query_id,
            user_query=text,
            index=index,
            top_k=DEPTH,
            retrieval_depth=DEPTH,
            expansion=expansion,
            rerank=RerankOptions(mode=Mode.OFF),
            timeout_ms=60_000,
        )
        result = await runtime.service.search(request)
        if result.degraded:
            raise SearchError(f"query {query_id}: {result.degraded[0].stage}: {result.degraded[0].message}")
        found[query_id] = [hit.candidate.doc_id for hit in result.hits]
    return values(MEASURES, collection.qrels, found)


async def opened(runtime: Runtime, collection: Collection) -> Bench:
    index = collection.index_name(runtime.analyzer.fingerprint)
    if index not in await runtime.engine.names():
        await runtime.engine.admin.load(index, collection.documents(), progress=lambda _: None)
    base = await ranked(runtime, collection, index, OFF)
    return Bench(runtime=runtime, collection=collection, index=index, base=base)


def change(bench: Bench, found: Mapping[str, Mapping[str, float]], measure: str) -> str:
    gained = difference(bench.base[measure], found[measure])
    low, high = gained.interval or (gained.mean, gained.mean)
    return f"{gained.mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def harm(bench: Bench, found: Mapping[str, Mapping[str, float]]) -> float:
    return difference(bench.base["nDCG@10"], found["nDCG@10"]).harm


def mean(found: Mapping[str, Mapping[str, float]], measure: str) -> float:
    return fmean(found[measure].values())


async def methods_table(bench: Bench, progress: Progress) -> Table:
    there = (await bench.runtime.service.pipeline(bench.index)).expanders
    cases = [case for case in METHODS if all(share.name in there for share in parse_methods(case[0]))]
    table = Table(title=f"{bench.collection.folder.name}: {len(bench.collection.queries)} queries, no language model")
    for column in ("expansion", "nDCG@10", "R@100", "harm"):
        table.add_column(column, justify="left" if column == "expansion" else "right")
    table.add_row("BM25", f"{mean(bench.base, 'nDCG@10'):.3f}", f"{mean(bench.base, 'R@100'):.3f}")
    for method, given in progress.track(cases, description=f"{bench.collection.folder.name}, methods"):
        found = await ranked(bench.runtime, bench.collection, bench.index, options(method, given))
        label = ", ".join([method, *(f"{name} {value}" for name, value in given.items())])
        table.add_row(
            label, change(bench, found, "nDCG@10"), change(bench, found, "R@100"), f"{harm(bench, found):.3f}"
        )
    return table


async def forms_table(bench: Bench, file: Path, runs: Sequence[str], only: str, progress: Progress) -> Table:
    title = f"{bench.collection.folder.name}: {len(bench.collection.queries)} queries, {len(runs)} recorded runs"
    there = (await bench.runtime.service.pipeline(bench.index)).expanders
    table = Table(title=title)
    for column in ("form", "nDCG@10", "worst, best run", "R@100", "harm"):
        table.add_column(column, justify="left" if column == "form" else "right")
    table.add_row("BM25", f"{mean(bench.base, 'nDCG@10'):.3f}", "", f"{mean(bench.base, 'R@100'):.3f}")
    for label, given in FORMS:
        wanted = parse_methods(str(given.get("methods", "recorded")))
        if not (label.startswith(only) and all(share.name in there for share in wanted)):
            continue
        gains, recalls, harms = [], [], []
        for run in progress.track(runs, description=f"{bench.collection.folder.name}, {label}"):
            chosen = options("recorded", given, RecordedRun(file=str(file), run=run))
            found = await ranked(bench.runtime, bench.collection, bench.index, chosen)
            gains.append(mean(found, "nDCG@10") - mean(bench.base, "nDCG@10"))
            recalls.append(mean(found, "R@100") - mean(bench.base, "R@100"))
            harms.append(harm(bench, found))
        span = f"{min(gains):+.3f}, {max(gains):+.3f}"
        table.add_row(label, f"{fmean(gains):+.3f}", span, f"{fmean(recalls):+.3f}", f"{fmean(harms):.3f}")
    return table


def recorded_runs(folder: Path, queries: Mapping[str, str]) -> tuple[Path, list[str]] | None:
    """The file of recorded expansions and its runs that have a text for every query; None: there is no file.

    Raises ConfigurationError if there is no such run.
    """
    there = [folder / name for name in ("expansions.jsonl", "expansions.jsonl.gz") if (folder / name).is_file()]
    if not there:
        return None
    found: dict[str, set[str]] = defaultdict(set)
    for record in read_records(there[0]):
        found[record.run].add(record.query_id)
    whole = sorted(run for run, ids in found.items() if ids >= queries.keys())
    if not whole:
        raise ConfigurationError(f"No run of {there[0]} has a text for each of the {len(queries)} queries.")
    return there[0], whole


async def run(arguments: argparse.Namespace) -> None:
    console = Console(width=110)
    loaded = load_settings(overrides={"engine": arguments.engine}).settings
    for folder in arguments.collections:
        collection = read_collection(folder)
        recorded = None if arguments.methods_only else recorded_runs(folder, collection.queries)
        if recorded is None and arguments.forms_only:
            raise ConfigurationError(f"{folder} has no expansions.jsonl and no expansions.jsonl.gz.")
        async with open_runtime(loaded, recorded=True) as runtime:
            bench = await opened(runtime, collection)
            with Progress(console=Console(stderr=True)) as progress:
                if not arguments.forms_only:
                    console.print(await methods_table(bench, progress))
                if recorded is not None:
                    file, runs = recorded
                    spread = runs[:: max(1, len(runs) // arguments.runs)][: arguments.runs]
                    console.print(await forms_table(bench, file, spread, arguments.only, progress))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--runs", type=int, default=1000, help="at most so many recorded runs, evenly spread")
    parser.add_argument("--only", default="", help="of the forms those whose name begins so")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--forms-only", action="store_true", help="the recorded expansions alone")
    part.add_argument("--methods-only", action="store_true", help="the methods that need no language model alone")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs is 1 or more.")
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
