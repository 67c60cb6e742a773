"""Retrieval from an index of others on a real Elasticsearch: off is the raw search, expansions find what they say."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk

from searchsvc import forms
from searchsvc.elastic.adopted.retriever import AdoptedPages, AdoptedRetriever
from searchsvc.elastic.adopted.statistics import AdoptedStatistics
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.errors import BackendRejected, BackendUnavailable, InvalidRequest, Reason
from searchsvc.evaluation.collection import read_collection
from searchsvc.model import (
    AnyOf,
    Exists,
    Form,
    Not,
    Range,
    RangesFacet,
    RawFilter,
    SortKey,
    TermsFacet,
    WeightedQuery,
    WeightedTerm,
)
from searchsvc.protocols import TermCounts
from searchsvc.result import Expansion, ExpansionTerm, Retrieval
from searchsvc.schema import AdoptedIndex, FieldKind, IndexField, IndexSchema, TextField
from tests.support.adopted import make_articles
from tests.support.elastic import CHINESE, ENGLISH, own_name, raw_client, soon
from tests.support.embedded import analyzer, retrieved_ids
from tests.support.requests import wanted

pytestmark = pytest.mark.es

FIELDS = (TextField(name="title", boost=3), TextField(name="body"), TextField(name="comments.text", boost=0.5))
SCHEMA = IndexSchema(
    fields={
        field.name: field
        for field in (
            IndexField(name="tags", kind=FieldKind.KEYWORD, facet=True),
            IndexField(name="lang", kind=FieldKind.KEYWORD, facet=True, sort=True),
            IndexField(name="url", kind=FieldKind.KEYWORD, sort=True),
            IndexField(name="published_at", kind=FieldKind.DATE, facet=True, sort=True),
            IndexField(name="price", kind=FieldKind.NUMBER, sort=True, facet=True),
            IndexField(name="body", kind=FieldKind.TEXT),
            IndexField(name="comments.author", kind=FieldKind.KEYWORD, nested="comments", facet=True),
            IndexField(name="comments.stars", kind=FieldKind.NUMBER, nested="comments", facet=True),
        )
    }
)
ACCESS = {"term": {"visible_to": "everyone"}}
SCORED = json.dumps(
    {
        "function_score": {
            "query": {
                "bool": {
                    "must": [{"multi_match": {"query": "{{query}}", "fields": ["title^3", "body"]}}],
                    "filter": [ACCESS],
                }
            },
            "field_value_factor": {"field": "popularity", "modifier": "log1p"},
        }
    }
)
RESCORED = json.dumps(
    {
        "query": {"bool": {"should": [{"match": {"body": "{{query}}"}}, {"term": {"tags": "tag-3"}}]}},
        "rescore": {"window_size": 20, "query": {"rescore_query": {"match": {"title": "router 网络"}}}},
        "post_filter": ACCESS,
        "min_score": 0.4,
        "indices_boost": [{"*": 1.5}],
        "runtime_mappings": {"dear": {"type": "double"}},
    }
)
NESTED = json.dumps(
    {
        "bool": {
            "must": [
                {
                    "nested": {
                        "path": "comments",
                        "query": {
                            "bool": {
                                "must": [{"match": {"comments.text": "{{query}}"}}],
                                "filter": [{"term": {"comments.author": "wei"}}],
                            }
                        },
                    }
                }
            ],
            "filter": [ACCESS],
        }
    }
)
BASES = {"default": None, "scored": SCORED, "rescored": RESCORED, "nested": NESTED}
QUERIES = (
    "python import error",
    "网络不通 怎么办",
    'router "driver" AND {{query}}',
    "容器",
    "installing",
    'a\\"b{}',
    "导入失败 timeout",
)


def authors(document: dict[str, Any]) -> set[str]:
    return {comment["author"] for comment in document.get("comments", ())}


def table(name: str, **changes: Any) -> AdoptedIndex:
    index = AdoptedIndex(
        name="articles",
        target=name,
        text_fields=FIELDS,
        nested=("comments",),
        title="title",
        snippet="body",
        returned=("title", "tags"),
        rerank_text=("title", "body"),
        rerank_characters=40,
    )
    return replace(index, **changes)


class Opened:
    """The three readers of one table, and Elasticsearch without our code."""

    def __init__(self, client: AsyncElasticsearch, index: AdoptedIndex, schema: IndexSchema = SCHEMA) -> None:
        searches = Searches(client)
        self.raw = client
        self.retriever = AdoptedRetriever(searches, index, schema)
        self.statistics = AdoptedStatistics(searches, index, schema, analyzer())
        self.pages = AdoptedPages(searches, index, schema)

    async def search(self, text: str, **more: Any) -> Retrieval:
        return await self.retriever.retrieve(wanted(plain(text), **more))

    async def df(self, *words: str) -> TermCounts:
        return await self.statistics.document_frequencies(words, deadline=soon())


def plain(text: str) -> WeightedQuery:
    return forms.plain_query(text, text.split())


@asynccontextmanager
async def made(es_url: str, name: str, **options: Any) -> AsyncIterator[dict[str, dict[str, Any]]]:
    try:
        yield await make_articles(es_url, name, **options)
    finally:
        async with raw_client(es_url) as client:
            there = await client.indices.get(index=f"{name}*", expand_wildcards="all")
            await asyncio.gather(*[client.indices.delete(index=index) for index in there.body])


@pytest.fixture(scope="module")
def corpus(es_url: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Name and documents of an index of three shards."""
    name = own_name()
    documents = asyncio.run(make_articles(es_url, name, count=300))
    yield name, documents

    async def delete() -> None:
        async with raw_client(es_url) as client:
            await client.indices.delete(index=name)

    asyncio.run(delete())


