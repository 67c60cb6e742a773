"""Variants over queries, with progress shown: what both ways of `searchsvc evaluate`, and `tune`, share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from searchsvc.cli.common import MadeBy, progress, talk
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.paced import asks_model, expected, paced
from searchsvc.evaluation.recording import Recording
from searchsvc.evaluation.runner import Meter, Outcomes, Search, Tokens, VariantRun, Way, answered, run_queries, timed
from searchsvc.evaluation.serving import Serving
from searchsvc.evaluation.trec import write_run
from searchsvc.evaluation.variants import Variant, check_methods
from searchsvc.expansion.guard.pacing import BudgetSpent, Pace
from searchsvc.model import Mode, SearchRequest, Wait
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime

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
    recording: Recording | None = None
    """What keeps the answers of the chat model."""
    stopped: BaseException | None = None
    """What stopped it before all queries were answered: Ctrl-C, or the end of the tokens that were allowed."""

    @property
    def interrupted(self) -> bool:
        """Whether only some of the queries have been answered."""
        return self.stopped is not None

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
    """Run `work`, which fills the bench, to its end, until Ctrl-C, or until the tokens that are allowed are used up.

    What is done by then is kept, and a line says so. Raises what stopped it if nothing is done.
    """
    try:
        asyncio.run(work)
    except (KeyboardInterrupt, BudgetSpent) as stopped:
        if not len(bench.outcomes):
            raise
        bench.stopped = stopped
        why = "interrupted" if isinstance(stopped, KeyboardInterrupt) else "stopped by --max-tokens"
        talk().print(
            f"[yellow]{why}: all variants have answered {len(bench.outcomes)} of {len(bench.queries)} queries;"
            " the figures are those of these queries only[/]"
        )


def end(bench: Bench) -> None:
    """After all has been told. Raises what stopped the run before its end: the exit status says so."""
    if bench.stopped is not None:
        raise bench.stopped


@asynccontextmanager
async def opened(settings: Settings, variants: Sequence[Variant], serving: Serving) -> AsyncIterator[list[Runtime]]:
    """The runtime of each variant: one for all, or, served live, one for each that expands.

    So that no variant finds in a cache what another has asked for. Raises ConfigurationError.
    """
    async with AsyncExitStack() as stack:
        if serving is Serving.COMPLETE:
            yield [await stack.enter_async_context(open_runtime(settings, recorded=True))] * len(variants)
            return
        cold = settings.model_copy(update={"expander": settings.expander.model_copy(update={"cache": "memory"})})
        first = await stack.enter_async_context(open_runtime(cold, recorded=True))
        runtimes = [first]
        for variant in variants[1:]:
            alone = variant.expansion.mode is not Mode.OFF
            runtimes.append(await stack.enter_async_context(open_runtime(cold, recorded=True)) if alone else first)
        yield runtimes


async def answer(
    bench: Bench,
    runtimes: Sequence[Runtime],
    *,
    depth: int,
    pace: Pace,
    searching: Callable[[Runtime], Search] = lambda runtime: runtime.service.search,
) -> None:
    """Every query by every variant, each in its runtime; `searching` gives the search of one.

    Raises SearchError naming variant and query, ConfigurationError for a method that there is not.
    """
    variants, first = bench.outcomes.variants, runtimes[0]
    pipeline = await first.service.pipeline(bench.index)
    check_methods(variants, list(pipeline.expanders))
    bench.info, bench.made_by = first.info(), MadeBy(first.info())
    asking = [variant for variant in variants if asks_model(variant, pipeline.default_methods)]
    to_ask = expected(
        asking,
        bench.queries,
        default_prompt=first.settings.expander.prompt,
        each_its_own=any(runtime is not first for runtime in runtimes),
    )
    if asking:
        talk().print(f"asks the chat model up to {to_ask.calls:,} times, about {to_ask.tokens:,} tokens")
    searches = [timed(searching(runtime)) for runtime in runtimes]
    await _warm_up(variants, bench.queries, index=bench.index, depth=depth, searches=searches)
    ways = []
    for variant, search, runtime in zip(variants, searches, runtimes, strict=True):
        heard, meter = bench.made_by.heard(search), meter_of(runtime)
        if bench.recording is not None:
            heard = bench.recording.heard(heard, asked=runtime.settings.expander.model)
        if variant in asking and meter is not None:
            ways.append(Way(search=paced(heard, pace, to_ask.tokens_a_call, meter), meter=meter))
        else:
            ways.append(Way(search=heard))
    await _run_all(bench, ways, depth=depth)
    bench.info = first.info()


def meter_of(runtime: Runtime) -> Meter | None:
    """What the chat model of the runtime was asked so far; None where there is none."""
    chat = runtime.chat
    if chat is None:
        return None

    def asked() -> Tokens:
        stats = chat.stats()
        return Tokens(calls=stats["calls"], input=stats["input_tokens"], output=stats["output_tokens"])

    return asked


async def _run_all(bench: Bench, ways: Sequence[Way], *, depth: int) -> None:
    count = len(bench.outcomes.variants)
    with progress() as bar:
        task = bar.add_task(f"queries by {count} variants" if count > 1 else "queries", total=len(bench.queries))
        await run_queries(
            bench.outcomes,
            bench.queries,
            index=bench.index,
            depth=depth,
            ways=ways,
            done=partial(bar.advance, task),
        )


async def _warm_up(
    variants: Sequence[Variant], queries: Mapping[str, str], *, index: str, depth: int, searches: Sequence[Search]
) -> None:
    """Searches that do not count: the first one waits for dictionaries, vectors, connections.

    An expansion is warmed up by a text of its own, so that no completion of the queries is cached by it.
    """
    query_id, user_query = next(iter(queries.items()))
    with progress() as bar:
        for variant, search in bar.track(list(zip(variants, searches, strict=True)), description="warming up"):
            asked = replace(variant.request(query_id, user_query, index=index, depth=depth), timeout_ms=_WARM_UP_MS)
            await answered(search, variant, replace(asked, expansion=replace(asked.expansion, mode=Mode.OFF)))
            if asked.expansion.mode is not Mode.OFF:
                await answered(search, variant, _expanding(asked))


def _expanding(asked: SearchRequest) -> SearchRequest:
    return replace(
        asked,
        user_query=_WARM_UP,
        expansion=replace(asked.expansion, mode=Mode.ON, wait=Wait.COMPLETE),
        rerank=replace(asked.rerank, mode=Mode.OFF),
    )


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
