"""The smallest privileges that do, on a node with security on: one role to serve, one to load."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendRejected
from searchsvc.model import AnyOf
from searchsvc.protocols import ExpandRequest
from tests.conftest import StartNodes
from tests.support.elastic import fill, generated, query, soon
from tests.support.embedded import analyzer
from tests.support.requests import wanted

pytestmark = [pytest.mark.es, pytest.mark.slow]

SETTINGS = Path(__file__).parent.parent.parent / "docs" / "settings.md"
ROLES = SETTINGS.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
"""The roles as documented."""
NARROW = """
narrow:
  indices:
    - {names: [documents, '/documents-v1-[0-9]{14}/'], privileges: [read, view_index_metadata]}
"""
"""A role for the documents alone."""
PASSWORD = "a-password"


@pytest.fixture(scope="module")
def url(start_nodes: StartNodes, tmp_path_factory: pytest.TempPathFactory) -> str:
    roles: Path = tmp_path_factory.mktemp("roles") / "roles.yml"
    roles.write_text(ROLES + NARROW)
    users = [
        f"root:{PASSWORD}:superuser",
        f"svc:{PASSWORD}:searchsvc",
        f"loader:{PASSWORD}:searchsvc-index",
        f"narrow:{PASSWORD}:narrow",
    ]
    return start_nodes(users=users, roles=roles).urls[0]


@asynccontextmanager
async def engine_of(url: str, user: str | None, password: str = PASSWORD) -> AsyncIterator[ElasticEngine]:
    client = connect([url], username=user, password=None if user is None else password)
    engine = ElasticEngine(client, analyzer())
    try:
        yield engine
    finally:
        await engine.close()


async def test_one_role_loads_and_publishes_and_another_searches(url: str) -> None:
    async with engine_of(url, "loader") as loader:
        first = await fill(loader, "documents", generated(500))
        made = await loader.admin.create("documents")
        second = await fill(loader, "documents", generated(500, seed=2))
        swapped = await loader.admin.swap("documents")
        states = {each.index: each for each in await loader.admin.status()}
    async with engine_of(url, "svc") as service:
        names = await service.names()
        opened = await service.open("documents")
        filters = (AnyOf(field="lang", values=("zh",)),)
        found = await opened.retriever.retrieve(wanted(query("python 导入"), filters=filters, explain=True))
        page = await opened.pages.base(wanted(query("python 导入"), top_k=10), start=0, view="")
        later = await opened.pages.base(wanted(query("python 导入"), top_k=10), start=10, view=page.view)
        counts = await opened.statistics.document_frequencies(["python"], deadline=soon())
        assert opened.neighbours is not None, opened.no_neighbours
        near = await opened.neighbours.expand(ExpandRequest(user_query="互联网", deadline=soon(), terms=8))

    assert (first.live, second.live, second.index, swapped) == (True, False, made, made)
    assert (states[made].alias, states[made].documents, states[made].complete) == ("documents", 500, True)
    assert names == ("documents",)
    assert opened.physical == made
    assert len(found.ranking) == 10
    assert len({each.doc_id for each in (*page.candidates, *later.candidates)}) == 20
    assert counts.doc_count == 500
    assert "network" in [term.surface for term in near.terms]


async def test_an_account_that_may_not_read_the_words_searches_without_neighbours(url: str) -> None:
    async with engine_of(url, "loader") as loader:
        await fill(loader, "documents", generated(50))
    async with engine_of(url, "narrow") as service:
        opened = await service.open("documents")
        found = await opened.retriever.retrieve(wanted(query("python 导入")))

    assert len(found.ranking) > 0
    assert opened.neighbours is None
    assert "grant it the index privilege read" in opened.no_neighbours


async def test_the_role_that_searches_may_not_write_and_is_told_what_is_missing(url: str) -> None:
    async with engine_of(url, "svc") as service:
        with pytest.raises(BackendRejected, match="is unauthorized for user \\[svc\\]") as caught:
            await service.admin.create("documents")

    assert "create_index" in caught.value.message
    assert "privilege" in caught.value.hint


async def test_an_index_outside_the_role_is_refused(url: str) -> None:
    async with engine_of(url, "svc") as service:
        with pytest.raises(BackendRejected, match="is unauthorized"):
            await service.open("secrets")


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [(None, "", "missing authentication credentials"), ("svc", "wrong-one", r"unable to authenticate user \[svc\]")],
)
async def test_without_credentials_that_hold_nothing_works(
    url: str, user: str | None, password: str, said: str
) -> None:
    async with engine_of(url, user, password) as engine:
        with pytest.raises(BackendRejected, match=said) as caught:
            await engine.names()

    assert "Check the credentials" in caught.value.hint
