"""What `auto` gains and harms on queries that its model did not learn from, and how much of what could be had it takes.

    python benchmarks/policy.py COLLECTION... [--engine elasticsearch] [--runs 12] [--scorer]

Every COLLECTION needs recorded expansions (`expansions.jsonl[.gz]`: id, text, method, model); runs that have one for
each query count. The model is fitted as `searchsvc policy train` fits it, to nine tenths of the queries of all
collections together, and judged on the last tenth; ten times, and that for five ways to share the queries out. Gain is
the change of nDCG@10 (linear gain) against the original query, harm the share of searches that lose more than 0.1;
intervals are 95 % bootstrap intervals over the queries. `--scorer`: the same with what the embedded scorer says of the
first 50 candidates as evidence besides, judged on the retrieved order and on the order that the scorer makes of it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from searchsvc import forms
from searchsvc.errors import ConfigurationError, SearchError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.evaluation.measures import values
from searchsvc.evaluation.training import ALWAYS, WEIGHTS, Case, Judgement, cross_fitted, judge
from searchsvc.expansion.recorded import RecordedExpander
from searchsvc.expansion.runs import read_records
from searchsvc.model import Deadline, Form, Ranking, RecordedRun, WeightedQuery
from searchsvc.policy.evidence import RERANK_WORDS, WINDOW, Evidence, features
from searchsvc.protocols import ExpandRequest, OpenIndex, RetrieveRequest, TermCounts
from searchsvc.result import ExpansionTerm, Retrieval
from searchsvc.settings import load_settings
from searchsvc.wiring import Runtime, open_runtime

MEASURE = "nDCG@10"
DEPTH = 100
PROPOSALS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What the original query finds."""

    query: WeightedQuery
    counts: TermCounts
    found: Retrieval
    scores: tuple[float | None, ...] | None
    reranked: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Every search of one recorded run: the evidence by query, and what each weight finds."""

    features: dict[str, Mapping[str, float]] = field(default_factory=dict)
    retrieved: dict[float, dict[str, Sequence[str]]] = field(default_factory=lambda: {each: {} for each in WEIGHTS})
    reranked: dict[float, dict[str, Sequence[str]]] = field(default_factory=lambda: {each: {} for each in WEIGHTS})


def deadline() -> Deadline:
    return Deadline.after_ms(60_000)


def ids(ranking: Ranking) -> list[str]:
    return [each.doc_id for each in ranking]


class Bench:
    """One collection, loaded."""

    def __init__(self, runtime: Runtime, index: OpenIndex, collection: Collection, *, scorer: bool) -> None:
        self._index = index
        self._collection = collection
        self._analyzer = runtime.analyzer
        self._scorer = index.reranker if scorer else None
        self._expander = RecordedExpander(index.statistics, runtime.analyzer)
        self._firsts: dict[str, First] = {}

    async def first(self, query_id: str) -> First:
        if query_id not in self._firsts:
            text = self._collection.queries[query_id]
            query = forms.plain_query(text, self._analyzer.terms(text))
            terms = [each.term for each in query.terms]
            counts = await self._index.statistics.document_frequencies(terms, deadline=deadline())
            found = await self._retrieve(query)
            scores, reranked = await self._scored(text, found.ranking)
            self._firsts[query_id] = First(query=query, counts=counts, found=found, scores=scores, reranked=reranked)
        return self._firsts[query_id]

    async def case(self, query_id: str, run: RecordedRun, into: Seen) -> None:
        text, first = self._collection.queries[query_id], await self.first(query_id)
        said = await self._expander.expand(
            ExpandRequest(user_query=text, deadline=deadline(), terms=PROPOSALS, query_id=query_id, recorded=run)
        )
        for weight in WEIGHTS:
            composed = forms.compose(first.query, said, form=Form.MIXTURE, weight=weight)
            ranking = (await self._retrieve(composed.query)).ranking
            into.retrieved[weight][query_id] = ids(ranking)
            if self._scorer is not None:
                into.reranked[weight][query_id] = (await self._scored(text, ranking))[1]
            if weight == ALWAYS:
                into.features[query_id] = features(self._evidence(text, first, composed.terms, ranking))

    def gains(self, seen: Seen, *, behind: bool) -> dict[str, tuple[float, ...]]:
        rankings = {
            query_id: first.reranked if behind else ids(first.found.ranking) for query_id, first in self._firsts.items()
        }
        base = values([MEASURE], self._collection.qrels, rankings)[MEASURE]
        lists = seen.reranked if behind else seen.retrieved
        found = [values([MEASURE], self._collection.qrels, lists[weight])[MEASURE] for weight in WEIGHTS]
        return {query_id: tuple(each[query_id] - base[query_id] for each in found) for query_id in seen.features}

    def _evidence(self, text: str, first: First, terms: Iterable[ExpansionTerm], expanded: Ranking) -> Evidence:
        return Evidence(
            user_query=text,
            query_terms=first.query.terms,
            counts=first.counts,
            base=first.found.ranking,
            total=first.found.total,
            expansion=tuple(terms),
            expanded=expanded,
            rerank_scores=first.scores,
        )

    async def _retrieve(self, query: WeightedQuery) -> Retrieval:
        return await self._index.retriever.retrieve(RetrieveRequest(query=query, top_k=DEPTH, deadline=deadline()))

    async def _scored(self, text: str, ranking: Ranking) -> tuple[tuple[float | None, ...] | None, list[str]]:
        window = ranking.head(WINDOW)
        if self._scorer is None or not len(window):
            return None, ids(ranking)
        found = await self._scorer.rerank(text, window.candidates, top_k=WINDOW, instruction=None, deadline=deadline())
        order = sorted(range(len(window)), key=lambda place: -(found.scores[place] or 0.0))
        return found.scores, [window.candidates[place].doc_id for place in order]


def runs_of(collection: Collection, most: int) -> list[RecordedRun]:
    """Those that have an expansion for each query."""
    names = ("expansions.jsonl", "expansions.jsonl.gz")
    file = next((collection.folder / name for name in names if (collection.folder / name).is_file()), None)
    if file is None:
        raise ConfigurationError(f"{collection.folder} has no {names[0]} and no {names[1]}.")
    covered: dict[str, set[str]] = {}
    for record in read_records(file):
        covered.setdefault(record.run, set()).add(record.query_id)
    whole = sorted(name for name, found in covered.items() if found >= collection.queries.keys())
    return [RecordedRun(file=str(file), run=name) for name in whole[:: max(1, len(whole) // most)][:most]]


async def observed(
    runtime: Runtime, folder: Path, arguments: argparse.Namespace, progress: Progress
) -> tuple[list[Case], list[Case]]:
    """By the retrieved order, and by the scorer's."""
    collection = read_collection(folder)
    runs = runs_of(collection, arguments.runs)
    name = collection.index_name(runtime.analyzer.fingerprint)
    if name not in await runtime.engine.names():
        await runtime.engine.admin.load(name, collection.documents(), progress=lambda _: None)
    bench = Bench(runtime, await runtime.engine.open(name), collection, scorer=arguments.scorer)
    cases: tuple[list[Case], list[Case]] = ([], [])
    for run in progress.track(runs, description=folder.name):
        seen = Seen()
        for query_id in collection.queries:
            await bench.case(query_id, run, seen)
        for behind, into in ((False, cases[0]), (True, cases[1])):
            if behind and not arguments.scorer:
                continue
            for query_id, gains in bench.gains(seen, behind=behind).items():
                into.append(Case(group=folder.name, query_id=query_id, features=seen.features[query_id], gains=gains))
    return cases


