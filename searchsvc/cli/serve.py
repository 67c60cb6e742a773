"""`searchsvc serve`: the HTTP service in the foreground."""

from __future__ import annotations

import gc

import uvicorn

from searchsvc.api.app import create_app
from searchsvc.cli.common import EngineName, progress, settings, talk
from searchsvc.demo import demo_documents
from searchsvc.errors import SearchError
from searchsvc.wiring import Runtime

_WARM_UP_MS = 10_000
_ALLOCATIONS_BEFORE_COLLECTION = 20_000
"""Objects that a few dozen searches leave behind."""


def serve(*, host: str | None = None, port: int | None = None, engine: EngineName | None = None) -> None:
    """Serve the HTTP API.

    With the embedded engine and no index named "documents" the demo corpus is loaded as that.

    Parameters
    ----------
    host
        Address to listen on; other than loopback only with SEARCHSVC_API__ALLOW_ANONYMOUS=true.
    port
        Port to listen on.
    engine
        embedded, or elasticsearch.

    """
    effective = settings(engine=engine, api__host=host, api__port=port)
    app = create_app(effective, prepare=_prepare)
    talk().print(f"searchsvc on http://{effective.api.host}:{effective.api.port}, engine {effective.engine}; /docs")
    uvicorn.run(
        app,
        host=effective.api.host,
        port=effective.api.port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


async def _prepare(runtime: Runtime) -> None:
    """Have something to search, and the first search fast; what cannot be reached yet is said and left."""
    console = talk()
    if runtime.settings.engine == "embedded" and "documents" not in await runtime.engine.names():
        console.print("No index named documents: loading the demo corpus as that.")
        documents = list(demo_documents())
        with progress() as bar:
            task = bar.add_task("demo corpus", total=len(documents))
            await runtime.engine.admin.load(
                "documents", documents, progress=lambda done: bar.update(task, completed=done)
            )
    try:
        await runtime.warm_up(_WARM_UP_MS)
    except SearchError as error:
        console.print(f"[yellow]not reached yet:[/] {error}", markup=True)
    _settle_garbage_collection()


def _settle_garbage_collection() -> None:
    """What is alive now stays: do not look through it again and again (a ninth of the CPU time of a search)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 10, 10)
