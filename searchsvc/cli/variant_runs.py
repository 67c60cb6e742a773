"""Variants over queries, with progress shown: what both ways of `searchsvc evaluate` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from searchsvc.cli.common import progress
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.runner import Search, VariantRun, answered, run_variant
from searchsvc.evaluation.trec import write_run
from searchsvc.evaluation.variants import Variant
from searchsvc.model import Mode


async def run_all(
    variants: Sequence[Variant], queries: Mapping[str, str], *, index: str, depth: int, search: Search
) -> list[VariantRun]:
    """Every query by every variant, one search at a time. Raises SearchError naming variant and query."""
    runs = []
    with progress() as bar:
        for variant in variants:
            task = bar.add_task(f"variant {variant.name}", total=len(queries))
            done = partial(bar.advance, task)
            runs.append(await run_variant(variant, queries, index=index, depth=depth, search=search, done=done))
    return runs


async def warm_up(
    variants: Sequence[Variant], queries: Mapping[str, str], *, index: str, depth: int, search: Search
) -> None:
    """One search of each variant that does not count: the first one waits for dictionaries, vectors, connections."""
    query_id, user_query = next(iter(queries.items()))
    with progress() as bar:
        for variant in bar.track(variants, description="warming up"):
            request = variant.request(query_id, user_query, index=index, depth=depth)
            if request.expansion.mode is Mode.AUTO:  # which might leave this one query as it is
                request = replace(request, expansion=replace(request.expansion, mode=Mode.ON))
            await answered(search, variant, request)


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
    for run in runs:
        write_run(folder / f"{run.variant.name}.trec", run.rankings, tag=run.variant.name)
