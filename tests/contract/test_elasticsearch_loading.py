"""What a load does when Elasticsearch is busy, full, away, or does not like a document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from searchsvc.documents import Document
from searchsvc.elastic.bulk import BulkWriter
from searchsvc.elastic.client import connect
from searchsvc.elastic.indices import ElasticIndices
from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    InvalidDocuments,
    Overloaded,
    SearchError,
    UnknownIndex,
)
from searchsvc.text import Analyzer
from tests.support.recorded_elasticsearch import recorded
from tests.support.scripted_elasticsearch import Answer, fails, page, says, scripted

INDEX = "documents-v1-20260102030405"
LINES = {doc_id: f'{{"index":{{"_id":"{doc_id}"}}}}\n{{"tokens":"x"}}\n'.encode() for doc_id in ("a", "b", "c")}
STORED = says(recorded("bulk_ok"))
UNAVAILABLE = fails(503, "no_shard_available_action_exception")


def items(**kinds: tuple[int, str]) -> Answer:
    """A bulk answer: these documents failed, the others of the request were stored."""
    failed = [
        {"index": {"_id": doc_id, "status": status, "error": {"type": kind, "reason": "because"}}}
        for doc_id, (status, kind) in kinds.items()
    ]
    return says({"errors": True, "items": [{"index": {"_id": "stored", "status": 201}}, *failed]})


@asynccontextmanager
async def writer(url: str, *, attempts: int = 3) -> AsyncIterator[BulkWriter]:
    client = connect([url])
    try:
        yield BulkWriter(client, INDEX, backoff_s=(0.0,) * (attempts - 1))
    finally:
        await client.close()


async def test_a_chunk_is_one_request_to_its_index() -> None:
    async with scripted(STORED) as server, writer(server.url) as bulk:
        await bulk.write(LINES)

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", f"/{INDEX}/_bulk")
    assert request.body == b"".join(LINES.values())


async def test_only_what_was_not_taken_is_sent_again() -> None:
    busy = items(b=(429, "es_rejected_execution_exception"), c=(503, "unavailable_shards_exception"))
    async with scripted(busy, STORED) as server, writer(server.url) as bulk:
        await bulk.write(LINES)

    assert [request.body for request in server.requests] == [
        b"".join(LINES.values()),
        LINES["b"] + LINES["c"],
    ]


@pytest.mark.parametrize("trouble", [fails(429, "es_rejected_execution_exception"), UNAVAILABLE, page(502)])
async def test_all_is_sent_again_when_it_is_not_known_what_was_stored(trouble: Answer) -> None:
    async with scripted(trouble, STORED) as server, writer(server.url) as bulk:
        await bulk.write(LINES)

    assert [request.body for request in server.requests] == [b"".join(LINES.values())] * 2


@pytest.mark.parametrize(
    ("answer", "kind", "calls"),
    [
        (items(b=(429, "es_rejected_execution_exception")), Overloaded, 3),
        (fails(429, "es_rejected_execution_exception"), Overloaded, 3),
        (UNAVAILABLE, BackendUnavailable, 3),
        (fails(504, "timeout"), BackendTimeout, 3),
        (items(b=(429, "cluster_block_exception")), BackendRejected, 1),
        (fails(429, "cluster_block_exception"), BackendRejected, 1),
        (fails(403, "security_exception"), BackendRejected, 1),
        (page(413), BackendRejected, 1),
        (says({"took": 1}), BackendRejected, 1),
    ],
)
async def test_trouble_that_stays_ends_the_load(answer: Answer, kind: type[SearchError], calls: int) -> None:
    async with scripted(answer) as server, writer(server.url) as bulk:
        with pytest.raises(kind) as caught:
            await bulk.write(LINES)

    assert type(caught.value) is kind
    assert len(server.requests) == calls


async def test_refused_documents_are_named() -> None:
    refused = items(a=(400, "document_parsing_exception"), c=(429, "es_rejected_execution_exception"))
    async with scripted(refused) as server, writer(server.url) as bulk:
        with pytest.raises(BackendRejected, match="refused 1 documents: 'a': document_parsing_exception"):
            await bulk.write(LINES)


async def test_a_full_disk_is_named() -> None:
    async with scripted(items(a=(429, "cluster_block_exception"))) as server, writer(server.url) as bulk:
        with pytest.raises(BackendRejected) as caught:
            await bulk.write(LINES)

    assert "free space" in caught.value.hint


def described(analyzer: Analyzer, **more: Any) -> Answer:
    """One empty unpublished index of ours; `load` is the mark in it."""
    meta = {"product": "searchsvc", "analyzer": analyzer.fingerprint, "complete": False, **more}
    return says({INDEX: {"aliases": {}, "mappings": {"_meta": meta}}})


async def load(url: str, analyzer: Analyzer, documents: Iterable[Document]) -> Any:
    client = connect([url])
    try:
        admin = ElasticIndices(client, analyzer, backoff_s=())
        return await admin.load("documents", documents, progress=lambda done: None)
    finally:
        await client.close()


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


async def test_a_server_that_dies_is_told_with_what_was_stored_and_what_to_do(
    analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchsvc.elastic.bulk.MAX_CHUNK_DOCUMENTS", 2)
    documents = [Document(doc_id=str(number), text="x") for number in range(10)]
    done = says({"acknowledged": True})
    ours = described(analyzer)
    async with scripted(ours, done, done, ours, STORED, ours, STORED, UNAVAILABLE) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await load(server.url, analyzer, documents)

    assert "4 documents were stored" in caught.value.message
    assert f"into {INDEX} again is safe" in caught.value.hint


async def test_a_bad_line_that_the_caller_does_not_skip_ends_the_load(analyzer: Analyzer) -> None:
    def lines() -> Iterable[Document]:
        yield Document(doc_id="1", text="x")
        raise InvalidDocuments("line 2: not JSON")

    done, ours = says({"acknowledged": True}), described(analyzer)
    async with scripted(ours, done, done, ours, STORED) as server:
        with pytest.raises(InvalidDocuments, match="line 2"):
            await load(server.url, analyzer, lines())


async def test_an_index_of_another_analyser_is_not_added_to(analyzer: Analyzer) -> None:
    meta = {"product": "searchsvc", "analyzer": "other", "complete": False}
    async with scripted(says({INDEX: {"aliases": {}, "mappings": {"_meta": meta}}})) as server:
        with pytest.raises(BackendRejected, match="made by the text analyser 'other'"):
            await load(server.url, analyzer, [])

    assert len(server.requests) == 1


async def test_an_index_that_vanished_and_was_made_anew_by_guess_is_noticed(analyzer: Analyzer) -> None:
    done, ours = says({"acknowledged": True}), described(analyzer)
    guessed = says({INDEX: {"aliases": {}, "mappings": {}}})
    script = (ours, done, done, ours, STORED, guessed, done, done, done, says(recorded("count")), guessed)
    async with scripted(*script) as server:
        with pytest.raises(BackendRejected, match="changed or deleted"):
            await load(server.url, analyzer, [Document(doc_id="1", text="x")])


@pytest.mark.parametrize("looks", [0, 1, 2])
async def test_a_load_that_another_one_took_the_index_over_from_writes_and_completes_nothing_more(
    analyzer: Analyzer, looks: int
) -> None:
    """Another mark is found at the first, second or third look: before the chunk, after it, after the merge."""
    done, ours = says({"acknowledged": True}), described(analyzer)
    taken = described(analyzer, load={"token": "another", "began_at": "2026-01-02T03:04:05+00:00"})
    answers = [ours, STORED, ours, done, done, done, says(recorded("count")), ours]
    position = (0, 2, 7)[looks]
    async with scripted(ours, done, done, *answers[:position], taken) as server:
        with pytest.raises(Overloaded, match="began at 2026-01-02T03:04:05") as caught:
            await load(server.url, analyzer, [Document(doc_id="1", text="x")])

    assert len(server.requests) == 3 + position + 1
    assert "run this one again" in caught.value.hint
    marks = [request.body for request in server.requests if request.method == "PUT" and "_mapping" in request.path]
    assert len(marks) == 1
    assert b'"complete":false' in marks[0]
    assert not any("_aliases" in request.path for request in server.requests)


async def test_a_look_for_the_mark_that_is_not_answered_does_not_end_a_load(analyzer: Analyzer) -> None:
    done, ours = says({"acknowledged": True}), described(analyzer)
    script = (ours, done, done, UNAVAILABLE, STORED, fails(403, "security_exception"))
    async with scripted(*script) as server:
        with pytest.raises(BackendRejected):
            await load(server.url, analyzer, [Document(doc_id="1", text="x")])

    assert server.requests[4].path.endswith("_bulk")


async def test_numbers_are_told_where_a_refresh_is_not_allowed(analyzer: Analyzer) -> None:
    primaries = {"docs": {"count": 7}, "store": {"size_in_bytes": 8}}
    forbidden = fails(403, "security_exception")
    numbers = says({"indices": {INDEX: {"primaries": primaries}}})
    async with scripted(described(analyzer), forbidden, numbers) as server:
        client = connect([server.url])
        (status,) = await ElasticIndices(client, analyzer).status()
        await client.close()

    assert server.requests[1].path == f"/{INDEX}/_refresh"
    assert (status.documents, status.bytes, status.complete) == (7, 8, False)


async def test_a_half_loaded_index_is_not_published_even_if_it_is_named(analyzer: Analyzer) -> None:
    async with scripted(described(analyzer), says({"acknowledged": True})) as server:
        client = connect([server.url])
        with pytest.raises(UnknownIndex, match="no complete index") as caught:
            await ElasticIndices(client, analyzer).swap("documents", physical=INDEX)
        await client.close()

    assert "index status" in caught.value.hint
    assert len(server.requests) == 1
