"""Searches in the caller's name on a secured node: what a caller may not see shows nowhere, and no secret leaks."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import Forbidden, SearchError, Unauthenticated, UnknownIndex
from searchsvc.forms import plain_query
from searchsvc.model import Candidate, Exists, Range, TermsFacet
from searchsvc.protocols import OpenIndex, RetrieveRequest
from searchsvc.schema import AdoptedIndex, Caller, TextField
from tests.conftest import StartNodes
from tests.support.adopted import make_articles
from tests.support.elastic import soon
from tests.support.embedded import analyzer

pytestmark = [pytest.mark.es, pytest.mark.slow]

PASSWORD = "a-password"
ROLES = """
service:
  indices:
    - {names: ['articles'], privileges: [read]}
everyone:
  indices:
    - names: ['articles']
      privileges: [read]
      query: '{"term": {"visible_to": "everyone"}}'
      field_security: {grant: ['*'], except: ['price', 'comments.*']}
stranger:
  indices:
    - {names: ['others'], privileges: [read]}
"""
ARTICLES = AdoptedIndex(
    name="articles",
    target="articles",
    text_fields=(TextField(name="title", boost=3), TextField(name="body"), TextField(name="comments.text")),
    nested=("comments",),
    title="title",
    snippet="body",
    returned=("title", "body", "visible_to", "price", "comments"),
    filters=("tags", "lang", "price", "comments.author", "visible_to"),
    facets=("tags", "visible_to", "price", "comments.author"),
    rerank_text=("title", "body"),
)
EVERYTHING = "python 网 导 module 败 error"
Articles = Mapping[str, Mapping[str, Any]]


def caller(user: str, password: str = PASSWORD) -> Caller:
    return Caller("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


EVE, BOSS = caller("eve"), caller("boss")


@pytest.fixture(scope="module")
def url(start_nodes: StartNodes, tmp_path_factory: pytest.TempPathFactory) -> str:
    roles: Path = tmp_path_factory.mktemp("roles") / "roles.yml"
    roles.write_text(ROLES)
    of = {"root": "superuser", "boss": "superuser", "svc": "service", "eve": "everyone", "out": "stranger"}
    users = [f"{user}:{PASSWORD}:{role}" for user, role in of.items()]
    return start_nodes(users=users, roles=roles).urls[0]


@pytest.fixture
async def articles(url: str) -> Articles:
    """All of them, in the index `articles`; document-level security needs the licence that a trial gives."""
    client = connect([url], username="root", password=PASSWORD)
    try:
        if (await client.license.get()).body["license"]["type"] != "trial":
            await client.license.post_start_trial(acknowledge=True)
    finally:
        await client.close()
    return await make_articles(url, "articles", count=120, basic_auth=("root", PASSWORD))


@asynccontextmanager
async def articles_opened(url: str) -> AsyncIterator[OpenIndex]:
    engine = ElasticEngine(connect([url], username="svc", password=PASSWORD), analyzer(), {ARTICLES.name: ARTICLES})
    try:
        yield await engine.open("articles")
    finally:
        await engine.close()


def asked(text: str = EVERYTHING, **more: Any) -> RetrieveRequest:
    words = text.split()
    return RetrieveRequest(query=plain_query(text, words), deadline=soon(), **{"top_k": 200, **more})


def visible(articles: Articles) -> set[str]:
    return {doc_id for doc_id, article in articles.items() if "everyone" in article["visible_to"]}


async def test_a_document_that_the_caller_may_not_see_is_in_no_hits_totals_and_facets(
    url: str, articles: Articles
) -> None:
    facets = (TermsFacet(field="visible_to"), TermsFacet(field="tags", size=50))
    async with articles_opened(url) as index:
        hers = await index.retriever.retrieve(asked(facets=facets, caller=EVE, explain=True))
        all_of_them = await index.retriever.retrieve(asked(facets=facets, caller=BOSS))

    found = {each.doc_id for each in hers.ranking}
    counts = [{count.value: count.count for count in facet.counts} for facet in hers.facets]
    assert found
    assert found <= visible(articles)
    assert {each.doc_id for each in all_of_them.ranking} - visible(articles)
    assert hers.total.value == len(found)
    assert counts[0] == {"everyone": len(found), "staff": len(found)}
    assert counts[1] == {
        tag: sum(tag in articles[doc_id]["tags"] for doc_id in found)
        for doc_id in found
        for tag in articles[doc_id]["tags"]
    }


async def test_a_field_that_the_caller_may_not_see_is_in_no_documents_filters_and_facets(
    url: str, articles: Articles
) -> None:
    hidden = (TermsFacet(field="price"), TermsFacet(field="comments.author"))
    async with articles_opened(url) as index:
        shown = await index.retriever.retrieve(asked(facets=hidden, caller=EVE))
        by_price = await index.retriever.retrieve(asked(filters=(Range(field="price", gte=0),), caller=EVE))
        by_author = await index.retriever.retrieve(asked(filters=(Exists(field="comments.author"),), caller=EVE))
        boss = await index.retriever.retrieve(asked(filters=(Range(field="price", gte=0),), caller=BOSS))

    assert [dict(each.source) for each in shown.ranking if {"price", "comments"} & each.source.keys()] == []
    assert [facet.counts for facet in shown.facets] == [(), ()]
    assert (len(by_price.ranking), len(by_author.ranking)) == (0, 0)
    assert all("price" in each.source for each in boss.ranking)


async def test_document_frequencies_count_what_the_caller_may_see(url: str, articles: Articles) -> None:
    async with articles_opened(url) as index:
        hers = await index.statistics.document_frequencies(["python", "网络"], deadline=soon(), caller=EVE)
        found = await index.retriever.retrieve(asked("python", caller=EVE))
        everything = await index.statistics.document_frequencies(["python", "网络"], deadline=soon(), caller=BOSS)

    assert hers.doc_count == len(visible(articles))
    assert hers.df["python"] == len(found.ranking)
    assert all(0 < hers.df[word] < everything.df[word] for word in ("python", "网络"))


async def test_term_statistics_tell_what_the_caller_may_see(url: str, articles: Articles) -> None:
    """Of comments she may see nothing: neither in counts nor in the terms of documents."""
    hidden = next(doc_id for doc_id in articles if doc_id not in visible(articles))
    shown = next(doc_id for doc_id in visible(articles) if articles[doc_id].get("comments"))
    candidates = [Candidate(doc_id=doc_id, score=1.0) for doc_id in (hidden, shown)]
    words = ["python", "网络", "module"]
    async with articles_opened(url) as index:
        of = index.statistics
        hers = await of.tokens(candidates, deadline=soon(), caller=EVE)
        all_of_them = await of.tokens(candidates, deadline=soon(), caller=BOSS)
        held = await of.holding(words, list(articles), deadline=soon(), caller=EVE)
        df = await of.document_frequencies(words, deadline=soon(), caller=EVE)
        pairs = await of.pair_frequencies([(word, word) for word in words], deadline=soon(), caller=EVE)

    assert not hers[0]
    assert hers[1] < all_of_them[1]
    assert all_of_them[0]
    assert {doc_id for doc_id, found in held.items() if found} <= visible(articles)
    assert {word: sum(word in each for each in held.values()) for word in words} == df.df
    assert {one: count for (one, _), count in pairs.items()} == df.df


async def test_pages_hold_what_the_caller_may_see(url: str, articles: Articles) -> None:
    paged: list[str] = []
    async with articles_opened(url) as index:
        view, last = "", False
        while not last:
            page = await index.pages.base(asked(top_k=7, caller=EVE), start=len(paged), view=view)
            paged += [each.doc_id for each in page.candidates]
            view, last = page.view, page.last
        whole = await index.retriever.retrieve(asked(caller=EVE))
        fetched = await index.pages.documents(asked(caller=EVE), list(articles))

    assert sorted(paged) == sorted(each.doc_id for each in whole.ranking)
    assert set(fetched) == visible(articles)
    assert [doc_id for doc_id, each in fetched.items() if {"price", "comments"} & each.source.keys()] == []


WRONG = {
    "wrong password": (caller("eve", "a-secret-word"), Unauthenticated),
    "unknown user": (caller("mallory", "a-secret-word"), Unauthenticated),
    "bad API key": (Caller("ApiKey " + base64.b64encode(b"id-1:a-secret-word").decode()), Unauthenticated),
    "expired token": (Caller("Bearer a-secret-word"), Unauthenticated),
    "no scheme": (Caller("a-secret-word"), Unauthenticated),
    "no right": (caller("out"), Forbidden),
}


@pytest.mark.parametrize(("who", "kind"), WRONG.values(), ids=WRONG.keys())
async def test_credentials_that_do_not_hold_are_told_and_never_repeated(
    url: str, articles: Articles, who: Caller, kind: type[SearchError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with articles_opened(url) as index:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: index.retriever.retrieve(asked(caller=who)),
            lambda: index.statistics.document_frequencies(["python"], deadline=soon(), caller=who),
            lambda: index.statistics.pair_frequencies([("python", "error")], deadline=soon(), caller=who),
            lambda: index.statistics.holding(["python"], ["a-00001"], deadline=soon(), caller=who),
            lambda: index.statistics.tokens([Candidate(doc_id="a-00001", score=1)], deadline=soon(), caller=who),
            lambda: index.pages.base(asked(caller=who), start=0, view=""),
            lambda: index.pages.documents(asked(caller=who), ["a-00001"]),
        ]
        for call in calls:
            with pytest.raises(SearchError) as caught:
                await call()
            assert type(caught.value) is kind
            assert caught.value.hint
            _holds_no_secret(caught.value, who)

    _tells_nothing(caplog.text, who)
    _tells_nothing(repr(asked(caller=who)), who)


async def test_searches_that_succeed_log_no_secret(
    url: str, articles: Articles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with articles_opened(url) as index:
        found = await index.retriever.retrieve(asked(caller=EVE))

    _tells_nothing(caplog.text + repr(found), EVE)


async def test_the_account_of_the_service_needs_read_alone(url: str, articles: Articles) -> None:
    engine = ElasticEngine(connect([url], username="svc", password=PASSWORD), analyzer(), {ARTICLES.name: ARTICLES})
    try:
        assert await engine.names() == ("articles",)
        assert (await engine.open("articles")).schema.problems == ()
        with pytest.raises(UnknownIndex):
            await engine.open("documents")
    finally:
        await engine.close()


def _holds_no_secret(error: BaseException, who: Caller) -> None:
    _tells_nothing("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()), who)
    while (cause := error.__cause__ or error.__context__) is not None:
        _tells_nothing(f"{cause!r} {cause}", who)
        error = cause


def _tells_nothing(text: str, who: Caller) -> None:
    assert who.authorization not in text
    assert who.authorization.rpartition(" ")[2] not in text
    assert "a-secret-word" not in text
