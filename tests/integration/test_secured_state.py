"""Where state goes on a node with security on, by what the account of the service may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.client import connect
from searchsvc.elastic.state import STATE_INDEX, ElasticsearchStateStore
from searchsvc.errors import BackendRejected
from searchsvc.schema import FieldKind, IndexField, IndexSchema
from searchsvc.state.choice import ChosenStateStore
from searchsvc.state.mappings import changes_since
from searchsvc.state.sqlite import FILE, SqliteStateStore
from tests.conftest import StartNodes

pytestmark = [pytest.mark.es, pytest.mark.slow]

SETTINGS = Path(__file__).parent.parent.parent / "docs" / "settings.md"
ROLES = SETTINGS.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
"""The roles as documented."""
READ_ONLY = """
reader:
  indices:
    - {names: ['articles'], privileges: [read]}
"""
PASSWORD = "a-password"
SCHEMA = IndexSchema(fields={"lang": IndexField(name="lang", kind=FieldKind.KEYWORD)})


@pytest.fixture(scope="module")
def url(start_nodes: StartNodes, tmp_path_factory: pytest.TempPathFactory) -> str:
    roles: Path = tmp_path_factory.mktemp("roles") / "roles.yml"
    roles.write_text(ROLES + READ_ONLY)
    users = [f"root:{PASSWORD}:superuser", f"svc:{PASSWORD}:searchsvc", f"ro:{PASSWORD}:reader"]
    return start_nodes(users=users, roles=roles).urls[0]


@asynccontextmanager
async def client_of(url: str, user: str, password: str = PASSWORD) -> AsyncIterator[AsyncElasticsearch]:
    client = connect([url], username=user, password=password)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def chosen(url: str, user: str, folder: Path) -> AsyncIterator[ChosenStateStore]:
    async with client_of(url, user) as client:
        yield ChosenStateStore(ElasticsearchStateStore(client), SqliteStateStore(folder))


async def everything(root: AsyncElasticsearch) -> dict[str, Any]:
    """What the cluster holds of every index, and what was ever done to it."""
    state = await root.cluster.state(metric="metadata", index="*", expand_wildcards="all")
    stats = await root.indices.stats(index="*", metric=["indexing", "refresh", "docs"], expand_wildcards="all")
    counted = {
        name: (each["uuid"], each["primaries"]["indexing"]["index_total"], each["primaries"]["docs"])
        for name, each in stats.body["indices"].items()
    }
    metadata = state.body["metadata"]
    return {"indices": metadata["indices"], "templates": metadata.get("templates"), "counted": counted}


async def test_for_a_read_only_account_state_goes_to_a_file_and_the_cluster_stays_as_it_was(
    url: str, tmp_path: Path
) -> None:
    async with client_of(url, "root") as root:
        await root.index(index="articles", id="1", document={"title": "a title", "lang": "en"}, refresh=True)
        before = await everything(root)
        async with chosen(url, "ro", tmp_path) as store:
            await changes_since(store, "articles", SCHEMA, "articles")
            revision = await store.write("switches", "live", {"expansion": "off"}, expected=None)
            await store.write("switches", "live", {"expansion": "on"}, expected=revision)
            names = await store.names("switches")
        after = await everything(root)

    assert (store.place, names) == ("sqlite", ("live",))
    assert (tmp_path / FILE).exists()
    assert set(before["indices"]) == {"articles"}
    assert after == before


async def test_the_documented_role_keeps_state_on_the_cluster_for_all_replicas(url: str, tmp_path: Path) -> None:
    async with chosen(url, "svc", tmp_path) as one, chosen(url, "svc", tmp_path) as other:
        revision = await one.write("switches", "live", {"expansion": "off"}, expected=None)
        await other.write("switches", "live", {"expansion": "on"}, expected=revision)
        stored = await one.read("switches", "live")
        names = await one.names("switches")

    assert stored is not None
    assert (one.place, other.place, stored.value, names) == (
        "elasticsearch",
        "elasticsearch",
        {"expansion": "on"},
        ("live",),
    )
    assert not (tmp_path / FILE).exists()


async def test_elasticsearch_by_setting_without_the_privilege_names_it(url: str) -> None:
    async with client_of(url, "ro") as client:
        with pytest.raises(BackendRejected, match=f"is unauthorized for user \\[ro\\].*{STATE_INDEX}"):
            await ElasticsearchStateStore(client).write("switches", "live", {}, expected=None)


async def test_wrong_credentials_decide_nothing(url: str, tmp_path: Path) -> None:
    async with client_of(url, "svc", "wrong-one") as client:
        store = ChosenStateStore(ElasticsearchStateStore(client), SqliteStateStore(tmp_path))
        with pytest.raises(BackendRejected, match="unable to authenticate"):
            await store.write("switches", "live", {}, expected=None)

    assert store.place == "undecided"
    assert not (tmp_path / FILE).exists()
