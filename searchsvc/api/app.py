"""The HTTP application."""

from __future__ import annotations

from fastapi import FastAPI

from searchsvc import __version__
from searchsvc.api.bodies import WholeBodies
from searchsvc.api.errors import add_error_handlers
from searchsvc.api.routes import router
from searchsvc.wiring import Runtime


def create_app(runtime: Runtime) -> FastAPI:
    """The application over an open runtime, which whoever opened it closes."""
    app = FastAPI(
        title="searchsvc",
        version=__version__,
        summary="Relevance in front of Elasticsearch: expansion, reranking, every score explained.",
        redirect_slashes=False,
    )
    app.add_middleware(WholeBodies)
    app.state.runtime = runtime
    add_error_handlers(app)
    app.include_router(router)
    return app
