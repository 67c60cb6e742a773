"""`searchsvc index adopt` in front of a real Elasticsearch: what it proposes, shows, writes, and refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from searchsvc.cli import main
from searchsvc.settings import load_settings
from searchsvc.wiring import open_runtime
from tests.support.adopted import make_articles
from tests.support.elastic import own_name, raw_client

pytestmark = pytest.mark.es

PASSWORD = "a-password"
ROLES = """
reader:
  indices:
    - {names: ['t-*'], privileges: [read]}
adopter:
  indices:
    - {names: ['t-*'], privileges: [read, view_index_metadata]}
blind:
  indices:
    - {names: ['t-*'], privileges: [view_index_metadata]}
"""
SEVERAL = {"title": "A title of the first", "body": "网络不通怎么办 and some words"}


@pytest.fixture(scope="module")
def articles(es_url: str) -> Iterator[str]:
    name = own_name()
    asyncio.run(make_articles(es_url, name))
    yield name
    delete(es_url, name)


@pytest.fixture
def file(es_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", es_url)
    return tmp_path / "searchsvc.toml"


def delete(url: str, *names: str) -> None:
    async def run() -> None:
        async with raw_client(url) as client:
            await client.indices.delete(index=list(names), ignore_unavailable=True)

    asyncio.run(run())


@pytest.fixture
def make(es_url: str) -> Iterator[Any]:
    """Makes an index of one's own with a mapping and documents; returns its name."""
    made: list[str] = []

    def make(mappings: dict[str, Any], *documents: dict[str, Any], name: str | None = None, **options: Any) -> str:
        name = own_name() if name is None else name
        made.append(name)

        async def run() -> None:
            async with raw_client(es_url) as client:
                await client.indices.create(index=name, mappings=mappings, **options)
                for document in documents:
                    await client.index(index=name, document=document, routing="r", refresh=True)

        asyncio.run(run())
        return name

    yield make
    delete(es_url, *made)


def adopt(capsys: pytest.CaptureFixture[str], *tokens: str) -> Any:
    main(["index", "adopt", *tokens, "--json"])
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *tokens: str, status: int = 2) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["index", "adopt", *tokens])
    assert caught.value.code == status
    return " ".join(capsys.readouterr().err.split())


def test_the_table_is_written_with_its_header_alone_on_a_line_and_loads(file, articles, capsys):
    found = adopt(capsys, articles)

    assert f"[indices.{articles}]" in file.read_text("utf-8").splitlines()
    assert found["table"] == {
        "text_fields": ["title^3", "body", "comments.text^0.5"],
        "nested": ["comments"],
        "id": "_id",
        "title": "title",
        "snippet": "body",
        "returned": ["title", "body", "comments", "lang", "popularity", "price", "published_at", "tags", "url"],
        "filters": [
            *("comments.author", "comments.stars", "lang", "popularity", "price", "published_at", "tags"),
            *("url", "visible_to"),
        ],
        "facets": ["lang", "tags"],
        "rerank_text": ["title", "body"],
        "rerank_characters": found["table"]["rerank_characters"],
    }
    loaded = load_settings()
    assert loaded.settings.engine == "elasticsearch"
    assert loaded.settings.indices[articles].model_dump(exclude_defaults=True, mode="json") == {
        key: value for key, value in found["table"].items() if key != "id"
    }


async def test_what_was_written_can_be_served(file, articles, capsys):
    await asyncio.to_thread(main, ["index", "adopt", articles])

    async with open_runtime(load_settings().settings) as runtime:
        opened = await runtime.engine.open(articles)

    assert opened.schema.problems == ()


