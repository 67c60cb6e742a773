"""Views of an index come back from clients inside cursors: a forged one shows nothing that is not for them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from elasticsearch import AsyncElasticsearch

from searchsvc import forms
from searchsvc.account import Account
from searchsvc.cursor import Cursor
from searchsvc.elastic.adopted.retriever import AdoptedPages
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.client import connect
from searchsvc.model import Deadline, SearchRequest
from searchsvc.paging import page_after
from searchsvc.result import SearchResult, Total
from searchsvc.schema import AdoptedIndex, IndexSchema, TextField
from tests.support.adopted import make_articles
from tests.support.elastic import own_name

pytestmark = pytest.mark.es

TEXT = "router 网络"


@pytest.fixture
async def client(es_url: str) -> AsyncIterator[AsyncElasticsearch]:
    client = connect([es_url])
    yield client
    await client.close()


@pytest.fixture
async def alias(es_url: str, client: AsyncElasticsearch) -> AsyncIterator[str]:
    """Of the articles that everyone may see; its index is of the same name without `-open`."""
    index = own_name()
    await make_articles(es_url, index, shards=2, count=60)
    await client.indices.put_alias(index=index, name=f"{index}-open", filter={"term": {"visible_to": "everyone"}})
    yield f"{index}-open"
    await client.indices.delete(index=index)


def pages_of(client: AsyncElasticsearch, target: str) -> AdoptedPages:
    index = AdoptedIndex(
        name="articles", target=target, text_fields=(TextField(name="title"), TextField(name="body")), title="title"
    )
    return AdoptedPages(Searches(client), index, IndexSchema(fields={}))


async def page(pages: AdoptedPages, view: str, size: int = 60) -> SearchResult:
    """What a cursor with an empty window shows from the first place on."""
    cursor = Cursor(fingerprint="", window=(), total=Total(value=10**6, relation="gte"), shown=0, view=view)
    request = SearchRequest(query_id="1", user_query=TEXT, top_k=size, cursor="a cursor")
    query = forms.plain_query(TEXT, TEXT.split())
    account = Account(request, Deadline.after_ms(20_000))
    return await page_after(cursor, pages=pages, query=query, account=account, marks=())


def audiences(result: SearchResult) -> list[list[str]]:
    return [list(hit.candidate.source["visible_to"]) for hit in result.hits]


async def view_of(client: AsyncElasticsearch, target: str) -> str:
    return str((await client.open_point_in_time(index=target, keep_alive="1m"))["id"])


async def test_a_view_of_another_index_shows_nothing_of_it(client, alias) -> None:
    of_the_whole_index = await view_of(client, alias.removesuffix("-open"))
    shown = audiences(await page(pages_of(client, alias), of_the_whole_index))

    assert len(shown) > 10
    assert all("everyone" in each for each in shown)


async def test_a_view_of_an_alias_whose_filter_was_rewritten_shows_nothing_more(client, alias) -> None:
    view = base64.urlsafe_b64decode(await view_of(client, alias))
    rewritten = view.replace(b"\x08everyone", b"\x05staff")  # a string after its length
    assert rewritten != view
    shown = audiences(await page(pages_of(client, alias), base64.urlsafe_b64encode(rewritten).decode()))

    assert len(shown) > 10
    assert all("everyone" in each for each in shown)


async def test_a_document_that_is_taken_from_the_alias_between_pages_is_shown_no_more(client, alias) -> None:
    pages = pages_of(client, alias)
    whole = await page(pages, "", 60)
    index, last = alias.removesuffix("-open"), whole.hits[-1].candidate.doc_id
    view = await view_of(client, alias)
    await client.update(index=index, id=last, doc={"visible_to": ["staff"]}, refresh=True)
    later = await page(pages, view, 60)

    assert [hit.candidate.doc_id for hit in later.hits] == [hit.candidate.doc_id for hit in whole.hits][:-1]
