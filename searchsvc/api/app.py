"""The HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from searchsvc import __version__
from searchsvc.api.errors import add_error_handlers
from searchsvc.api.routes import router
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime

Prepare = Callable[[Runtime], Awaitable[None]]


async def _nothing(_: Runtime) -> None:
    """Prepare nothing."""


def create_app(settings: Settings, *, prepare: Prepare = _nothing) -> FastAPI:
    """The application of these settings; `prepare` runs once when the runtime is open, before the first request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(settings) as runtime:
            await prepare(runtime)
            app.state.runtime = runtime
            yield

    app = FastAPI(
        title="searchsvc",
        version=__version__,
        summary="Relevance in front of Elasticsearch: expansion, reranking, every score explained.",
        lifespan=lifespan,
    )
    add_error_handlers(app)
    app.include_router(router)
    return app
