"""`searchsvc evaluate`: judged queries through the real pipeline, variant against variant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from searchsvc.cli.common import EngineName, Json, MadeBy, out, print_json, progress, settings, talk
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.candidates import Lists, read_candidates, recorded_retrievers, shuffled
from searchsvc.evaluation.collection import Collection, Corpus, read_collection
from searchsvc.evaluation.measures import DEFAULT_MEASURES, depth_of, parse_measures
from searchsvc.evaluation.report import VariantReport, report
from searchsvc.evaluation.runner import Search, VariantRun, run_variant
from searchsvc.evaluation.tables import left_out_lines, measure_table, missed_lines, time_table
from searchsvc.evaluation.trec import check_ids, write_run
from searchsvc.evaluation.variants import Variant, check_methods, parse_variants
from searchsvc.model import Mode, SearchRequest
from searchsvc.result import SearchResult
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What was asked for, read and checked before anything runs."""

    collection: Collection
    corpus: Corpus
    variants: Sequence[Variant]
    measures: Sequence[str]
    lists: Lists | None
    """Recorded candidates in place of the retriever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What ran, and on what."""

    index: str
    info: Mapping[str, Any]
    made_by: MadeBy
    runs: Sequence[VariantRun]


def evaluate(
    directory: Path,
    /,
    *,
    engine: EngineName | None = None,
    variant: Annotated[list[str] | None, Parameter(negative=())] = None,
    measures: str = DEFAULT_MEASURES,
    candidates: str | None = None,
    shuffle: int | None = None,
    runs: Path | None = None,
    json: Json = False,
) -> None:
    """Run the judged queries of a collection for each variant and print measures and times.

    The corpus is loaded as an index of its own, unless it is there already.

    Parameters
    ----------
    directory
        Folder of the collection: corpus.jsonl, queries.jsonl and qrels.tsv, plain or .gz.
    engine
        embedded, or elasticsearch.
    variant
        NAME:key=value,key=value; may be given more than once. The others are compared with the first. Keys are those
        of the search request: expansion=off|on|auto|METHOD, expansion.form, expansion.weight, expansion.terms,
        expansion.prompt, rerank=off|on, rerank.depth, rerank.query, rerank.instruction, timeout_ms.
    measures
        Names of ir-measures, comma-separated, such as nDCG@10,R(rel=2)@100.
    candidates
        FILE or FILE:RUN: recorded candidate lists in place of the retriever, plain or gzip. FILE holds TREC runs, lines
        "query-id Q0 doc-id rank score RUN" as --runs writes them, read in the order of their scores; or JSONL, one
        {"query_id": ..., "run": RUN, "docs": [ids, best first]} a line. RUN may be left out if there is one only.
    shuffle
        Shuffle the recorded lists by this seed.
    runs
        Folder for one TREC run, NAME.trec, of each variant.

    """
    collection = read_collection(directory)
    plan = _Plan(
        collection=collection,
        variants=parse_variants(variant or ()),
        measures=parse_measures(measures),
        lists=_lists(candidates, shuffle),
        corpus=_checked(collection),
    )
    if runs is not None:
        _check_runs(collection, runs)
    outcome = asyncio.run(_run(plan, settings(engine=engine)))
    written = [] if runs is None else _written(outcome.runs, runs)
    reports = report(outcome.runs, measures=plan.measures, qrels=plan.collection.qrels)
    if json:
        recorded = None if candidates is None else {"source": candidates, "shuffle": shuffle}
        print_json(_as_json(plan, outcome, reports) | {"candidates": recorded, "runs": written})
        return
    _print(plan, outcome, reports)
    for path in written:
        talk().print(f"written: {escape(path)}", soft_wrap=True)


def _lists(candidates: str | None, shuffle: int | None) -> Lists | None:
    if candidates is None and shuffle is not None:
        raise ConfigurationError("--shuffle works on --candidates, and there are none.")
    if candidates is None:
        return None
    lists = read_candidates(candidates)
    return lists if shuffle is None else shuffled(lists, shuffle)


