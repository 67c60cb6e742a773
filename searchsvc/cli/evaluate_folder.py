"""`searchsvc evaluate FOLDER`: the judged queries of a collection, whose corpus is loaded as an index of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from searchsvc.cli.common import out, print_json, progress, words_told
from searchsvc.cli.evaluate_figures import Figures, figures, print_figures, tell_recorded, tell_written, write_html
from searchsvc.cli.evaluate_plan import Comparison, Outputs
from searchsvc.cli.variant_runs import Bench, answer, end, make_folder, opened, run, run_paths, write_runs
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.candidates import Lists, read_candidates, recorded_retrievers, shuffled
from searchsvc.evaluation.collection import Collection, Corpus, read_collection
from searchsvc.evaluation.recording import Recording
from searchsvc.evaluation.runner import Outcomes, Search
from searchsvc.evaluation.tables import left_out_lines
from searchsvc.evaluation.trec import check_ids
from searchsvc.model import SearchRequest
from searchsvc.result import SearchResult
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """What was asked for, read and checked before anything runs."""

    collection: Collection
    corpus: Corpus
    comparison: Comparison
    lists: Lists | None
    """Recorded candidates in place of the retriever."""
    source: str | None
    """Where those are, as it was written."""
    shuffle: int | None

    @property
    def without_candidates(self) -> int:
        """Queries that have no candidate list."""
        return 0 if self.lists is None else sum(query_id not in self.lists for query_id in self.collection.queries)


def plan_folder(directory: Path, comparison: Comparison, *, candidates: str | None, shuffle: int | None) -> FolderPlan:
    """Read everything. Raises ConfigurationError with file and line."""
    collection = read_collection(directory)
    return FolderPlan(
        collection=collection,
        comparison=comparison,
        lists=_lists(candidates, shuffle),
        source=candidates,
        shuffle=shuffle,
        corpus=_checked(collection),
    )


def evaluate_folder(plan: FolderPlan, settings: Settings, outputs: Outputs, recording: Recording | None) -> None:
    """Run and tell. Raises SearchError naming variant and query."""
    if outputs.runs is not None:
        _check_runs(plan.collection, outputs.runs)
    bench = Bench(outcomes=Outcomes(plan.comparison.variants), queries=plan.collection.queries, recording=recording)
    run(run_folder(plan, settings, bench), bench)
    if outputs.runs is not None:
        write_runs(bench.outcomes.runs(), outputs.runs)
    written = run_paths(plan.comparison.variants, outputs.runs)
    found = figures(bench, plan.collection.qrels, plan.comparison)
    if outputs.html is not None:
        notes = left_out_lines(plan.collection, plan.corpus, plan.without_candidates)
        write_html(outputs.html, str(plan.collection.folder), bench, found, notes=notes)
    if outputs.json:
        print_json(_as_json(plan, bench, found) | {"runs": written})
    else:
        _print(plan, bench, found)
        tell_written([*written, *([] if outputs.html is None else [outputs.html])])
    tell_recorded(recording)
    end(bench)


async def run_folder(plan: FolderPlan, settings: Settings, bench: Bench) -> None:
    """Loads the corpus and fills the bench. Raises SearchError naming variant and query."""
    comparison = plan.comparison
    async with opened(settings, comparison.variants, comparison.serving) as runtimes:
        bench.index = await loaded(runtimes[0], plan.collection, plan.corpus.documents)
        searching = partial(_search, plan=plan)
        await answer(bench, runtimes, depth=comparison.depth, pace=comparison.pace, searching=searching)


def _lists(candidates: str | None, shuffle: int | None) -> Lists | None:
    if candidates is None and shuffle is not None:
        raise ConfigurationError("--shuffle works on --candidates, and there are none.")
    if candidates is None:
        return None
    lists = read_candidates(candidates)
    return lists if shuffle is None else shuffled(lists, shuffle)


def _checked(collection: Collection) -> Corpus:
    with progress() as bar:
        return collection.check(bar.track(collection.documents(), total=None, description="checking the corpus"))


async def loaded(runtime: Runtime, collection: Collection, documents: int | None = None) -> str:
    """The published index of the corpus as it is analysed now; made if it is not there or not complete.

    `documents`: how many there are, for the progress bar. Raises StageError.
    """
    name, admin = collection.index_name(runtime.analyzer.fingerprint), runtime.engine.admin
    if any(status.alias == name and status.complete for status in await admin.status()):
        return name
    with progress() as bar:
        task = bar.add_task("loading the corpus", total=documents)
        made = await admin.load(
            name,
            collection.documents(),
            progress=lambda count: bar.update(task, completed=count),
            words=words_told(bar),
        )
    if not made.live:
        await admin.swap(name)
    return name


def _search(runtime: Runtime, plan: FolderPlan) -> Search:
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


def _as_json(plan: FolderPlan, bench: Bench, found: Figures) -> dict[str, Any]:
    collection = plan.collection
    lists: Mapping[str, Any] | None = None if plan.lists is None else {"source": plan.source, "shuffle": plan.shuffle}
    return {
        "collection": str(collection.folder),
        "index": bench.index,
        **bench.as_json(),
        "queries_without_judgement": collection.unjudged,
        "judged_queries_missing": collection.orphaned,
        "judgements_repeated": collection.repeated,
        "judgements_without_document": plan.corpus.lacking,
        "relevant_without_document": plan.corpus.lacking_relevant,
        "queries_without_candidates": plan.without_candidates,
        "candidates": lists,
        **found.as_json(),
    }


def _print(plan: FolderPlan, bench: Bench, found: Figures) -> None:
    console, collection = out(), plan.collection
    console.print(escape(f"{collection.folder}: {len(bench.outcomes)} judged queries; {bench.words()}"))
    for line in left_out_lines(collection, plan.corpus, plan.without_candidates):
        console.print(line)
    print_figures(console, found)