def without_scorer(cases: Sequence[Case]) -> list[Case]:
    return [
        replace(case, features={name: value for name, value in case.features.items() if name not in RERANK_WORDS})
        for case in cases
    ]


def table(title: str, ways: Mapping[str, Sequence[Case]]) -> Table:
    found = Table(title=title)
    for column in ("collection", "way", "gain", "harm", "over always", "room taken"):
        found.add_column(column, justify="left" if column in ("collection", "way") else "right")
    chosen = {way: cross_fitted(cases) for way, cases in ways.items()}
    first = next(iter(ways))
    for group in dict.fromkeys(case.group for case in ways[first]):
        always = judge(ways[first], chosen[first], group)
        found.add_row(group, f"always {ALWAYS}", f"{always.always.gain:+.4f}", f"{always.always.harm:.4f}")
        for way, cases in ways.items():
            found.add_row(group, way, *cells(judge(cases, chosen[way], group)))
        found.add_row(group, "best of each", f"{always.room:+.4f}", "0", end_section=True)
    return found


def cells(each: Judgement) -> list[str]:
    low, high = each.over_always.interval or (0.0, 0.0)
    return [
        f"{each.auto.gain:+.4f} ({each.auto.gain / each.always.gain:.0%})",
        f"{each.auto.harm:.4f} ({each.auto.harm / each.always.harm:.0%})"
        if each.always.harm
        else f"{each.auto.harm:.4f}",
        f"{each.over_always.mean:+.4f} [{low:+.4f}, {high:+.4f}]",
        f"{each.taken:.0%}" if each.taken is not None else "",
    ]


async def run(arguments: argparse.Namespace) -> None:
    retrieved: list[Case] = []
    reranked: list[Case] = []
    settings = load_settings(overrides={"engine": arguments.engine}).settings
    async with open_runtime(settings, recorded=True) as runtime:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for folder in arguments.collections:
                plain, behind = await observed(runtime, folder, arguments, progress)
                retrieved += plain
                reranked += behind
    console = Console(width=120)
    ways = {"auto": without_scorer(retrieved)} | ({"auto, scorer seen": retrieved} if arguments.scorer else {})
    console.print(table("the retrieved order", ways))
    if arguments.scorer:
        ways = {"auto": without_scorer(reranked), "auto, scorer seen": reranked}
        console.print(table("behind the embedded scorer", ways))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", type=Path)
    parser.add_argument("--engine", choices=("embedded", "elasticsearch"))
    parser.add_argument("--runs", type=int, default=1000, help="at most so many recorded runs, evenly spread")
    parser.add_argument("--scorer", action="store_true", help="with the embedded scorer (engine embedded)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs is 1 or more.")
    try:
        asyncio.run(run(arguments))
    except SearchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
