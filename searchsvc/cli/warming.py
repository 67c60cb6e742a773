"""`searchsvc serve` fetches the completions of a query log while it serves (setting expander.warm_up)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from rich.markup import escape

from searchsvc.cli.common import talk
from searchsvc.errors import ConfigurationError, SearchError
from searchsvc.evaluation.queries import read_queries
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.expansion.guard.warming import warm
from searchsvc.model import DEFAULT_INDEX
from searchsvc.wiring import Runtime


@asynccontextmanager
async def warming(runtime: Runtime) -> AsyncIterator[None]:
    """Runs in the background as long as the body does, and no longer; says at the end how far it came.

    Raises ConfigurationError for a file that is none of queries, or without a chat model.
    """
    file = runtime.settings.expander.warm_up
    if file is None:
        yield
        return
    if runtime.chat is None:
        raise ConfigurationError("expander.warm_up is set, and no chat model is.", hint="Set expander.url too.")
    task = asyncio.create_task(_warm(runtime, list(read_queries(file).values())))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _warm(runtime: Runtime, queries: Sequence[str]) -> None:
    console = talk()
    try:
        names = await runtime.engine.names()
        if not names:
            console.print("[yellow]warm-up:[/] there is no index yet.")
            return
        name = DEFAULT_INDEX if DEFAULT_INDEX in names else names[0]
        expander = (await runtime.service.pipeline(name)).expanders["llm"]
    except SearchError as error:
        console.print(f"[yellow]warm-up:[/] {escape(str(error))}")
        return
    warmed = await warm(queries, expander, Pace(rpm=runtime.settings.expander.warm_up_rpm))
    stopped = f"; stopped: {warmed.stopped}" if warmed.stopped else ""
    console.print(escape(f"warm-up: {warmed.done} queries have their completion, {warmed.failed} failed{stopped}"))