@pytest.fixture
def name(corpus: tuple[str, dict[str, dict[str, Any]]]) -> str:
    return corpus[0]


@pytest.fixture
def documents(corpus: tuple[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return corpus[1]


@pytest.fixture
async def client(es_url: str) -> AsyncIterator[AsyncElasticsearch]:
    client = connect([es_url])
    yield client
    await client.close()


def by_hand(base_query: str | None, text: str) -> dict[str, Any]:
    """The body that a person would send."""
    if base_query is not None:
        body = json.loads(base_query.replace('"{{query}}"', json.dumps(text)))
        return body if "query" in body else {"query": body}
    matches: list[dict[str, Any]] = [
        {"match": {"title": {"query": text, "boost": 3}}},
        {"match": {"body": {"query": text}}},
        {
            "nested": {
                "path": "comments",
                "score_mode": "max",
                "query": {"match": {"comments.text": {"query": text, "boost": 0.5}}},
            }
        },
    ]
    return {"query": {"dis_max": {"tie_breaker": 0.3, "queries": matches}}}


async def raw_hits(client: AsyncElasticsearch, name: str, body: dict[str, Any], size: int) -> list[tuple[str, float]]:
    reply = await client.search(index=name, **body, size=size)
    return [(hit["_id"], hit["_score"]) for hit in reply["hits"]["hits"]]


def found(retrieval: Retrieval) -> list[tuple[str, float]]:
    return [(each.doc_id, each.score) for each in retrieval.ranking]


def generated_queries(count: int) -> list[str]:
    chance = random.Random(7)
    return [" ".join(chance.choices((*ENGLISH, *CHINESE), k=chance.randint(1, 5))) for _ in range(count)]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("how", ["off", "measured", "explained"])
async def test_ids_order_and_scores_are_those_of_the_raw_search(client, name, base, how) -> None:
    opened = Opened(client, table(name, base_query=BASES[base]))
    options = {"off": {}, "measured": {"expanding": True}, "explained": {"explain": True}}[how]
    hits = 0
    for text in (*QUERIES, *generated_queries(25)):
        ours = found(await opened.search(text, top_k=50, **options))
        assert ours == await raw_hits(client, name, by_hand(BASES[base], text), 50), text
        hits += len(ours)
    assert hits > 200


async def test_filters_facets_and_counting_leave_the_scores_of_what_they_let_through(client, name, documents) -> None:
    opened = Opened(client, table(name, base_query=SCORED))
    options = {"filters": (AnyOf(field="lang", values=("zh",)),), "facets": (TermsFacet(field="tags"),)}
    for text in ("网络 安装", "router 网络"):
        ours = found(await opened.search(text, top_k=50, **options))
        every = await raw_hits(client, name, by_hand(SCORED, text), 300)
        assert ours == [each for each in every if documents[each[0]]["lang"] == "zh"][:50]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (AnyOf(field="tags", values=("tag-1", "tag-2")), lambda d: {"tag-1", "tag-2"} & set(d["tags"])),
        (Not(condition=AnyOf(field="lang", values=("en",))), lambda d: d["lang"] == "zh"),
        (Range(field="price", gte=20, lt=60.5), lambda d: 20 <= d["price"] < 60.5),
        (Exists(field="url"), lambda d: "url" in d),
        (Exists(field="url", present=False), lambda d: "url" not in d),
        (Not(condition=Exists(field="url", present=False)), lambda d: "url" in d),
        (Exists(field="body"), lambda d: True),
        (
            AnyOf(field="published_at", values=("2026-03-03T13:00:00+01:00",)),
            lambda d: d["published_at"] == "2026-03-03T12:00:00Z",
        ),
        (Range(field="published_at", lte="2026-03-03"), lambda d: d["published_at"] < "2026-03-03T00"),
        (AnyOf(field="comments.author", values=("wei",)), lambda d: "wei" in authors(d)),
        (Not(condition=AnyOf(field="comments.author", values=("wei",))), lambda d: "wei" not in authors(d)),
        (Exists(field="comments.author"), authors),
        (Exists(field="comments.author", present=False), lambda d: not authors(d)),
        (Range(field="comments.stars", gte=5), lambda d: any(c["stars"] >= 5 for c in d.get("comments", ()))),
        (RawFilter(query={"prefix": {"url": "https://kb.example/1"}}), lambda d: "example/1" in d.get("url", "")),
    ],
    ids=repr,
)
async def test_a_filter_lets_through_what_it_says(client, name, documents, condition, holds) -> None:
    body = json.dumps({"bool": {"should": [{"match_all": {}}, {"match": {"title": "{{query}}"}}]}})
    opened = Opened(client, table(name, base_query=body))
    ours = await opened.search("router", top_k=300, filters=(condition,))
    expected = {doc_id for doc_id, document in documents.items() if holds(document)}

    assert set(retrieved_ids(ours)) == expected
    assert expected


