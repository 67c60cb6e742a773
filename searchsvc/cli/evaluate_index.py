"""`searchsvc evaluate --index`: queries of one's own against an index that is there, with judgements or without."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.markup import escape

from searchsvc.cli.common import progress
from searchsvc.cli.evaluate_figures import figures, tell_recorded, tell_written, write_html
from searchsvc.cli.evaluate_plan import IndexPlan, Outputs
from searchsvc.cli.evaluate_tell import left_out, tell_changes, tell_measures
from searchsvc.cli.variant_runs import Bench, answer, end, opened, run, run_paths, write_runs
from searchsvc.evaluation.absent import Absent, absent_judgements
from searchsvc.evaluation.qrels import QrelsFile
from searchsvc.evaluation.recording import Recording
from searchsvc.evaluation.runner import Outcomes, VariantRun
from searchsvc.evaluation.trec import check_ids
from searchsvc.evaluation.unjudged import change_reports
from searchsvc.model import Deadline, WeightedQuery
from searchsvc.protocols import OpenIndex, RetrieveRequest
from searchsvc.settings import Settings

_LOOKUP_MS = 60_000
"""For the judged documents of one batch."""


def evaluate_index(plan: IndexPlan, settings: Settings, outputs: Outputs, recording: Recording | None) -> None:
    """Run, tell, and write the runs where that was asked for. Raises SearchError naming variant and query."""
    bench = Bench(
        outcomes=Outcomes(plan.comparison.variants), queries=plan.queries, index=plan.index, recording=recording
    )
    found: list[Absent] = []
    run(run_index(plan, settings, bench, found), bench)
    if plan.qrels is None:
        tell_changes(plan, bench, change_reports(bench.outcomes.runs()), outputs)
    else:
        judged = figures(bench, plan.qrels.grades, plan.comparison)
        absent = found[0] if found else None
        if outputs.html is not None:
            notes = [escape(line) for line in left_out(plan, plan.qrels, bench, absent)]
            write_html(outputs.html, f"{plan.index}: {plan.file}", bench, judged, notes=notes)
        tell_measures(plan, plan.qrels, bench, judged, absent=absent, outputs=outputs)
    if outputs.runs is not None:
        runs = bench.outcomes.runs()
        for each in runs:
            check_ids((doc_id for doc_ids in each.rankings.values() for doc_id in doc_ids), what="document")
        write_runs(runs, outputs.runs)
    tell_written(
        [*run_paths(plan.comparison.variants, outputs.runs), *([] if outputs.html is None else [outputs.html])]
    )
    tell_recorded(recording)
    end(bench)


async def run_index(plan: IndexPlan, settings: Settings, bench: Bench, found: list[Absent]) -> None:
    """Fills the bench; `found` gets what the index lacks of the judgements. Raises SearchError."""
    comparison = plan.comparison
    async with opened(settings, comparison.variants, comparison.serving) as runtimes:
        await answer(bench, runtimes, depth=plan.depth, pace=comparison.pace)
        if plan.qrels is not None:
            found.append(await _absent(plan.qrels, bench.outcomes.runs(), await runtimes[0].engine.open(plan.index)))


async def _absent(qrels: QrelsFile, runs: Sequence[VariantRun], opened: OpenIndex) -> Absent:
    async def lookup(doc_ids: Sequence[str]) -> Collection[str]:
        request = RetrieveRequest(
            query=WeightedQuery(text="", terms=()), top_k=len(doc_ids), deadline=Deadline.after_ms(_LOOKUP_MS)
        )
        return (await opened.pages.documents(request, doc_ids)).keys()

    with progress() as bar:
        task = bar.add_task("looking for judged documents", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return await absent_judgements(qrels, runs, lookup, told)
