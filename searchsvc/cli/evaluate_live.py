"""`searchsvc evaluate --index`: queries of one's own against an index that is there, with judgements or without."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from rich.markup import escape

from searchsvc.cli.common import MadeBy, progress, talk
from searchsvc.cli.evaluate_plan import LiveOutcome, LivePlan
from searchsvc.cli.evaluate_tell import tell_changes, tell_measures
from searchsvc.cli.variant_runs import run_all, run_paths, warm_up, write_runs
from searchsvc.evaluation.absent import Absent, absent_judgements
from searchsvc.evaluation.qrels import QrelsFile
from searchsvc.evaluation.report import report
from searchsvc.evaluation.runner import VariantRun
from searchsvc.evaluation.trec import check_ids
from searchsvc.evaluation.unjudged import change_reports
from searchsvc.evaluation.variants import check_methods
from searchsvc.model import Deadline, WeightedQuery
from searchsvc.protocols import OpenIndex, RetrieveRequest
from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime

_LOOKUP_MS = 60_000
"""For the judged documents of one batch."""


def evaluate_live(plan: LivePlan, settings: Settings, *, json: bool) -> None:
    """Run, tell, and write the runs where that was asked for. Raises SearchError naming variant and query."""
    outcome = asyncio.run(_run(plan, settings))
    if plan.qrels is None:
        tell_changes(plan, outcome, change_reports(outcome.runs), json=json)
    else:
        judged = report(outcome.runs, measures=plan.measures, qrels=plan.qrels.grades)
        tell_measures(plan, plan.qrels, outcome, judged, json=json)
    if plan.runs is not None:
        for run in outcome.runs:
            check_ids((doc_id for doc_ids in run.rankings.values() for doc_id in doc_ids), what="document")
        write_runs(outcome.runs, plan.runs)
        for path in run_paths(plan.variants, plan.runs):
            talk().print(f"written: {escape(path)}", soft_wrap=True)


async def _run(plan: LivePlan, settings: Settings) -> LiveOutcome:
    async with open_runtime(settings) as runtime:
        service, queries = runtime.service, plan.queries
        check_methods(plan.variants, list((await service.pipeline(plan.index)).expanders))
        made_by = MadeBy(runtime.info())
        await warm_up(plan.variants, queries, index=plan.index, depth=plan.depth, search=service.search)
        search = made_by.heard(service.search)
        runs = await run_all(plan.variants, queries, index=plan.index, depth=plan.depth, search=search)
        absent = None
        if plan.qrels is not None:
            absent = await _absent(plan.qrels, runs, await runtime.engine.open(plan.index))
        return LiveOutcome(info=runtime.info(), made_by=made_by, runs=runs, absent=absent)


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