async def test_filters_on_one_nested_path_hold_for_one_object(client, name, documents) -> None:
    filters = (AnyOf(field="comments.author", values=("wei",)), Range(field="comments.stars", lte=2))
    ours = await Opened(client, table(name)).search("router 网络 安装 python", top_k=300, filters=filters)
    kept = {doc_id: documents[doc_id].get("comments", ()) for doc_id in retrieved_ids(ours)}

    assert kept
    assert all(any(c["author"] == "wei" and c["stars"] <= 2 for c in comments) for comments in kept.values())
    assert any(
        "wei" in authors(d) and any(c["stars"] <= 2 for c in d["comments"])
        for i, d in documents.items()
        if i not in kept
    )


@pytest.mark.parametrize("value", [3e9, 10**20])
async def test_a_value_that_a_field_cannot_have_is_the_callers_to_mend(client, name, value) -> None:
    with pytest.raises(InvalidRequest, match="out of range") as caught:
        await Opened(client, table(name)).search("router", filters=(AnyOf(field="comments.stars", values=(value,)),))
    assert caught.value.pointer == "/filters"


async def test_facets_count_documents_also_of_nested_values_and_behind_a_post_filter(client, name, documents) -> None:
    facets = (
        TermsFacet(field="comments.author"),
        RangesFacet(
            field="comments.stars", ranges=(Range(field="comments.stars", gte=4), Range(field="comments.stars"))
        ),
        TermsFacet(field="published_at", size=3),
        RangesFacet(field="price", ranges=(Range(field="price", lt=50),)),
    )
    for base in (None, RESCORED):
        opened = Opened(client, table(name, base_query=base))
        ours = await opened.search("router 网络 python", top_k=300, facets=facets)
        matched = [documents[doc_id] for doc_id in retrieved_ids(ours)]
        by_author, by_stars, by_date, by_price = ours.facets

        counted = {each.value: each.count for each in by_author.counts}
        assert counted == {who: sum(who in authors(d) for d in matched) for who in counted}
        assert [each.count for each in by_author.counts] == sorted(counted.values(), reverse=True)
        assert by_stars.counts[0].count == sum(any(c["stars"] >= 4 for c in d.get("comments", ())) for d in matched)
        assert by_price.counts[0].count == sum(d["price"] < 50 for d in matched)
        assert all(str(each.value).startswith("2026-") for each in by_date.counts)
        assert ours.total.value == len(matched) > 50
    assert all("everyone" in d["visible_to"] for d in matched)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", ["price", "published_at", "url", "lang"])
