"""What an index of others knows of words, on a real Elasticsearch of three shards: counted by hand, too."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.adopted.statistics import AdoptedStatistics
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.errors import BackendRejected, BackendTimeout
from searchsvc.expansion.prf import PrfExpander
from searchsvc.model import Candidate, Ranking
from searchsvc.protocols import ExpandRequest
from searchsvc.schema import AdoptedIndex, IndexSchema, TextField
from tests.support.adopted import make_articles
from tests.support.elastic import CHINESE, ENGLISH, own_name, raw_client, soon
from tests.support.embedded import analyzer

pytestmark = pytest.mark.es

Articles = Mapping[str, Mapping[str, Any]]

VISIBLE = '{"bool": {"must": [{"match": {"title": "{{query}}"}}], "filter": [{"term": {"visible_to": "everyone"}}]}}'
WORDS = ("python", "error", "kernel", "网络", "导入", "数据库", "absent")
PAIRS = [(one, other) for one in WORDS for other in ("module", "失败", "network")]


@pytest.fixture(scope="module")
def corpus(es_url: str) -> Iterator[tuple[str, Articles]]:
    name = own_name()
    yield name, asyncio.run(make_articles(es_url, name, count=240))

    async def delete() -> None:
        async with raw_client(es_url) as client:
            there = await client.indices.get(index=f"{name}*")
            for index in there.body:
                await client.indices.delete(index=index)

    asyncio.run(delete())


@pytest.fixture
async def client(es_url: str) -> AsyncIterator[AsyncElasticsearch]:
    client = connect([es_url])
    yield client
    await client.close()


def statistics(client: AsyncElasticsearch, target: str, **changes: Any) -> AdoptedStatistics:
    table: dict[str, Any] = {
        "text_fields": tuple(TextField(name=name) for name in ("title", "body", "comments.text")),
        "nested": ("comments",),
        "returned": ("tags",),
        "base_query": VISIBLE,
    }
    index = AdoptedIndex(name="articles", target=target, **(table | changes))
    return AdoptedStatistics(Searches(client), index, IndexSchema(fields={}), analyzer())


def texts(article: Mapping[str, Any]) -> list[str]:
    return [article["title"], article["body"], *(comment["text"] for comment in article.get("comments", ()))]


def holds(article: Mapping[str, Any], word: str) -> bool:
    """Whether the word stands in one of the texts; full stops are nothing to the index."""
    if word.isascii():
        return any(word in re.findall(r"\w+", text.lower()) for text in texts(article))
    return any(word in text.replace("。", "") for text in texts(article))


def terms_of(article: Mapping[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for text in texts(article):
        read = text.lower() if text.isascii() else text.replace("。", "")
        found.update(word.surface for word in analyzer().words(read, parts=False))
    return found


def visible(articles: Articles) -> Articles:
    return {doc_id: each for doc_id, each in articles.items() if "everyone" in each["visible_to"]}


def candidates(*doc_ids: str) -> list[Candidate]:
    return [Candidate(doc_id=doc_id, score=1.0) for doc_id in doc_ids]


async def test_pairs_are_counted_on_all_shards_among_what_may_be_found(client, corpus) -> None:
    name, articles = corpus
    counts = await statistics(client, name).pair_frequencies([*PAIRS, PAIRS[0]], deadline=soon())

    def by_hand(articles: Articles) -> dict[tuple[str, str], int]:
        return {pair: sum(all(holds(each, word) for word in pair) for each in articles.values()) for pair in PAIRS}

    assert counts == by_hand(visible(articles))
    assert sum(count > 0 for count in counts.values()) > 5
    assert await statistics(client, name, base_query=None).pair_frequencies(PAIRS, deadline=soon()) == by_hand(articles)


async def test_a_pair_of_one_word_is_its_document_frequency(client, corpus) -> None:
    name, _ = corpus
    of = statistics(client, name)
    counts = await of.document_frequencies(WORDS, deadline=soon())
    pairs = await of.pair_frequencies([(word, word) for word in WORDS], deadline=soon())

    assert counts.df == {one: count for (one, _), count in pairs.items()}


async def test_which_documents_hold_which_words(client, corpus) -> None:
    name, articles = corpus
    chosen = list(articles)[:12]
    held = await statistics(client, name).holding(WORDS, [*chosen, "no-such", chosen[0]], deadline=soon())

    seen = visible(articles)
    by_hand = {
        doc_id: frozenset(word for word in WORDS if doc_id in seen and holds(articles[doc_id], word))
        for doc_id in chosen
    }
    assert held == by_hand | {"no-such": frozenset()}
    assert any(held.values())
    assert [doc_id for doc_id in chosen if doc_id not in seen]


async def test_the_terms_of_documents_are_words_in_the_order_given(client, corpus) -> None:
    name, articles = corpus
    chosen = ["a-00007", "a-00004", "a-00007", "a-00021", "a-00000"]
    counts = await statistics(client, name).tokens(candidates(*chosen), deadline=soon())

    assert list(counts) == [terms_of(articles[doc_id]) for doc_id in chosen]
    assert set(ENGLISH) & counts[1].keys()
    assert set(CHINESE) & counts[0].keys()
    every = await statistics(client, name).document_frequencies([*counts[0], *counts[1]], deadline=soon())
    assert min(every.df.values()) > 0


async def test_of_a_document_that_may_not_be_found_nothing_is_told(client, corpus) -> None:
    name, articles = corpus
    hidden = next(doc_id for doc_id in articles if doc_id not in visible(articles))

    counts = await statistics(client, name).tokens(candidates(hidden, "no-such", "a-00000"), deadline=soon())

    assert [len(each) > 0 for each in counts] == [False, False, True]


@pytest.mark.parametrize("doc_id", ["url", "_index/_id"])
async def test_other_ids_and_wildcards_find_the_same_documents(client, corpus, doc_id: str) -> None:
    name, articles = corpus
    ids = {"url": articles["a-00001"]["url"], "_index/_id": f"{name}/a-00001"}
    of = statistics(client, f"{name}*", doc_id=doc_id)

    assert list(await of.tokens(candidates(ids[doc_id]), deadline=soon())) == [terms_of(articles["a-00001"])]
    held = await of.holding(WORDS, [ids[doc_id]], deadline=soon())
    assert held == {ids[doc_id]: frozenset(word for word in WORDS if holds(articles["a-00001"], word))}


async def test_a_document_with_a_routing_and_other_readings_of_a_field_is_counted_once(client, corpus) -> None:
    name = f"{corpus[0]}-routed"
    title = {"type": "text", "fields": {"stop": {"type": "text", "analyzer": "stop"}}}
    mappings = {"_routing": {"required": True}, "properties": {"title": title, "body": {"type": "text"}}}
    await client.indices.create(index=name, settings={"number_of_shards": 3}, mappings=mappings)
    document = {"title": ["The router", "重启电脑 restarts"], "body": "路由器，Wi-Fi"}
    await client.index(index=name, id="r", routing="somewhere", document=document, refresh=True)
    fields = tuple(TextField(name=each) for each in ("title", "title.stop", "body"))
    of = statistics(client, name, text_fields=fields, nested=(), base_query=None)

    counts = await of.tokens(candidates("r"), deadline=soon())

    assert counts[0] == Counter(["the", "router", "重启", "电脑", "restarts", "路由器", "wi", "fi"])
    assert await of.holding(["the", "重启"], ["r"], deadline=soon()) == {"r": frozenset(["the", "重启"])}


async def test_feedback_proposes_words_of_the_first_documents(client, corpus) -> None:
    name, articles = corpus
    of = statistics(client, name)
    first = Ranking(candidates=tuple(candidates("a-00007", "a-00004", "a-00001")))

    async def first_pass() -> Ranking:
        return first

    request = ExpandRequest(user_query="网络", deadline=soon(), terms=64, first_pass=first_pass)
    expansion = await PrfExpander(of, analyzer()).expand(request)

    said = set().union(*(terms_of(articles[each.doc_id]) for each in first))
    seen = visible(articles).values()
    assert expansion.terms
    assert {each.term for each in expansion.terms} <= said
    assert {each.term: each.df for each in expansion.terms} == {
        each.term: sum(holds(article, each.term) for article in seen) for each in expansion.terms
    }
    assert all(each.kept == (0 < each.df <= 0.1 * len(seen)) for each in expansion.terms)


async def test_what_is_not_asked_costs_no_call(client, corpus) -> None:
    of, passed = statistics(client, corpus[0]), soon(0)

    assert await of.pair_frequencies([], deadline=passed) == {}
    assert await of.holding([], ["a"], deadline=passed) == {"a": frozenset()}
    assert await of.holding(["a"], [], deadline=passed) == {}
    assert list(await of.tokens([], deadline=passed)) == []


async def test_what_cannot_be_told_is_an_error(client, corpus) -> None:
    of = statistics(client, corpus[0])
    for call in (
        of.pair_frequencies(PAIRS, deadline=soon(0)),
        of.holding(WORDS, ["a-00001"], deadline=soon(0)),
        of.tokens(candidates("a-00001"), deadline=soon(0)),
    ):
        with pytest.raises(BackendTimeout):
            await call
    lost = IndexSchema(fields={}, lost=frozenset(["title"]), problems=("title is not there.",))
    index = AdoptedIndex(name="articles", target=corpus[0], text_fields=(TextField(name="title"),))
    with pytest.raises(BackendRejected, match="title is not there"):
        await AdoptedStatistics(Searches(client), index, lost, analyzer()).tokens(candidates("a"), deadline=soon())
