"""Variants over queries, with progress shown: what both ways of `searchsvc evaluate`, and `tune`, share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from searchsvc.cli.common import MadeBy, progress, talk
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.runner import Outcomes, Search, VariantRun, answered, run_queries
from searchsvc.evaluation.trec import write_run
from searchsvc.evaluation.variants import Variant
from searchsvc.model import Mode, Wait

_WARM_UP = "warm up 预热"
_WARM_UP_MS = 60_000


@dataclass(slots=True, kw_only=True)
class Bench:
    """What is running, on what, and what came of it so far."""

    outcomes: Outcomes
    queries: Mapping[str, str]
    """Text by id."""
    index: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    made_by: MadeBy | None = None
    interrupted: bool = False
    """Somebody stopped it: only some of the queries have been answered."""

    @property
    def answered(self) -> dict[str, str]:
        """The queries that all variants have answered; text by id."""
        return {query_id: text for query_id, text in self.queries.items() if query_id in self.outcomes}

    def words(self) -> str:
        """Engine, expander and reranker, for a person."""
        made_by = "" if self.made_by is None else f", {self.made_by.words()}"
        return f"engine {self.info['engine']}{made_by}"

    def as_json(self) -> dict[str, Any]:
        """Engine, expander, reranker, analysis, and how many queries were answered."""
        return {
            "queries": len(self.outcomes),
            "interrupted": self.interrupted,
            "queries_not_run": len(self.queries) - len(self.outcomes),
            "engine": self.info["engine"],
            **({} if self.made_by is None else self.made_by.as_json()),
            "analysis": self.info["analysis"],
        }


def run(work: Coroutine[Any, Any, None], bench: Bench) -> None:
    """Run `work`, which fills the bench, to its end or until Ctrl-C.

    What is done by then is kept, and a line says so. Raises KeyboardInterrupt if nothing is done.
    """
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        if not len(bench.outcomes):
            raise
        bench.interrupted = True
        talk().print(
            f"[yellow]interrupted: all variants have answered {len(bench.outcomes)} of {len(bench.queries)} queries;"
            " the figures are those of these queries only[/]"
        )


def end(bench: Bench) -> None:
    """After all has been told. Raises KeyboardInterrupt if the run was interrupted: the exit status says so."""
    if bench.interrupted:
        raise KeyboardInterrupt


async def run_all(bench: Bench, *, depth: int, searches: Sequence[Search]) -> None:
    """Every query by every variant, one search at a time. Raises SearchError naming variant and query."""
    count = len(bench.outcomes.variants)
    with progress() as bar:
        task = bar.add_task(f"queries by {count} variants" if count > 1 else "queries", total=len(bench.queries))
        await run_queries(
            bench.outcomes,
            bench.queries,
            index=bench.index,
            depth=depth,
            searches=searches,
            done=partial(bar.advance, task),
        )


async def warm_up(
    variants: Sequence[Variant], queries: Mapping[str, str], *, index: str, depth: int, search: Search, cold: bool
) -> None:
    """One search of each variant that does not count: the first one waits for dictionaries, vectors, connections.

    `cold`: by a text of its own, so that no expansion of the queries is cached by it.
    """
    query_id, user_query = next(iter(queries.items()))
    with progress() as bar:
        for variant in bar.track(variants, description="warming up"):
            request = variant.request(query_id, _WARM_UP if cold else user_query, index=index, depth=depth)
            expansion = replace(request.expansion, wait=Wait.COMPLETE)
            if expansion.mode is Mode.AUTO:  # which might leave this one query as it is
                expansion = replace(expansion, mode=Mode.ON)
            await answered(search, variant, replace(request, expansion=expansion, timeout_ms=_WARM_UP_MS))


def make_folder(folder: Path) -> None:
    """Raises ConfigurationError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}.") from error


def run_paths(variants: Sequence[Variant], folder: Path | None) -> list[str]:
    """Where the runs are written."""
    return [] if folder is None else [str(folder / f"{variant.name}.trec") for variant in variants]


def write_runs(runs: Sequence[VariantRun], folder: Path) -> None:
    """One TREC run of each variant. Raises ConfigurationError if one cannot be written."""
    for each in runs:
        write_run(folder / f"{each.variant.name}.trec", each.rankings, tag=each.variant.name)