async def test_an_order_by_a_field_puts_those_without_it_last(client, name, documents, field, descending) -> None:
    opened = Opened(client, table(name, base_query=RESCORED))
    ours = await opened.search("router 网络", top_k=300, sort=(SortKey(field=field, descending=descending),))
    values = [documents[doc_id].get(field) for doc_id in retrieved_ids(ours)]
    present = [value for value in values if value is not None]

    assert present == sorted(present, reverse=descending)
    assert values[: len(present)] == present
    assert len(values) > 30
    shown = [each.sort_values[0] for each in ours.ranking]
    assert [each is None for each in shown] == [value is None for value in values]
    assert all(each.score > 0 for each in ours.ranking)


async def test_a_number_that_is_missing_is_told_as_none(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=4):
        await client.index(index=name, id="none", document={"title": "router"}, refresh=True)
        ours = await Opened(client, table(name)).search("router", sort=(SortKey(field="price"),))
    assert {each.doc_id: each.sort_values for each in ours.ranking}["none"] == (None,)


async def test_collapsing_leaves_the_best_of_each_value(client, name, documents) -> None:
    ours = await Opened(client, table(name, base_query=SCORED)).search("router 网络", top_k=50, collapse="lang")
    every = await raw_hits(client, name, by_hand(SCORED, "router 网络"), 300)
    best: dict[str, str] = {}
    for doc_id, _ in every:
        best.setdefault(documents[doc_id]["lang"], doc_id)

    assert [(each.group, each.doc_id) for each in ours.ranking] == list(best.items())


async def test_a_candidate_has_the_returned_fields_and_the_texts_that_are_read(client, name, documents) -> None:
    ours = await Opened(client, table(name)).search("router")
    for each in ours.ranking:
        document = documents[each.doc_id]
        assert each.source == {"title": document["title"], "tags": document["tags"]}
        assert (each.title, each.text) == (document["title"], document["body"])
        assert each.passage == f"{document['title']}\n{document['body']}"[:40]
    assert ours.detail["index"] == name


@pytest.mark.parametrize("base", BASES)
async def test_df_on_three_shards_is_what_counting_says(client, name, documents, base) -> None:
    words = (*ENGLISH[:12], *CHINESE[:12], "网络安装", "nowhere")
    counts = await Opened(client, table(name, base_query=BASES[base])).df(*words)
    visible = {
        doc_id: document
        for doc_id, document in documents.items()
        if base == "default" or "everyone" in document["visible_to"]
    }
    if base == "nested":  # what its clause demands of a document whatever the text
        visible = {doc_id: document for doc_id, document in visible.items() if "wei" in authors(document)}

    assert counts.doc_count == len(visible)
    assert counts.df == {word: sum(holds(document, word) for document in visible.values()) for word in words}
    assert counts.df["nowhere"] == 0
    assert sum(df > 0 for df in counts.df.values()) > 20


def holds(document: dict[str, Any], word: str) -> bool:
    """Whether one of the searched texts holds the word, by words in English and by characters in Chinese."""
    texts = [document["title"], document["body"], *(comment["text"] for comment in document.get("comments", ()))]
    if word.isascii():
        return any(word in text.lower().replace(".", " ").split() for text in texts)
    return any(word in text for text in texts)


def expanded(text: str, words: list[str], retrieval: Retrieval, *, weight: float = 0.5) -> WeightedQuery:
    terms = [ExpansionTerm(term=word, frequency=1.0, df=1, source="t", source_text="t") for word in words]
    expansion = Expansion(method="t", text="", terms=tuple(terms), doc_count=300)
    composed = forms.compose(
        plain(text), expansion, form=Form.MIXTURE, weight=weight, word_weight=retrieval.word_weight
    )
    return composed.query


