"""`searchsvc demo`: the main job on the demo corpus, with the effect of expansion and reranking on judged queries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from searchsvc.api.convert import to_reply
from searchsvc.cli.common import Json, MadeBy, out, print_json, progress, settings, talk, words_told
from searchsvc.cli.search import heading, hit_table
from searchsvc.demo import demo_documents, demo_queries
from searchsvc.demo.effect import ARTICLE, BASE, FEATURED, OURS, RERANKED, ROWS, Effect, measure, summary
from searchsvc.result import SearchResult
from searchsvc.terminal import printable
from searchsvc.wiring import Runtime, open_runtime

_INDEX = "demo"
_TIMEOUT_MS = 60_000
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    documents: int
    effects: Sequence[Effect]
    made_by: MadeBy


def demo(*, json: Json = False) -> None:
    """Index the demo corpus in a temporary folder, run its judged queries, and show the effect.

    The engine is the embedded one; SEARCHSVC_EXPANDER__URL and SEARCHSVC_RERANKER__URL are used if set.
    """
    with TemporaryDirectory(prefix="searchsvc-demo-") as folder:
        report = asyncio.run(_run(Path(folder)))
    if json:
        print_json(_as_json(report))
        return
    _print(report)


async def _run(folder: Path) -> _Report:
    async with open_runtime(settings(engine="embedded", data_dir=folder)) as runtime:
        documents = await _load(runtime)
        queries = demo_queries()
        effects = []
        made_by = MadeBy(runtime.info())
        search = made_by.heard(runtime.service.search)
        with progress() as bar:
            for query in bar.track(queries, description="queries"):
                effects.append(await measure(query, search, index=_INDEX, timeout_ms=_TIMEOUT_MS))
        return _Report(documents=documents, effects=effects, made_by=made_by)


async def _load(runtime: Runtime) -> int:
    documents = list(demo_documents())
    with progress() as bar:
        task = bar.add_task("indexing the demo corpus", total=len(documents))
        report = await runtime.engine.admin.load(
            _INDEX, documents, progress=lambda done: bar.update(task, completed=done), words=words_told(bar)
        )
    return report.loaded


def _as_json(report: _Report) -> dict[str, Any]:
    rows = {row: summary(report.effects, row) for row in ROWS}
    return {
        "queries": [
            {
                "query_id": effect.query.query_id,
                "query": effect.query.text,
                "expanded_query": effect.ours.expanded_query,
                "rank_base": effect.ranks[BASE],
                "rank_without": effect.ranks[RERANKED],
                "rank_article": effect.ranks[ARTICLE],
                "rank_with": effect.ranks[OURS],
                "hits": to_reply(effect.ours)["hits"][:_SHOWN],
                "degraded": to_reply(effect.ours)["degraded"],
            }
            for effect in report.effects
        ],
        "summary": {
            "documents": report.documents,
            "queries": len(report.effects),
            "mrr_without": rows[RERANKED]["mrr"],
            "mrr_with": rows[OURS]["mrr"],
            "rows": rows,
            **report.made_by.as_json(),
        },
    }


def _print(report: _Report) -> None:
    console = out()
    for effect in report.effects:
        console.print()
        for line in heading(effect.ours):
            console.print(escape(printable(line)), style="bold" if line.startswith("query") else None)
        console.print(hit_table(effect.ours.hits[:_SHOWN]))
    console.print()
    console.print(_effect_table(report))
    _tell(report, console)


def _effect_table(report: _Report) -> Table:
    table = Table(
        title=f"Effect on {len(report.effects)} judged queries over {report.documents} articles", box=SIMPLE_HEAD
    )
    table.add_column("", no_wrap=True)
    featured = [effect for effect in report.effects if effect.query.text in FEATURED]
    for number in range(1, len(featured) + 1):
        table.add_column(f"({number})", justify="right", no_wrap=True, min_width=3)
    for column in ("gain", "Top-1", "MRR", "absent"):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
    for row in ROWS:
        figures = summary(report.effects, row)
        ranks = ["-" if effect.ranks[row] is None else str(effect.ranks[row]) for effect in featured]
        gain = "" if row == BASE else f"{figures['mean_rank_gain']:+.1f}"
        share, mrr = f"{figures['top1_share']:.0%}", f"{figures['mrr']:.3f}"
        table.add_row(row, *ranks, gain, share, mrr, str(figures["not_found"]))
    return table


def _tell(report: _Report, console: Console) -> None:
    featured = ", ".join(f"({number}) {query}" for number, query in enumerate(FEATURED, 1))
    console.print(escape(f"Made by: {report.made_by.words()}."))
    console.print(f"Rank of the first document of the highest grade; {featured}.")
    console.print("Gain: mean ranks gained on base over all queries, an absent document counted as rank 51.")
    console.print("The article reports 4→1, 3→1 and 5→1 for the three, +2.3 ranks, Top-1 +60 %.")
    degraded = sum(bool(effect.ours.degraded) for effect in report.effects)
    if degraded:
        talk().print(f"[yellow]degraded in {degraded} of {len(report.effects)} queries:[/] {_reasons(report)}")
    console.print()
    console.print("Next:  .venv/bin/searchsvc serve    the API; try http://127.0.0.1:8080/docs")
    console.print("       docker compose up -d         with Elasticsearch; README has the models")


def _reasons(report: _Report) -> str:
    results: list[SearchResult] = [effect.ours for effect in report.effects]
    return ", ".join(sorted({f"{trace.stage} {trace.reason}" for result in results for trace in result.degraded}))
