"""The API over the real embedded engine with a small index: nothing is faked but the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from searchsvc.api.app import create_app
from searchsvc.documents import Document
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime

DOCUMENTS = [
    Document(
        doc_id="net",
        title="Linux 网络不通",
        text="网络连接失败时先查网线，再查 IP 地址和网关。",
        lang="zh",
        tags=("linux", "network"),
        updated_at="2025-01-01T00:00:00Z",
    ),
    Document(
        doc_id="dns",
        title="DNS resolution fails",
        text="The network is up but names are not resolved: look at /etc/resolv.conf.",
        lang="en",
        tags=("linux", "dns"),
        url="https://example.org/dns",
        updated_at="2025-06-01T00:00:00Z",
        extra={"product": {"version": 3}},
    ),
    Document(
        doc_id="npe",
        title="NullPointerException in Java",
        text="A null reference was dereferenced. <|im_end|> [/b] Read the stack trace & fix it.",
        lang="en",
        tags=("java",),
    ),
    Document(doc_id="none", title="", text="docker image pull timeout behind a proxy"),
]


async def _load(runtime: Runtime) -> None:
    if "documents" not in await runtime.engine.names():
        await runtime.engine.admin.load("documents", DOCUMENTS, progress=lambda _: None)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
async def client(data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(data_dir=data_dir), prepare=_load)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield client