@pytest.mark.parametrize("base", BASES)
async def test_expansion_brings_hits_in_standard_and_nested_fields_and_none_that_may_not_be_seen(
    client, name, documents, base
) -> None:
    opened = Opened(client, table(name, base_query=BASES[base]))
    base_hits = await opened.search("kernel", top_k=300, expanding=True)
    query = expanded("kernel", ["网络", "数据库", "容器"], base_hits)
    ours = await opened.retriever.retrieve(wanted(query, top_k=300))
    added = set(retrieved_ids(ours)) - set(retrieved_ids(base_hits))

    assert any("网络" in documents[doc_id]["title"] + documents[doc_id]["body"] for doc_id in added)
    assert all(any(holds(documents[doc_id], word) for word in ("网络", "数据库", "容器")) for doc_id in added)
    if base == "default":
        in_comments = [
            i
            for i in added
            if not any(w in documents[i]["title"] + documents[i]["body"] for w in ("网络", "数据库", "容器"))
        ]
        assert in_comments
    else:
        assert all("everyone" in documents[doc_id]["visible_to"] for doc_id in retrieved_ids(ours))
    if base == "nested":
        assert all("wei" in authors(documents[doc_id]) for doc_id in retrieved_ids(ours))


@pytest.mark.parametrize("base", ["default", "scored"])
@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
async def test_the_share_of_the_added_mass_is_lambda(client, name, base, weight) -> None:
    """The words of the query itself as the expansion: then both sides of the sum are about equally well met."""
    opened = Opened(client, table(name, base_query=BASES[base]))
    shares = []
    for text in ("python import error", "router driver", "网络 安装", "数据库 连接 超时"):
        first = await opened.search(text, top_k=50, expanding=True)
        query = expanded(text, text.split(), first, weight=weight)
        ours = await opened.retriever.retrieve(wanted(query, explain=True))
        text_score = sum(each.contributions.get("the query", 0.0) for each in ours.ranking)
        added = sum(sum(each.contributions.values()) for each in ours.ranking) - text_score
        shares.append(added / (text_score + added))
        assert first.detail["word_weight"] == first.word_weight

    assert shares == pytest.approx([weight] * len(shares), abs=0.06)


async def test_contributions_add_up_where_nothing_stands_around_the_text(client, name) -> None:
    opened = Opened(client, table(name))
    query = WeightedQuery(
        text="router",
        terms=(),
        text_weight=0.5,
        phrases=(WeightedTerm(term="网络", weight=0.7), WeightedTerm(term="the query", weight=1.0)),
    )
    ours = await opened.retriever.retrieve(wanted(query, top_k=50, explain=True))

    assert {name for each in ours.ranking for name in each.contributions} == {"the query", "网络"}
    for each in ours.ranking:
        assert sum(each.contributions.values()) == pytest.approx(each.score, rel=1e-5)


async def test_without_weight_of_the_text_its_words_find_nothing(client, name, documents) -> None:
    query = WeightedQuery(text="router", terms=(), text_weight=0, phrases=(WeightedTerm(term="网络", weight=1),))
    ours = await Opened(client, table(name)).retriever.retrieve(wanted(query, top_k=300))
    nothing = await Opened(client, table(name)).retriever.retrieve(wanted(replace(query, phrases=())))

    assert set(retrieved_ids(ours)) == {doc_id for doc_id, document in documents.items() if holds(document, "网络")}
    assert nothing.total.value == 0


async def test_a_word_weight_that_cannot_be_measured_is_one_and_said(client, name) -> None:
    ours = await Opened(client, table(name)).search("nowhere", expanding=True)

    assert ours.word_weight == 1.0
    assert "not measured" in ours.detail["word_weight"]


async def test_an_explanation_tells_what_the_analysers_make_of_the_words(client, name) -> None:
    opened = Opened(client, table(name))
    query = replace(plain("Installing 网络"), phrases=(WeightedTerm(term="数据库", weight=1),))
    ours = await opened.retriever.retrieve(wanted(query, explain=True))

    of_words = {"Installing": ["installing"], "网络": ["网", "络"], "数据库": ["数", "据", "库"]}
    assert ours.detail["analysed"] == {"title": of_words, "body": of_words}
    assert "analysed" not in (await opened.search("网络")).detail
    several = Opened(client, table(f"{name}*"))
    assert (await several.search("网络", explain=True)).detail["analysed"] == {}


async def test_a_query_of_very_many_words_is_measured_by_some_of_them(client, name) -> None:
    text = " ".join([*ENGLISH, *(f"word{number}" for number in range(700))])
    opened = Opened(client, table(name))
    short, long = [await opened.search(each, expanding=True) for each in (" ".join(ENGLISH), text)]

    assert long.ranking == short.ranking
    assert long.word_weight > 0


