"""Small embedded indices for tests: made in a moment, searched as the service searches them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.embedded.fields import OpenTantivy, as_tantivy, create_tantivy, open_tantivy
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.embedded.worker import Worker
from searchsvc.forms import plain_query
from searchsvc.model import Deadline, Filters, WeightedQuery
from searchsvc.protocols import LoadReport
from searchsvc.result import Retrieval
from searchsvc.text import Analyzer
from tests.support.requests import wanted

SUPPORT_ARTICLES = (
    Document(
        doc_id="dns", title="Fix a broken network connection", text="Restart the router and check the network cable."
    ),
    Document(
        doc_id="wifi", title="无线网络连接不上", text="网络不通时先检查路由器，再重启电脑。", lang="zh", tags=("网络",)
    ),
    Document(doc_id="bsod", title="电脑蓝屏", text="蓝屏以后进入安全模式，卸载最近的驱动程序。", lang="zh"),
    Document(doc_id="pw", title="Forgotten password", text="Reset the password of your account on the login page."),
    Document(doc_id="import", title="ModuleNotFoundError", text="Python cannot import a module: install the package."),
)


@cache
def analyzer() -> Analyzer:
    """One for all tests: loading its dictionary takes longer than most of them."""
    return Analyzer()


def soon() -> Deadline:
    """Longer than any call of a test takes."""
    return Deadline.after_ms(20_000)


def words_query(text: str) -> WeightedQuery:
    """The query of a text, every term with weight 1."""
    return plain_query(text, analyzer().terms(text))


async def load(engine: EmbeddedEngine, name: str, documents: Iterable[Document]) -> LoadReport:
    """Loads without looking at the progress."""
    return await engine.admin.load(name, documents, progress=lambda _: None)


async def ids(engine: EmbeddedEngine, name: str, text: str, *, filters: Filters = ()) -> list[str]:
    """The ids that a search of the published index finds, best first."""
    index = await engine.open(name)
    found = await index.retriever.retrieve(wanted(words_query(text), filters=filters))
    return [candidate.doc_id for candidate in found.ranking]


def loaded_folder(folder: Path, documents: Iterable[Document]) -> Path:
    """A data folder with the documents published as `documents`; for fixtures that outlive one event loop."""

    async def fill() -> None:
        engine = EmbeddedEngine(folder, analyzer())
        await load(engine, "documents", documents)
        await engine.close()

    asyncio.run(fill())
    return folder


def lexical_snapshot(folder: Path, commits: Sequence[Sequence[Document]]) -> OpenTantivy:
    """An index without vectors, written in as many commits, so in as many segments."""
    index = create_tantivy(folder, "small")
    writer = index.writer(heap_size=15_000_000, num_threads=1)
    for documents in commits:
        for document in documents:
            writer.delete_documents_by_term("doc_id", document.doc_id)
            writer.add_document(as_tantivy(document, analyzer()))
        writer.commit()
    writer.wait_merging_threads()
    return open_tantivy(folder, "small")


def lexical_index(folder: Path, commits: Sequence[Sequence[Document]]) -> EmbeddedRetriever:
    """A retriever over such an index."""
    return EmbeddedRetriever(lexical_snapshot(folder, commits), Worker())


def retrieved_ids(found: Retrieval) -> list[str]:
    """In order."""
    return [candidate.doc_id for candidate in found.ranking]
