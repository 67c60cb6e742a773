"""A node that is killed in the middle of a load: after a restart and a rerun nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Iterator

import pytest

from searchsvc.documents import Document
from searchsvc.elastic.bulk import MAX_CHUNK_DOCUMENTS
from searchsvc.elastic.client import connect
from searchsvc.elastic.indices import ElasticIndices
from searchsvc.errors import BackendUnavailable, UnknownIndex
from tests.conftest import StartNodes
from tests.support.elastic import elastic_engine, fill, generated, query, raw_client
from tests.support.embedded import analyzer
from tests.support.requests import wanted

pytestmark = [pytest.mark.es, pytest.mark.slow]

COUNT = 12_000
KILLED_AFTER = 6_000
NAME = "documents"


async def test_a_load_that_is_killed_and_run_again_ends_with_every_document_once(start_nodes: StartNodes) -> None:
    cluster = start_nodes()
    (node,) = cluster.nodes
    (url,) = cluster.urls

    def until_killed() -> Iterator[Document]:
        for number, document in enumerate(generated(COUNT)):
            if number == KILLED_AFTER:  # the documents before it are sent next: the node dies while it takes them
                threading.Timer(0.03, node.send, [signal.SIGKILL]).start()
            yield document

    client = connect([url])
    try:
        admin = ElasticIndices(client, analyzer(), backoff_s=(0.1,))
        with pytest.raises(BackendUnavailable) as caught:
            await admin.load(NAME, until_killed(), progress=lambda done: None)
    finally:
        await client.close()
    said = re.search(r"(\d+) documents were stored", caught.value.message)
    assert said is not None
    stored = int(said[1])
    assert stored >= KILLED_AFTER - MAX_CHUNK_DOCUMENTS
    assert "again is safe" in caught.value.hint

    await asyncio.to_thread(cluster.start)
    async with elastic_engine(url) as engine, raw_client(url) as raw:
        await raw.indices.refresh(index=f"{NAME}-v1-*")
        survived = int((await raw.count(index=f"{NAME}-v1-*"))["count"])
        with pytest.raises(UnknownIndex):
            await engine.open(NAME)
        report = await fill(engine, NAME, generated(COUNT))
        opened = await engine.open(NAME)
        everything = query("python module import error 网络 导入")
        found = await opened.retriever.retrieve(wanted(everything, top_k=10_000))
        (status,) = await engine.admin.status()
        counted = int((await raw.count(index=NAME))["count"])

    assert stored <= survived < COUNT
    assert (report.loaded, report.duplicates, report.live) == (COUNT, 0, True)
    assert (counted, status.documents, status.complete) == (COUNT, COUNT, True)
    assert len({each.doc_id for each in found.ranking}) == len(found.ranking)