@pytest.mark.parametrize("how", [{"expanding": True}, {"explain": True}], ids=["measured", "explained"])
async def test_a_query_too_long_to_be_measured_finds_what_it_finds_without(client, name, how) -> None:
    """Elasticsearch counts the clauses of what is measured with those of the query: 8,192 on a small node."""
    text = " ".join([*ENGLISH, *(f"word{number}" for number in range(1700))])
    opened = Opened(client, table(name))
    ours, off = await opened.search(text, **how), await opened.search(text)

    assert found(ours) == found(off)
    assert len(ours.ranking) == 10
    assert ours.word_weight == 1.0


@pytest.mark.parametrize("how", [{}, {"expanding": True}], ids=["off", "measured"])
@pytest.mark.parametrize("text", ["((router", 'router "driver', "".join(map(chr, range(0x4E00, 0x6E00)))])
async def test_a_text_that_the_owners_query_does_not_take_is_the_callers_to_mend(client, name, text, how) -> None:
    base = json.dumps({"query_string": {"query": "{{query}}", "fields": ["title", "body"]}})
    opened = Opened(client, table(name, base_query=base))
    for filters in ((), (AnyOf(field="lang", values=("zh",)),)):
        with pytest.raises(InvalidRequest) as caught:
            await opened.search(text, filters=filters, **how)
        assert caught.value.pointer == "/query"
        assert caught.value.hint


async def test_a_raw_filter_that_cannot_be_read_is_not_taken_for_the_text(client, name) -> None:
    raw = RawFilter(query={"query_string": {"query": "((router"}})
    with pytest.raises(InvalidRequest) as caught:
        await Opened(client, table(name)).search("router", filters=(raw,))
    assert caught.value.pointer == "/filters/es"


async def test_every_document_comes_once_while_others_are_indexed(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=120):
        opened = Opened(client, table(name, base_query=SCORED))
        before = found(await opened.search("router 网络", top_k=200))
        paged, view, last = [], "", False
        while not last:
            page = await opened.pages.base(wanted(plain("router 网络"), top_k=7), start=len(paged), view=view)
            paged += [(each.doc_id, each.score) for each in page.candidates]
            view, last = page.view, page.last
            more = {"title": "router 网络", "visible_to": "everyone", "popularity": 9}
            await client.index(index=name, document=more, refresh=True)
        after = await opened.search("router 网络", top_k=200)

    assert paged == before
    assert len(after.ranking) > len(before) > 20


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("how", ["relevance", "sorted", "collapsed"])
async def test_pages_go_on_in_the_order_of_the_search(client, name, base, how) -> None:
    options = {"relevance": {}, "sorted": {"sort": (SortKey(field="price"),)}, "collapsed": {"collapse": "url"}}[how]
    opened = Opened(client, table(name, base_query=BASES[base]))
    whole = await opened.search("router 网络 python", top_k=300, **options)
    paged, view, last = [], "", False
    while not last:
        request = wanted(plain("router 网络 python"), top_k=40, **options)
        page = await opened.pages.base(request, start=len(paged), view=view)
        paged += page.candidates
        view, last = page.view, page.last

    assert paged == list(whole.ranking)


async def test_pages_that_have_gone_and_pages_too_deep_are_the_cursors_fault(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=20):
        opened = Opened(client, table(name))
        view = (await opened.pages.base(wanted(plain("router")), start=0, view="")).view
        await client.close_point_in_time(id=view)
        await client.indices.put_settings(index=name, settings={"index.max_result_window": 15})
        for start, known in ((5, view), (10, ""), (10_000, "")):
            with pytest.raises(InvalidRequest) as caught:
                await opened.pages.base(wanted(plain("router"), top_k=10), start=start, view=known)
            assert caught.value.pointer == "/cursor"
            assert caught.value.hint


