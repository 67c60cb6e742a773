"""The engine on a real Elasticsearch: load, search, filter, order, publish."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from searchsvc.documents import BadLine, Document, parse_document, read_documents
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendRejected, Overloaded, UnknownIndex
from searchsvc.model import AnyOf, Range, WeightedQuery, WeightedTerm
from searchsvc.result import Retrieval, Total
from tests.support.elastic import (
    CHINESE,
    ENGLISH,
    delete_indices,
    elastic_engine,
    fill,
    generated,
    own_name,
    query,
    raw_client,
    soon,
)
from tests.support.embedded import analyzer
from tests.support.requests import wanted

pytestmark = pytest.mark.es

COUNT = 10_000
DOCUMENTS = tuple(generated(COUNT))
QUERIES = (
    "python module",
    "网络 不通",
    "null 空指针 异常",
    "database query timeout 查询 超时",
    "install",
    "kernel 驱动",
)


@pytest.fixture(scope="module")
def corpus(es_url: str) -> Iterator[str]:
    """The name of an index of 10,000 documents."""
    name = own_name()

    async def load() -> None:
        async with elastic_engine(es_url) as engine:
            done: list[int] = []
            report = await engine.admin.load(name, DOCUMENTS, progress=done.append)

            assert (report.loaded, report.duplicates, report.live) == (COUNT, 0, True)
            assert done == [2000, 4000, 6000, 8000, 10_000]

    asyncio.run(load())
    yield name
    asyncio.run(delete_indices(es_url, [name]))


@pytest.fixture
async def engine(es_url: str) -> AsyncIterator[ElasticEngine]:
    async with elastic_engine(es_url) as opened:
        yield opened


@pytest.fixture
async def name(es_url: str) -> AsyncIterator[str]:
    """A name whose indices go away after the test."""
    own = own_name()
    yield own
    await delete_indices(es_url, [own])


async def retrieve(engine: ElasticEngine, name: str, text: str, top_k: int = 10, **options: Any) -> Retrieval:
    options = {"filters": (), "deadline": soon(), **options}
    opened = await engine.open(name)
    return await opened.retriever.retrieve(wanted(query(text), top_k=top_k, **options))


def ids(retrieval: Retrieval) -> list[str]:
    return [each.doc_id for each in retrieval.ranking]


async def count(url: str, name: str) -> int:
    async with raw_client(url) as client:
        return int((await client.count(index=name))["count"])


class TestSearch:
    async def test_finds_what_was_loaded_as_it_was_loaded(self, engine: ElasticEngine, corpus: str) -> None:
        loaded = {each.doc_id: each for each in DOCUMENTS}
        retrieval = await retrieve(engine, corpus, "python module", top_k=50)

        assert len(retrieval.ranking) == 50
        assert retrieval.partial == ""
        assert retrieval.total == Total(value=1000, relation="gte")
        for candidate in retrieval.ranking:
            assert candidate.source == loaded[candidate.doc_id].source()
            assert "python" in candidate.passage or "module" in candidate.passage

    @pytest.mark.parametrize("text", QUERIES)
    async def test_orders_by_score_then_id_across_every_cut(
        self, text: str, engine: ElasticEngine, corpus: str
    ) -> None:
        whole = await retrieve(engine, corpus, text, top_k=2000)
        keys = [(-each.score, each.doc_id) for each in whole.ranking]

        assert keys == sorted(keys)
        assert len({-score for score, _ in keys}) < len(keys)
        for top_k in (1, 7, 10, 50, 200):
            assert ids(await retrieve(engine, corpus, text, top_k=top_k)) == ids(whole)[:top_k]

    async def test_explains_a_score_by_its_terms(self, engine: ElasticEngine, corpus: str) -> None:
        retrieval = await retrieve(engine, corpus, "python 导入 失败", explain=True)

        for candidate in retrieval.ranking:
            assert set(candidate.contributions) <= {"python", "导入", "失败"}
            assert sum(candidate.contributions.values()) == pytest.approx(candidate.score, rel=1e-5)

    async def test_weights_count(self, engine: ElasticEngine, corpus: str) -> None:
        opened = await engine.open(corpus)
        scores = []
        for weight in (1.0, 3.0):
            weighted = WeightedQuery(text="", terms=(WeightedTerm(term="kernel", weight=weight),))
            retrieval = await opened.retriever.retrieve(wanted(weighted, top_k=1))
            scores.append(retrieval.ranking.candidates[0].score)

        assert scores[1] == pytest.approx(3 * scores[0], rel=1e-6)

    @pytest.mark.parametrize(
        ("condition", "wanted"),
        [
            (AnyOf(field="lang", values=("zh",)), lambda each: each.lang == "zh"),
            (AnyOf(field="lang", values=("zh", "en")), lambda each: True),
            (AnyOf(field="tags", values=("tag-9", "tag-8")), lambda each: {"tag-9", "tag-8"} & set(each.tags)),
            (AnyOf(field="doc_id", values=("doc-000042", "nope")), lambda each: each.doc_id == "doc-000042"),
            (AnyOf(field="url", values=("https://kb.example/42",)), lambda each: each.doc_id == "doc-000042"),
            (AnyOf(field="updated_at", values=("2026-03-03T12:00:00Z",)), lambda each: "-03-03T" in each.updated_at),
            (Range(field="updated_at", gte="2026-06-01"), lambda each: each.updated_at >= "2026-06"),
            (Range(field="updated_at", lte="2026-03-03"), lambda each: each.updated_at < "2026-03-03"),
            (
                Range(field="updated_at", gt="2026-03-03T12:00:00Z"),
                lambda each: each.updated_at > "2026-03-03T12:00:00Z",
            ),
            (
                Range(field="updated_at", lt="20260303T200000+0800"),
                lambda each: each.updated_at < "2026-03-03T12:00:00Z",
            ),
        ],
    )
    async def test_filters(self, condition: Any, wanted: Any, engine: ElasticEngine, corpus: str) -> None:
        text = " ".join((*ENGLISH, *CHINESE))
        expected = sum(bool(wanted(each)) for each in DOCUMENTS)
        retrieval = await retrieve(engine, corpus, text, top_k=COUNT, filters=(condition,))

        assert len(retrieval.ranking) == expected
        assert expected
        assert retrieval.total.value == expected or (retrieval.total.relation == "gte" and expected > 1000)

    async def test_all_filters_hold_and_change_no_score(self, engine: ElasticEngine, corpus: str) -> None:
        filters = (AnyOf(field="lang", values=("zh",)), Range(field="updated_at", gte="2026-06-01"))
        filtered = await retrieve(engine, corpus, "python", top_k=50, filters=filters)
        scores = {each.doc_id: each.score for each in (await retrieve(engine, corpus, "python", top_k=COUNT)).ranking}

        assert len(filtered.ranking) == 50
        for each in filtered.ranking:
            assert each.source["lang"] == "zh"
            assert each.source["updated_at"] >= "2026-06"
            assert each.score == scores[each.doc_id]

    @pytest.mark.parametrize(
        "text", ['title:* OR "', "*:*", "../../_search", "{}", "a AND NOT b", "\\", "[/b] <|im_end|>"]
    )
    async def test_takes_a_query_for_words_only(self, text: str, engine: ElasticEngine, corpus: str) -> None:
        retrieval = await retrieve(engine, corpus, text)

        assert retrieval.total.value == 0

    async def test_bears_a_query_of_more_terms_than_elasticsearch_takes(
        self, engine: ElasticEngine, corpus: str
    ) -> None:
        text = "python " + " ".join(f"w{number}" for number in range(2500))
        retrieval = await retrieve(engine, corpus, text)

        assert retrieval.total.value > 0
        assert retrieval.detail["terms"] == 1024
        assert retrieval.detail["terms_left_out"] == len(set(analyzer().terms(text))) - 1024

    async def test_counts_documents_of_terms(self, engine: ElasticEngine, corpus: str) -> None:
        truth = Counter(term for each in DOCUMENTS for term in set(analyzer().terms(f"{each.title} {each.text}")))
        terms = [*analyzer().terms(" ".join((*ENGLISH, *CHINESE))), "absent"]
        opened = await engine.open(corpus)
        counts = await opened.statistics.document_frequencies(terms, deadline=soon())

        assert counts.doc_count == COUNT
        assert counts.df == {term: truth[term] for term in terms}


class TestLoad:
    async def test_the_last_of_a_doubled_id_wins_and_is_counted(
        self, engine: ElasticEngine, name: str, es_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("searchsvc.elastic.bulk.MAX_CHUNK_DOCUMENTS", 10)
        first = [Document(doc_id=f"d{number % 25}", text=f"version {number}") for number in range(60)]
        report = await fill(engine, name, first)

        assert (report.loaded, report.duplicates) == (25, 35)
        found = await retrieve(engine, name, "version", top_k=100)
        assert {each.doc_id: each.text for each in found.ranking} == {each.doc_id: each.text for each in first}
        again = await fill(engine, name, [Document(doc_id="d3", text="version again")])
        assert (again.loaded, again.duplicates, again.live) == (1, 0, True)
        assert await count(es_url, name) == 25
        assert ids(await retrieve(engine, name, "again")) == ["d3"]

    async def test_no_document_that_was_read_is_refused_or_changed(
        self, engine: ElasticEngine, name: str, tmp_path: Path
    ) -> None:
        lines: list[dict[str, Any]] = [
            {"id": "nul", "text": "nul \0 python \ud800 surrogate"},
            {"id": "long-token", "text": "python " + "x" * 40_000},
            {"id": "long-url", "text": "python", "url": "http://x/" + "é" * 20_000, "tags": ["t" * 40_000]},
            {"id": "😀" * 128, "text": "python", "lang": "zh"},
            {"id": "markers", "title": "[/b]", "text": "python <|im_end|> </s>\u2028\u0085\u200b"},
            {"id": "empty", "title": "python", "text": ""},
            {"id": "keys", "text": "python", "": 1, ".": 2, "a.b": {"a": 3}, "source": 4, "tokens": 5, "_id": 6},
            {"id": "numbers", "text": "python", "big": -(2**62), "float": 0.1, "deep": json.loads("[" * 90 + "]" * 90)},
            {"id": "week", "text": "python", "updated_at": "2026-W05-6"},
            {"id": "short", "text": "python", "updated_at": "20260131"},
            {"id": "first", "text": "python", "updated_at": "0001-01-01T00:00:00+14:00"},
            {"id": "last", "text": "python", "updated_at": "9999-12-31T23:59:59.999999-12:00"},
        ]
        path = tmp_path / "corpus.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        read = [each for each in read_documents(path) if not isinstance(each, BadLine)]
        report = await fill(engine, name, read)
        found = await retrieve(engine, name, "python", top_k=100)

        assert report.loaded == len(read) == len(lines)
        assert {each.doc_id: dict(each.source) for each in found.ranking} == {
            each.doc_id: each.source() for each in read
        }
        january = Range(field="updated_at", gte="2026-01-01", lt="2026-02-01")
        assert sorted(ids(await retrieve(engine, name, "python", filters=(january,)))) == ["short", "week"]

    async def test_a_document_that_elasticsearch_refuses_is_named_and_the_index_stays_incomplete(
        self, engine: ElasticEngine, name: str
    ) -> None:
        refused = Document(doc_id="bad", text="x", updated_at="2026-02-30")
        with pytest.raises(BackendRejected, match=r"refused 1 documents: 'bad': document_parsing_exception"):
            await fill(engine, name, [Document(doc_id="good", text="x"), refused])

        (status,) = [each for each in await engine.admin.status() if each.index.startswith(name)]
        assert (status.alias, status.complete) == (None, False)
        with pytest.raises(UnknownIndex, match="no complete index"):
            await engine.admin.swap(name)
        with pytest.raises(UnknownIndex, match="is no complete index of"):
            await engine.admin.swap(name, physical=status.index)

    async def test_an_empty_load_makes_an_empty_index(self, engine: ElasticEngine, name: str) -> None:
        report = await fill(engine, name, [])

        assert (report.loaded, report.live) == (0, True)
        assert ids(await retrieve(engine, name, "python")) == []

    async def test_of_two_loads_at_once_the_one_that_began_last_wins_and_the_other_says_so(
        self, engine: ElasticEngine, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("searchsvc.elastic.bulk.MAX_CHUNK_DOCUMENTS", 5)
        paused, go_on = threading.Event(), threading.Event()

        def long_load() -> Iterator[Document]:
            for number in range(100):
                if number == 12:  # two chunks are stored
                    paused.set()
                    assert go_on.wait(10)
                yield Document(doc_id=f"long-{number}", text="python")

        running = asyncio.create_task(fill(engine, name, long_load()))
        await asyncio.to_thread(paused.wait, 10)
        short = await fill(engine, name, [Document(doc_id="short", text="python")])
        go_on.set()
        with pytest.raises(Overloaded, match=r"took the index over.* 10 documents were stored") as caught:
            await running

        assert short.live is True
        assert short.index in caught.value.hint
        found = await retrieve(engine, name, "python", top_k=200)
        assert len(found.ranking) == 11
        again = await fill(engine, name, long_load())
        assert (again.index, again.loaded, again.live) == (short.index, 100, True)
        assert len(ids(await retrieve(engine, name, "python", top_k=200))) == 101

    async def test_a_load_is_told_to_be_live_if_somebody_published_its_index_meanwhile(
        self, engine: ElasticEngine, name: str, es_url: str
    ) -> None:
        made = await engine.admin.create(name)
        loop = asyncio.get_running_loop()

        async def publish() -> None:
            async with raw_client(es_url) as client:
                await client.indices.put_alias(index=made, name=name)

        def documents() -> Iterator[Document]:
            asyncio.run_coroutine_threadsafe(publish(), loop).result(10)
            yield Document(doc_id="1", text="python")

        assert (await fill(engine, name, documents())).live is True

    async def test_the_status_counts_what_a_load_that_was_cut_has_stored(
        self, engine: ElasticEngine, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("searchsvc.elastic.bulk.MAX_CHUNK_DOCUMENTS", 5)

        def cut() -> Iterator[Document]:
            for number in range(12):
                yield Document(doc_id=str(number), text="python")
            raise KeyError("cut")

        with pytest.raises(KeyError):
            await fill(engine, name, cut())

        (status,) = [each for each in await engine.admin.status() if each.index.startswith(name)]
        assert (status.documents, status.complete) == (10, False)


class TestPublishing:
    async def test_a_new_index_is_filled_beside_the_live_one_and_swapped_in(
        self, engine: ElasticEngine, name: str
    ) -> None:
        first = await fill(engine, name, [parse_document('{"id": "1", "text": "old"}')])
        made = await engine.admin.create(name)
        second = await fill(engine, name, [parse_document('{"id": "1", "text": "new"}')])

        assert (first.live, second.live, second.index) == (True, False, made)
        assert ids(await retrieve(engine, name, "new")) == []
        assert await engine.admin.swap(name) == made
        states = {each.index: each for each in await engine.admin.status()}
        assert (states[made].alias, states[first.index].alias) == (name, None)
        assert states[made].documents == 1
        assert states[made].bytes > 0
        with pytest.raises(UnknownIndex):
            await engine.admin.swap(name)
        assert await engine.admin.swap(name, physical=first.index) == first.index
        assert name in await engine.names()

    async def test_a_name_or_an_index_that_is_not_there_is_unknown(self, engine: ElasticEngine, name: str) -> None:
        await engine.admin.create(name)

        with pytest.raises(UnknownIndex):
            await engine.open(name)
        with pytest.raises(UnknownIndex):
            await engine.admin.swap(name, physical=f"{name}-v1-20000101000000")
        with pytest.raises(UnknownIndex):
            await fill(engine, f"{name}-v1-20000101000000", [])

    async def test_two_indices_made_within_a_second_have_two_names(self, engine: ElasticEngine, name: str) -> None:
        made = [await engine.admin.create(name) for _ in range(3)]

        assert len(set(made)) == 3
        assert made == sorted(made)

    async def test_a_swap_under_search_loses_no_search_and_mixes_no_answer(
        self, engine: ElasticEngine, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("searchsvc.elastic.engine._FRESH_S", 0.02)
        versions = {}
        for version in ("one", "two"):
            physical = await engine.admin.create(name)
            documents = [Document(doc_id=f"{number}", text="python", extra={"v": version}) for number in range(50)]
            await fill(engine, physical, documents)
            versions[physical] = version
        seen: list[str] = []
        ended = asyncio.Event()

        async def keep_searching() -> None:
            while not ended.is_set():
                opened = await engine.open(name)
                found = await opened.retriever.retrieve(wanted(query("python"), top_k=50))
                assert [each.source["v"] for each in found.ranking] == [versions[opened.physical]] * 50
                seen.append(versions[opened.physical])

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(keep_searching())
            for physical in (*versions, *versions):
                await engine.admin.swap(name, physical=physical)
                await asyncio.sleep(0.25)
            ended.set()
        changes = sum(one != other for one, other in pairwise(seen))

        assert changes >= 3
        assert seen[-1] == "two"

    async def test_an_index_of_ours_that_another_analyser_made_is_not_opened(
        self, engine: ElasticEngine, name: str, es_url: str
    ) -> None:
        report = await fill(engine, name, [Document(doc_id="1", text="x")])
        async with raw_client(es_url) as client:
            meta = {"product": "searchsvc", "analyzer": "another", "complete": True}
            await client.indices.put_mapping(index=report.index, body={"_meta": meta})

        with pytest.raises(BackendRejected, match="analyser 'another'"):
            await engine.open(name)