async def _run(plan: _Plan, effective: Settings) -> _Outcome:
    async with open_runtime(effective) as runtime:
        index = await _loaded(runtime, plan)
        check_methods(plan.variants, list((await runtime.service.pipeline(index)).expanders))
        made_by = MadeBy(runtime.info())
        search = made_by.heard(_search(runtime, plan))
        await _warm_up(runtime, plan, index)
        runs = []
        with progress() as bar:
            for variant in plan.variants:
                task = bar.add_task(f"variant {variant.name}", total=len(plan.collection.queries))
                run = await run_variant(
                    variant,
                    plan.collection.queries,
                    index=index,
                    depth=depth_of(plan.measures),
                    search=search,
                    done=partial(bar.advance, task),
                )
                runs.append(run)
        return _Outcome(index=index, info=runtime.info(), made_by=made_by, runs=runs)


async def _warm_up(runtime: Runtime, plan: _Plan, index: str) -> None:
    """One search of each variant that does not count: the first one waits for dictionaries, vectors, connections."""
    query_id, user_query = next(iter(plan.collection.queries.items()))
    with progress() as bar:
        for variant in bar.track(plan.variants, description="warming up"):
            request = variant.request(query_id, user_query, index=index, depth=depth_of(plan.measures))
            if request.expansion.mode is Mode.AUTO:  # which might leave this one query as it is
                request = replace(request, expansion=replace(request.expansion, mode=Mode.ON))
            await runtime.service.search(request)


def _checked(collection: Collection) -> Corpus:
    with progress() as bar:
        return collection.check(bar.track(collection.documents(), total=None, description="checking the corpus"))


async def _loaded(runtime: Runtime, plan: _Plan) -> str:
    """The published index of the corpus as it is analysed now; made if it is not there or not complete."""
    collection = plan.collection
    name, admin = collection.index_name(runtime.analyzer.fingerprint), runtime.engine.admin
    if any(status.alias == name and status.complete for status in await admin.status()):
        return name
    with progress() as bar:
        task = bar.add_task("loading the corpus", total=plan.corpus.documents)
        loaded = await admin.load(
            name, collection.documents(), progress=lambda count: bar.update(task, completed=count)
        )
    if not loaded.live:
        await admin.swap(name)
    return name


def _search(runtime: Runtime, plan: _Plan) -> Search:
    """The service's search, or the same with the recorded list of each query in place of the retriever."""
    if plan.lists is None:
        return runtime.service.search
    queries = plan.collection.queries
    retrievers = recorded_retrievers(plan.lists, plan.collection.documents(), query_ids=queries)

    async def search(request: SearchRequest) -> SearchResult:
        return await runtime.service.search(request, retriever=retrievers[request.query_id])

    return search


def _check_runs(collection: Collection, folder: Path) -> None:
    """What would stop the runs from being written is found before the first search."""
    check_ids(collection.queries, what="query")
    check_ids((document.doc_id for document in collection.documents()), what="document")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}.") from error


def _written(runs: Sequence[VariantRun], folder: Path) -> list[str]:
    for run in runs:
        write_run(folder / f"{run.variant.name}.trec", run.rankings, tag=run.variant.name)
    return [str(folder / f"{run.variant.name}.trec") for run in runs]


def _as_json(plan: _Plan, outcome: _Outcome, reports: Sequence[VariantReport]) -> dict[str, Any]:
    collection = plan.collection
    return {
        "collection": str(collection.folder),
        "index": outcome.index,
        "queries": len(collection.queries),
        "queries_without_judgement": collection.unjudged,
        "judged_queries_missing": collection.orphaned,
        "judgements_repeated": collection.repeated,
        "judgements_without_document": plan.corpus.lacking,
        "relevant_without_document": plan.corpus.lacking_relevant,
        "queries_without_candidates": _without_candidates(plan),
        "engine": outcome.info["engine"],
        **outcome.made_by.as_json(),
        "analysis": outcome.info["analysis"],
        "measures": plan.measures,
        "depth": depth_of(plan.measures),
        "variants": [each.as_json() for each in reports],
    }


def _print(plan: _Plan, outcome: _Outcome, reports: Sequence[VariantReport]) -> None:
    console, collection = out(), plan.collection
    parts = f"engine {outcome.info['engine']}, {outcome.made_by.words()}"
    console.print(escape(f"{collection.folder}: {len(collection.queries)} judged queries; {parts}"))
    for line in left_out_lines(collection, plan.corpus, _without_candidates(plan)):
        console.print(line)
    console.print()
    console.print(measure_table(reports))
    console.print()
    console.print(time_table(reports))
    for line in missed_lines(reports):
        console.print(line)


def _without_candidates(plan: _Plan) -> int:
    if plan.lists is None:
        return 0
    return sum(query_id not in plan.lists for query_id in plan.collection.queries)