@pytest.mark.parametrize("doc_id", ["_id", "_index/_id", "url"])
async def test_documents_are_fetched_by_their_ids_if_they_may_be_seen(client, name, documents, doc_id) -> None:
    opened = Opened(client, table(name, base_query=SCORED, doc_id=doc_id))
    with_url = (Exists(field="url"), AnyOf(field="lang", values=("zh",)))
    every = await opened.search("router 网络 安装", top_k=20, filters=with_url)
    ids = [each.doc_id for each in every.ranking]
    fetched = await opened.pages.documents(wanted(plain("x"), filters=with_url), [*ids, "none/there"])

    assert sorted(fetched) == sorted(ids)
    assert len(ids) == 20
    assert {each.score for each in fetched.values()} == {0.0}
    assert [fetched[each.doc_id].source for each in every.ranking] == [each.source for each in every.ranking]
    if doc_id == "_id":
        hidden = [i for i, document in documents.items() if document["visible_to"] == ["staff"] and document.get("url")]
        assert await opened.pages.documents(wanted(plain("x")), hidden[:20]) == {}
        assert await opened.pages.documents(wanted(plain("x")), []) == {}


async def test_an_id_may_be_another_reading_of_a_field(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=12) as documents:
        opened = Opened(
            client, table(name, doc_id="title.keyword", returned=("tags",), title=None, rerank_text=("body",))
        )
        ours = await opened.search("router 网络", top_k=12)
        fetched = await opened.pages.documents(wanted(plain("x")), retrieved_ids(ours))

    titles = {document["title"] for document in documents.values()}
    assert titles.issuperset(retrieved_ids(ours))
    assert set(fetched) == set(retrieved_ids(ours)) != set()
    assert all(set(each.source) == {"tags"} for each in fetched.values())


async def test_half_a_character_in_a_document_hides_no_other(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=4):
        headers = {"content-type": "application/json", "accept": "application/json"}
        broken = b'{"title": "router \\ud83d network", "body": "\\ud83d\\ude00"}'
        path = f"/{name}/_doc/broken?refresh=true"
        await client.perform_request("PUT", path, headers=headers, body=broken)
        ours = await Opened(client, table(name)).search("router")

    (found,) = (each for each in ours.ranking if each.doc_id == "broken")
    assert (found.title, found.text) == ("router \ufffd network", "\U0001f600")


async def test_ids_that_do_not_tell_documents_apart_are_told(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=8):
        twin = {"title": "router only here", "tags": ["x"]}
        for index in (f"{name}-1", f"{name}-2"):
            await client.index(index=index, id="same", document=twin, refresh=True)
        several = Opened(client, table(f"{name}-*", nested=(), text_fields=FIELDS[:1]))
        with pytest.raises(BackendRejected) as caught:
            await several.search("router")
        assert f"{name}-1/same and {name}-2/same" in caught.value.message
        assert '"_index/_id"' in caught.value.hint

        apart = Opened(client, table(f"{name}-*", doc_id="_index/_id"))  # neither has the nested path
        found_ids = retrieved_ids(await apart.search("router", sort=(SortKey(field="price"),)))
        assert sorted(found_ids) == [f"{name}-1/same", f"{name}-2/same"]
        assert set(await apart.pages.documents(wanted(plain("router")), found_ids)) == set(found_ids)

        keyed = Opened(client, table(f"{name}-*", doc_id="url", text_fields=FIELDS[:1]))
        with pytest.raises(BackendRejected, match="has 0 values of url"):
            await keyed.search("router")


async def test_a_filtered_alias_is_searched_by_its_name(client, es_url) -> None:
    name = own_name()
    async with made(es_url, name, count=60) as documents:
        only = {"term": {"lang": "zh"}}
        await client.indices.put_alias(index=name, name=f"{name}-zh", filter=only)
        opened = Opened(client, table(f"{name}-zh"))
        ours = await opened.search("router 网络", top_k=60)
        counts = await opened.df("router", "网络")
        page = await opened.pages.base(wanted(plain("router 网络"), top_k=60), start=0, view="")

    assert {documents[doc_id]["lang"] for doc_id in retrieved_ids(ours)} == {"zh"}
    assert page.candidates == ours.ranking.candidates
    assert (counts.doc_count, counts.df["router"]) == (30, 0)


async def test_documents_without_source_cannot_be_served(client, es_url) -> None:
    name = own_name()
    async with made(es_url, f"{name}-other", count=1):
        mapping = {"_source": {"enabled": False}, "properties": {"title": {"type": "text"}}}
        await client.indices.create(index=f"{name}-other-2", mappings=mapping)
        await client.index(index=f"{name}-other-2", document={"title": "router"}, refresh=True)
        with pytest.raises(BackendRejected, match="_source"):
            await Opened(client, table(f"{name}-other-2")).search("router")


