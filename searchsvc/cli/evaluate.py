"""`searchsvc evaluate`: judged queries through the real pipeline, variant against variant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from searchsvc.cli.common import EngineName, Json, MadeBy, out, print_json, progress, settings, talk
from searchsvc.cli.evaluate_live import evaluate_live
from searchsvc.cli.evaluate_plan import plan_live
from searchsvc.cli.variant_runs import make_folder, run_all, run_paths, warm_up, write_runs
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.candidates import Lists, read_candidates, recorded_retrievers, shuffled
from searchsvc.evaluation.collection import Collection, Corpus, read_collection
from searchsvc.evaluation.measures import DEFAULT_MEASURES, depth_of, parse_measures
from searchsvc.evaluation.report import VariantReport, report
from searchsvc.evaluation.runner import Search, VariantRun
from searchsvc.evaluation.tables import left_out_lines, measure_table, missed_lines, time_table
from searchsvc.evaluation.trec import check_ids
from searchsvc.evaluation.variants import Variant, check_methods, parse_variants
from searchsvc.model import SearchRequest
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
    directory: Path | None = None,
    /,
    *,
    index: str | None = None,
    queries: Path | None = None,
    qrels: Path | None = None,
    engine: EngineName | None = None,
    variant: Annotated[list[str] | None, Parameter(negative=())] = None,
    measures: str | None = None,
    candidates: str | None = None,
    shuffle: int | None = None,
    runs: Path | None = None,
    json: Json = False,
) -> None:
    """Run queries for each variant and print measures and times.

    With a directory: the judged queries of a collection, whose corpus is loaded as an index of its own, unless it is
    there already. With --index and --queries: your queries against your index, which is not written to. Without --qrels
    it tells by how much each variant changes the results of the first, and which queries are worth judging first.

    Parameters
    ----------
    directory
        Folder of the collection: corpus.jsonl, queries.jsonl and qrels.tsv, plain or .gz.
    index
        In place of a directory: the published name of the index to search.
    queries
        With --index: file of the queries. TSV (id, tab, text), CSV with a header (text or query, id or query_id),
        JSONL with the same keys, .txt (a query a line), TREC topics; plain or gzip.
    qrels
        With --index: file of the judgements. TSV (query id, doc id, grade), CSV with a header (Quepid's query, docid,
        rating too), JSONL, TREC qrels; plain or gzip.
    engine
        embedded, or elasticsearch.
    variant
        NAME:key=value,key=value; may be given more than once. The others are compared with the first. Keys are those
        of the search request: expansion=off|on|auto|METHOD, expansion.form, expansion.weight, expansion.terms,
        expansion.prompt, rerank=off|on, rerank.depth, rerank.query, rerank.instruction, timeout_ms.
    measures
        Names of ir-measures, comma-separated, such as nDCG@10,R(rel=2)@100; without it nDCG@10,RR@10,R@100.
    candidates
        FILE or FILE:RUN: recorded candidate lists in place of the retriever, plain or gzip. FILE holds TREC runs, lines
        "query-id Q0 doc-id rank score RUN" as --runs writes them, read in the order of their scores; or JSONL, one
        {"query_id": ..., "run": RUN, "docs": [ids, best first]} a line. RUN may be left out if there is one only.
    shuffle
        Shuffle the recorded lists by this seed.
    runs
        Folder for one TREC run, NAME.trec, of each variant.

    """
    given = {"--index": index, "--queries": queries, "--qrels": qrels}
    _check_together(directory, given, {"--candidates": candidates, "--shuffle": shuffle, "--measures": measures})
    written = DEFAULT_MEASURES if measures is None else measures
    if index is not None and queries is not None:
        live = plan_live(index, queries, qrels, variants=variant or (), measures=written, runs=runs)
        evaluate_live(live, settings(engine=engine), json=json)
    elif directory is not None:
        asked = _folder_plan(
            directory, variants=variant or (), measures=written, candidates=candidates, shuffle=shuffle
        )
        lists = None if candidates is None else {"source": candidates, "shuffle": shuffle}
        _evaluate_folder(asked, settings(engine=engine), recorded=lists, runs=runs, json=json)


def _check_together(directory: Path | None, live: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for options that do not go together."""
    given = [name for name, value in live.items() if value is not None]
    if directory is not None and given:
        raise ConfigurationError(
            f"{given[0]} and the folder {directory} exclude each other.",
            hint="A folder brings its own corpus, queries and judgements; --index and --queries name yours.",
        )
    if directory is None and not given:
        raise ConfigurationError(
            "Nothing is named to be evaluated.",
            hint="Name the folder of a collection, or --index NAME --queries FILE [--qrels FILE].",
        )
    missing = [name for name in ("--index", "--queries") if live[name] is None]
    if directory is None and missing:
        raise ConfigurationError(f"{given[0]} needs {missing[0]}.", hint="--index NAME --queries FILE [--qrels FILE].")
    of_a_folder = [name for name in ("--candidates", "--shuffle") if others[name] is not None]
    if directory is None and of_a_folder:
        raise ConfigurationError(
            f"{of_a_folder[0]} goes with the folder of a collection, not with --index.",
            hint="Recorded lists name documents of a corpus that is read from there.",
        )
    if directory is None and others["--measures"] is not None and live["--qrels"] is None:
        raise ConfigurationError("--measures needs --qrels: without judgements nothing can be measured.")


def _folder_plan(
    directory: Path, *, variants: Sequence[str], measures: str, candidates: str | None, shuffle: int | None
) -> _Plan:
    collection = read_collection(directory)
    return _Plan(
        collection=collection,
        variants=parse_variants(variants),
        measures=parse_measures(measures),
        lists=_lists(candidates, shuffle),
        corpus=_checked(collection),
    )


def _evaluate_folder(
    plan: _Plan, effective: Settings, *, recorded: Mapping[str, Any] | None, runs: Path | None, json: bool
) -> None:
    if runs is not None:
        _check_runs(plan.collection, runs)
    outcome = asyncio.run(_run(plan, effective))
    if runs is not None:
        write_runs(outcome.runs, runs)
    written = run_paths(plan.variants, runs)
    reports = report(outcome.runs, measures=plan.measures, qrels=plan.collection.qrels)
    if json:
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
        queries, depth = plan.collection.queries, depth_of(plan.measures)
        await warm_up(plan.variants, queries, index=index, depth=depth, search=runtime.service.search)
        runs = await run_all(plan.variants, queries, index=index, depth=depth, search=search)
        return _Outcome(index=index, info=runtime.info(), made_by=made_by, runs=runs)


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
    make_folder(folder)


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