def test_people_see_the_fields_and_what_the_analysers_make_of_a_word(file, articles, capsys):
    main(["index", "adopt", articles])

    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    assert f"One index, {articles}; 200 documents looked at." in told.out
    assert ["field", "type", "nested", "filled", "example", "proposed"] in lines
    assert next(line for line in lines if line[:1] == ["comments.stars"])[1:4] == ["integer", "comments", "69%"]
    assert next(line for line in lines if line[:1] == ["title"])[-5:] == [
        "text",
        "^3,",
        "title,",
        "rerank,",
        "returned",
    ]
    assert "standard: 导入 → 导 | 入, python → python  (title, body, comments.text)" in told.out or (
        "standard: 导入 → 导 | 入, python → python  (body, comments.text, title)" in told.out
    )
    assert f"Wrote [indices.{articles}] into {file}." in told.err
    assert told.err.splitlines()[-1].startswith("Next: review the file, then searchsvc serve, or searchsvc search")


def test_nothing_of_the_index_changes(file, articles, es_url):
    async def state() -> Any:
        async with raw_client(es_url) as client:
            described = await client.indices.get(index="*")
            stats = (await client.indices.stats(index=articles, metric=["indexing", "docs"]))["_all"]["primaries"]
            return described.body, stats["docs"], stats["indexing"]["index_total"], stats["indexing"]["delete_total"]

    before = asyncio.run(state())
    main(["index", "adopt", articles])

    assert asyncio.run(state()) == before


def test_what_stands_in_the_file_is_kept_and_a_table_is_not_overwritten(file, articles, capsys):
    mine = b"# mine\r\n[api]\r\nport = 9000 # ours"
    file.write_bytes(mine)
    adopt(capsys, articles)
    once = file.read_bytes()

    assert once.startswith(mine + b"\r\n\r\n[indices.")
    assert f"[indices.{articles}] is there already. Replace it with --force" in refused(capsys, articles)
    assert file.read_bytes() == once

    file.write_bytes(once + b'base_query = \'{"match": {"body": "{{query}}"}}\'\r\n[text]\r\n')
    adopt(capsys, articles, "--force")
    assert file.read_bytes() == once + b'base_query = \'{"match": {"body": "{{query}}"}}\'\r\n[text]\r\n'


def test_a_table_with_another_target_is_adopted_anew_from_that(file, articles, capsys):
    file.write_text(f"[indices.kb]\nindex = '{articles}'\ntext_fields = ['body']\n")

    found = adopt(capsys, "kb", "--force")

    assert found["indices"] == [articles]
    assert load_settings().settings.indices["kb"].index == articles
    assert load_settings().settings.indices["kb"].title == "title"


def test_a_name_of_several_indices_tells_documents_apart_by_both_and_says_where_they_differ(file, make, capsys, es_url):
    stem = own_name()
    text = {"type": "text"}
    make({"properties": {"title": text, "body": text, "n": {"type": "long"}}}, {**SEVERAL, "n": 1}, name=f"{stem}-a")
    make({"properties": {"title": text, "body": text, "n": text}}, {**SEVERAL, "n": "x y"}, name=f"{stem}-b")

    async def alias() -> None:
        async with raw_client(es_url) as client:
            await client.indices.put_alias(index=f"{stem}-*", name=f"{stem}_all")

    asyncio.run(alias())
    by_wildcard = adopt(capsys, f"{stem}-*")
    by_alias = adopt(capsys, f"{stem}_all")

    for found in (by_wildcard, by_alias):
        assert found["indices"] == [f"{stem}-a", f"{stem}-b"]
        assert found["table"]["id"] == "_index/_id"
        assert found["table"]["text_fields"] == ["title^3", "body"]
        assert f"The indices do not agree: n is long in {stem}-a, but text in {stem}-b: left out." in found["notes"]
    assert f'[indices."{stem}-*"]' in file.read_text("utf-8").splitlines()
    assert set(load_settings().settings.indices) == {f"{stem}-*", f"{stem}_all"}