@pytest.mark.parametrize("what", ["closed", "deleted", "red"])
async def test_an_index_that_is_away_is_told_with_the_next_step(client, es_url, what) -> None:
    name = own_name()
    async with made(es_url, name, count=5):
        if what == "closed":
            await client.indices.close(index=name)
        else:
            await client.indices.delete(index=name)
        if what == "red":
            nowhere = {"number_of_replicas": 0, "index.routing.allocation.require._name": "nowhere"}
            await client.indices.create(index=name, settings=nowhere, wait_for_active_shards=0)
        opened = Opened(client, table(name))
        for doing in (
            opened.search("router"),
            opened.df("router"),
            opened.pages.base(wanted(plain("x")), start=0, view=""),
        ):
            with pytest.raises(BackendUnavailable) as caught:
                await doing
            assert caught.value.hint


async def test_a_field_that_has_gone_is_left_out_and_said(client, name) -> None:
    schema = replace(SCHEMA, lost=frozenset({"title"}), problems=("title is gone.",))
    ours = await Opened(client, table(name), schema).search("router", top_k=300)
    others = await Opened(client, table(name, text_fields=FIELDS[1:])).search("router", top_k=300)

    assert ours.ranking == others.ranking
    assert (ours.partial, ours.partial_reason) == ("title is gone.", Reason.MAPPING_CHANGED)


async def test_where_no_text_field_is_left_only_a_query_of_ones_own_goes_on(client, name) -> None:
    schema = replace(SCHEMA, lost=frozenset(field.name for field in FIELDS), problems=("all is gone.",))
    own, none = Opened(client, table(name, base_query=SCORED), schema), Opened(client, table(name), schema)
    query = WeightedQuery(text="router", terms=(), phrases=(WeightedTerm(term="网络", weight=1),))

    assert len((await own.search("router", expanding=True)).ranking) == 10
    for doing in (none.search("router"), own.retriever.retrieve(wanted(query)), own.df("router")):
        with pytest.raises(BackendRejected, match="all is gone"):
            await doing


@pytest.mark.slow
async def test_the_demo_queries_find_what_the_raw_search_finds(client, es_url) -> None:
    folder = Path(str(files("searchsvc.demo").joinpath("collection")))
    await _off_equals_raw(client, folder)


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["zh-qbqtc", "en-dl1920"])
async def test_every_query_of_a_collection_finds_what_the_raw_search_finds(client, equipment, collection) -> None:
    await _off_equals_raw(client, equipment / "data" / collection)


async def _off_equals_raw(client: AsyncElasticsearch, folder: Path) -> None:
    """Over every query of a collection, with a base query and without, on three shards."""
    collection, name = read_collection(folder), own_name()
    fields = (TextField(name="title", boost=3), TextField(name="text"))
    base = json.dumps(
        {
            "function_score": {
                "query": {
                    "bool": {
                        "must": [{"multi_match": {"query": "{{query}}", "fields": ["title^3", "text"]}}],
                        "filter": [{"range": {"popularity": {"gte": 3}}}],
                    }
                },
                "field_value_factor": {"field": "popularity", "modifier": "log1p"},
            }
        }
    )
    await client.indices.create(index=name, settings={"number_of_shards": 3, "number_of_replicas": 0})
    try:
        documents = (
            {"_index": name, "_id": each.doc_id, "title": each.title, "text": each.text, "popularity": number % 13}
            for number, each in enumerate(collection.documents())
        )
        await async_bulk(client.options(request_timeout=60), documents, refresh=True)
        for base_query in (None, base):
            opened = Opened(client, table(name, text_fields=fields, nested=(), base_query=base_query))
            matches = [{"match": {each.name: {"query": "{{query}}", "boost": each.boost}}} for each in fields]
            by_default = json.dumps({"dis_max": {"queries": matches, "tie_breaker": 0.3}})
            for text in collection.queries.values():
                raw = json.loads((base_query or by_default).replace('"{{query}}"', json.dumps(text)))
                expected = await raw_hits(client, name, {"query": raw}, 50)
                assert found(await opened.search(text, top_k=50)) == expected, text
                assert found(await opened.search(text, top_k=50, expanding=True)) == expected, text
    finally:
        await client.indices.delete(index=name)
