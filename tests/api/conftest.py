"""The API over the real embedded engine with a small index: nothing is faked but the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from searchsvc.api.app import create_app
from searchsvc.documents import Document
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime

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


def asking(runtime: Runtime) -> httpx.AsyncClient:
    """A client of the API over this runtime; a defect comes as the reply that a client would get."""
    transport = httpx.ASGITransport(app=create_app(runtime), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
async def client(data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_runtime(Settings(data_dir=data_dir)) as runtime, asking(runtime) as client:
        if "documents" not in await runtime.engine.names():
            await runtime.engine.admin.load("documents", DOCUMENTS, progress=lambda _: None)
        yield client