def test_the_engine_of_others_settings_is_told(file, articles, capsys, monkeypatch):
    main(["index", "adopt", articles])
    assert "the engine is elasticsearch, unless you set another" in capsys.readouterr().err

    monkeypatch.setenv("SEARCHSVC_ENGINE", "embedded")
    main(["index", "adopt", articles, "--force"])
    assert "engine is embedded (environment): set it to elasticsearch" in capsys.readouterr().err


def test_fields_of_every_odd_kind(file, make, capsys):
    keyword, text = {"type": "keyword"}, {"type": "text"}
    properties = {
        "title": {
            "type": "text",
            "copy_to": "everything",
            "fields": {"raw": keyword, "en": {**text, "analyzer": "stop"}},
        },
        "body": {"type": "text", "analyzer": "whitespace", "search_analyzer": "simple"},
        "everything": text,
        "heading": {"type": "alias", "path": "title"},
        "vector": {"type": "dense_vector", "dims": 2},
        "file": {"type": "binary"},
        "off": {"type": "object", "enabled": False},
        "name": {"type": "keyword", "fields": {"words": {"type": "text", "analyzer": "simple"}}},
        "meta": {"properties": {"a.b": keyword}},
        "threads": {"type": "nested", "properties": {"posts": {"type": "nested", "properties": {"said": text}}}},
    }
    document = {
        "title": "A title\u001b[31m of it",
        "body": "Words and 网络 and more words",
        "vector": [1, 2],
        "file": "QUJD",
        "off": {"x": 1},
        "name": "Some Name",
        "meta": [{"a": {"b": "k"}}],
        "threads": [{"posts": [{"said": "a reply in words"}]}],
    }
    name = make({"dynamic": "strict", "_routing": {"required": True}, "properties": properties}, document)

    main(["index", "adopt", name])
    shown = capsys.readouterr().out
    found = adopt(capsys, name, "--force")

    assert "\u001b" not in shown + json.dumps(found["fields"], ensure_ascii=False)
    assert found["table"]["text_fields"] == ["title^3", "name.words^3", "body", "threads.posts.said^0.5"]
    assert found["table"]["nested"] == ["threads", "threads.posts"]
    assert found["table"]["returned"] == ["title", "body", "meta.a.b", "name", "threads"]
    assert found["table"]["filters"] == ["meta.a.b", "name", "title.raw"]
    assert found["tokens"]["body"]["网络"] == ["网络"]
    assert found["tokens"]["title"]["网络"] == ["网", "络"]
    assert found["tokens"]["threads.posts.said"]["网络"] == ["网", "络"]
    assert found["tokens"]["name.words"]["网络"] == ["网络"]


def test_a_mapping_of_more_than_a_thousand_fields(file, make, capsys):
    properties = {f"f{number}": {"type": "text"} for number in range(1200)}
    name = make(
        {"properties": properties},
        {f"f{number}": f"some words {number}" for number in range(1200)},
        settings={"index.mapping.total_fields.limit": 2000},
    )

    main(["index", "adopt", name])

    told = capsys.readouterr()
    assert len(told.out.splitlines()) < 80
    assert "more fields have no role." in told.out
    assert "Of 1200 text fields the 10 likeliest are searched." in told.err
    assert len(load_settings().settings.indices[name].text_fields) == 10


def test_an_index_without_documents_is_proposed_from_its_mapping(file, make, capsys):
    name = make({"properties": {"title": {"type": "text"}, "tags": {"type": "keyword"}}})

    found = adopt(capsys, name)

    assert found["sampled"] == 0
    assert found["table"]["filters"] == ["tags"]
    assert "no document yet" in found["notes"][0]


@pytest.mark.parametrize(
    ("mappings", "told"),
    [
        ({}, "cannot be adopted. The index has no fields yet"),
        ({"properties": {"a": {"type": "keyword"}}}, "The index has no text field, only keyword"),
        ({"_source": {"enabled": False}, "properties": {"a": {"type": "text"}}}, "does not keep its documents"),
        ({"_meta": {"product": "searchsvc"}, "properties": {"a": {"type": "text"}}}, "needs no adopting"),
    ],
)
def test_what_cannot_be_adopted_is_told_and_nothing_is_written(file, make, capsys, mappings, told):
    name = make(mappings)

    assert told in refused(capsys, name)
    assert not file.exists()


