"""Health, info, and the description of the API."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import httpx

from searchsvc import __version__
from searchsvc.api.wire import IndexReply
from searchsvc.errors import UnknownIndex
from searchsvc.protocols import OpenIndex
from searchsvc.schema import FieldKind, IndexField, IndexSchema
from searchsvc.service import SearchService
from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime
from tests.api.conftest import asking
from tests.api.test_search import assert_problem


async def test_the_process_is_alive(client: httpx.AsyncClient) -> None:
    reply = await client.get("/livez")

    assert reply.status_code == 200


async def test_ready_with_an_index(client: httpx.AsyncClient) -> None:
    reply = await client.get("/readyz")

    assert reply.json() == {"status": "ready", "indices": ["documents"]}


async def test_not_ready_without_one(tmp_path: Path) -> None:
    async with open_runtime(Settings(data_dir=tmp_path)) as runtime, asking(runtime) as client:
        assert (await client.get("/livez")).status_code == 200
        assert_problem(await client.get("/readyz"), 503)
        assert_problem(await client.post("/v1/search", json={"query": "a"}), 404, "/index")


async def test_info_says_what_runs(client: httpx.AsyncClient) -> None:
    info = (await client.get("/info")).json()

    assert info["version"] == __version__
    assert info["engine"] == "embedded"
    assert info["reranker"] == {"kind": "embedded", "model": "use-multilingual-v3"}
    assert info["limits"] == {"query_characters": 8192, "depth": 200}


async def test_info_holds_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        expander={"url": "http://127.0.0.1:9/v1?key=my-secret", "api_key": "sk-very-secret"},
        reranker={"url": "http://127.0.0.1:9", "api_key": "sk-also-secret"},
    )
    async with open_runtime(settings) as runtime, asking(runtime) as client:
        text = (await client.get("/info")).text

    assert "secret" not in text
    assert "http://127.0.0.1:9/v1" in text


async def test_the_description_is_openapi_3_1(client: httpx.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()

    assert description["openapi"].startswith("3.1")
    operation = description["paths"]["/v1/search"]["post"]
    assert {"200", "400", "404", "422", "502", "503", "504"} <= set(operation["responses"])
    problem = operation["responses"]["422"]["content"]
    assert list(problem) == ["application/problem+json"]
    assert {"type", "title", "status", "detail"} <= set(problem["application/problem+json"]["schema"]["required"])
    assert "#/$defs" not in json.dumps(description)


async def test_every_error_is_described_as_a_problem(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    replies = [
        each for path in paths.values() for operation in path.values() for each in operation["responses"].items()
    ]

    assert {tuple(reply["content"]) for status, reply in replies if not status.startswith("2")} == {
        ("application/problem+json",)
    }


async def test_unknown_routes_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nope"), 404)
    reply = await client.get("/v1/search")
    assert_problem(reply, 405)
    assert reply.headers["allow"] == "POST"


async def test_an_index_tells_what_may_be_filtered_counted_and_sorted(client: httpx.AsyncClient) -> None:
    reply = (await client.get("/v1/indices/documents")).json()

    IndexReply.model_validate(reply)
    assert (reply["name"], reply["kind"], reply["returned"], reply["problems"]) == ("documents", "managed", None, [])
    fields = {field["name"]: field for field in reply["fields"]}
    assert fields["tags"] == {
        "name": "tags",
        "kind": "keyword",
        "nested": None,
        "filter": True,
        "facet": True,
        "sort": False,
    }
    for name, field in fields.items():
        body = {"query": "a", "facets": [name] if field["facet"] else [], "sort": [name] if field["sort"] else []}
        assert (await client.post("/v1/search", json=body)).status_code == 200


class _Adopted:
    """An engine with one index that others made."""

    async def open(self, name: str) -> OpenIndex:
        if name != "logs-*":
            raise UnknownIndex(f"There is no index {name!r}.", hint="Make it.")
        author = IndexField(name="comments.author", kind=FieldKind.KEYWORD, nested="comments")
        schema = IndexSchema(fields={author.name: author}, returned=("title",), problems=("The field body is gone.",))
        return OpenIndex(physical="logs-1", retriever=None, statistics=None, pages=None, schema=schema, as_written=True)

    async def names(self) -> tuple[str, ...]:
        return ("logs-*",)


async def test_an_adopted_index_tells_what_comes_back_and_what_has_gone(data_dir: Path) -> None:
    service = SearchService(_Adopted(), assemble=lambda _: None)
    async with (
        open_runtime(Settings(data_dir=data_dir)) as runtime,
        asking(dataclasses.replace(runtime, service=service)) as client,
    ):
        reply = (await client.get("/v1/indices/logs-%2A")).json()
        unknown = assert_problem(await client.get("/v1/indices/logs"), 404)

    assert reply == {
        "name": "logs-*",
        "kind": "adopted",
        "fields": [
            {
                "name": "comments.author",
                "kind": "keyword",
                "nested": "comments",
                "filter": True,
                "facet": False,
                "sort": False,
            }
        ],
        "returned": ["title"],
        "problems": ["The field body is gone."],
    }
    assert unknown["errors"] == []
    assert "logs-*" in unknown["next_step"]


async def test_an_unknown_index_is_named(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.get("/v1/indices/%00%F0%9F%92%A5"), 404)

    assert problem["errors"] == []
