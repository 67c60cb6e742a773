"""What our own indices know of their terms: the same on both engines, and what counting by hand gives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from searchsvc.documents import Document
from searchsvc.embedded.statistics import EmbeddedStatistics
from searchsvc.embedded.worker import Worker
from searchsvc.errors import BackendTimeout
from searchsvc.model import Candidate
from searchsvc.protocols import TermStatistics
from searchsvc.text.counts import MAX_CHARACTERS
from tests.support.elastic import delete_indices, elastic_engine, fill, generated, own_name, soon
from tests.support.embedded import analyzer, lexical_snapshot

DOCUMENTS = tuple(generated(150))
PAIRS = (
    ("python", "error"),
    ("error", "python"),
    ("网络", "router"),
    ("网络", "网络"),
    ("absent", "python"),
    ("import", "^~*"),
)
TERMS = ("python", "error", "网络", "absent", "数据库", "python")


def terms_of(document: Document) -> Counter[str]:
    return Counter([*analyzer().terms(document.title), *analyzer().terms(document.text)])


def candidate(document: Document) -> Candidate:
    return Candidate(doc_id=document.doc_id, score=1.0, source=document.source())


@pytest.fixture(scope="module")
def index(es_url: str) -> Iterator[str]:
    name = own_name()
    yield name
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedStatistics]:
    worker = Worker()
    yield EmbeddedStatistics(lexical_snapshot(tmp_path, [DOCUMENTS[:70], DOCUMENTS[70:]]), worker, analyzer())
    worker.close()


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.es)])
async def statistics(request: pytest.FixtureRequest) -> AsyncIterator[TermStatistics]:
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
        return
    index = request.getfixturevalue("index")
    async with elastic_engine(request.getfixturevalue("es_url")) as engine:
        if index not in await engine.names():
            await fill(engine, index, DOCUMENTS)
        yield (await engine.open(index)).statistics


async def test_pairs_are_counted_in_documents(statistics: TermStatistics) -> None:
    counts = await statistics.pair_frequencies((*PAIRS, PAIRS[0]), deadline=soon())
    held = [terms_of(document) for document in DOCUMENTS]

    assert counts == {(one, other): sum(one in each and other in each for each in held) for one, other in PAIRS}
    assert 0 < counts["网络", "router"] < counts["网络", "网络"] < counts["python", "error"]
    assert counts["absent", "python"] == 0


async def test_a_pair_of_one_term_is_its_document_frequency(statistics: TermStatistics) -> None:
    counts = await statistics.document_frequencies(TERMS, deadline=soon())
    pairs = await statistics.pair_frequencies([(term, term) for term in TERMS], deadline=soon())

    assert counts.df == {one: count for (one, _), count in pairs.items()}


async def test_the_terms_of_documents_are_those_of_the_index_in_the_order_given(statistics: TermStatistics) -> None:
    chosen = [DOCUMENTS[7], DOCUMENTS[2], DOCUMENTS[7], DOCUMENTS[140]]
    counts = await statistics.tokens([candidate(each) for each in chosen], deadline=soon())

    assert list(counts) == [terms_of(each) for each in chosen]
    every = await statistics.document_frequencies([*counts[0], *counts[1]], deadline=soon())
    assert min(every.df.values()) > 0


async def test_of_a_long_document_the_beginning_is_counted(statistics: TermStatistics) -> None:
    text = "python " * (MAX_CHARACTERS // 7) + "router " * 5000
    counts = await statistics.tokens([candidate(Document(doc_id="long", text=text))], deadline=soon())

    assert counts[0]["python"] == MAX_CHARACTERS // 7
    assert counts[0]["router"] == 0


async def test_which_documents_hold_which_terms(statistics: TermStatistics) -> None:
    chosen = DOCUMENTS[3:15]
    held = await statistics.holding(
        TERMS, [*(each.doc_id for each in chosen), "no-such", "doc-000003"], deadline=soon()
    )

    assert held == {each.doc_id: frozenset(TERMS) & terms_of(each).keys() for each in chosen} | {"no-such": frozenset()}
    assert any(held.values())


async def test_what_is_not_asked_costs_no_call(statistics: TermStatistics) -> None:
    late = soon() if isinstance(statistics, EmbeddedStatistics) else soon(0)  # its calls are to a thread

    assert await statistics.pair_frequencies([], deadline=late) == {}
    assert await statistics.holding([], ["a"], deadline=late) == {"a": frozenset()}
    assert await statistics.holding(["a"], [], deadline=late) == {}
    assert list(await statistics.tokens([], deadline=soon())) == []


async def test_a_deadline_that_has_passed_is_told(statistics: TermStatistics) -> None:
    many = [candidate(replace(DOCUMENTS[0], text="网络不通怎么办" * 2000))] * 200
    with pytest.raises(BackendTimeout):
        await statistics.pair_frequencies(PAIRS, deadline=soon(0))
    with pytest.raises(BackendTimeout):
        await statistics.holding(TERMS, ["doc-000003"], deadline=soon(0))
    with pytest.raises(BackendTimeout):
        await statistics.tokens(many, deadline=soon(0))