def test_a_closed_index_is_told(file, make, capsys, es_url):
    name = make({"properties": {"a": {"type": "text"}}})

    async def close() -> None:
        async with raw_client(es_url) as client:
            await client.indices.close(index=name)

    asyncio.run(close())

    assert "is closed" in refused(capsys, name, status=1)
    assert not file.exists()


def test_an_unknown_name_is_told_with_the_nearest_right_one(file, articles, capsys):
    assert f"Did you mean {articles}?" in refused(capsys, articles[:-1])
    assert f"no index, alias or data stream '{articles}-x*'" in refused(capsys, f"{articles}-x*")


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "a\nb"])
def test_what_is_no_name_is_refused(file, capsys, name):
    assert "is no name of an index" in refused(capsys, name)


@pytest.mark.parametrize("text", ["engine =", "indices = {a = {text_fields = ['b']}}\n"])
def test_a_file_that_takes_no_table_is_refused_and_left(file, articles, capsys, text):
    file.write_text(text)

    told = refused(capsys, articles)

    assert "is not TOML" in told or "write each index as a table of its own" in told.lower()
    assert file.read_text() == text


def test_no_server_is_told_and_nothing_is_written(file, capsys, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", "http://127.0.0.1:1")

    assert "no connection to Elasticsearch" in refused(capsys, "articles", status=1)
    assert not file.exists()


@pytest.fixture(scope="module")
def secured(start_nodes, tmp_path_factory) -> str:
    roles = tmp_path_factory.mktemp("roles") / "roles.yml"
    roles.write_text(ROLES)
    users = ["root:superuser", "reader:reader", "adopter:adopter", "blind:blind"]
    named = [f"{user.partition(':')[0]}:{PASSWORD}:{user.partition(':')[2]}" for user in users]
    url = start_nodes(users=named, roles=roles).urls[0]
    asyncio.run(make_articles(url, "t-articles", basic_auth=("root", PASSWORD)))
    return str(url)


@pytest.fixture
def as_user(file, secured, monkeypatch):
    def log_in(user: str, password: str = PASSWORD) -> None:
        monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__URL", secured)
        monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__USERNAME", user)
        monkeypatch.setenv("SEARCHSVC_ELASTICSEARCH__PASSWORD", password)

    return log_in


@pytest.mark.slow
def test_read_and_view_index_metadata_suffice(as_user, capsys):
    as_user("adopter")

    found = adopt(capsys, "t-articles")

    assert found["sampled"] == 200
    assert found["tokens"]["comments.text"]["导入"] == ["导", "入"]


@pytest.mark.slow
@pytest.mark.parametrize(("user", "privilege"), [("reader", "view_index_metadata"), ("blind", "read")])
def test_a_privilege_that_is_missing_is_named_with_what_to_grant(as_user, file, capsys, user, privilege):
    as_user(user)

    told = refused(capsys, "t-articles")

    assert f"this account lacks the index privilege {privilege}." in told
    assert "names: ['t-articles'], privileges: [read, view_index_metadata]" in told
    assert not file.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["secrets", "t-article"])
def test_a_name_that_the_account_may_not_see_gets_the_nearest_that_it_may(as_user, capsys, name):
    as_user("adopter")

    told = refused(capsys, name)

    assert f"There is no index, alias or data stream '{name}' that this account may see." in told
    assert "t-articles" in told


@pytest.mark.slow
def test_wrong_credentials_are_told(as_user, capsys):
    as_user("adopter", "another-password")

    assert "unable to authenticate user" in refused(capsys, "t-articles", status=1)
