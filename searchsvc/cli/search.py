"""`searchsvc search`: one query from the command line, through the real pipeline."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from cyclopts import Parameter
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from searchsvc.api.convert import to_reply, to_request
from searchsvc.api.wire import SearchBody
from searchsvc.checks import MAX_DEPTH
from searchsvc.cli.common import EngineName, Json, out, print_json, settings, talk
from searchsvc.errors import InvalidRequest
from searchsvc.model import Explanation
from searchsvc.result import FacetCounts, RankedCandidate, SearchResult, StageStatus
from searchsvc.terminal import printable
from searchsvc.wiring import open_runtime


def search(
    query: str,
    *,
    index: str = "documents",
    size: int = 10,
    expansion: str = "auto",
    rerank: str = "on",
    filter_: Annotated[list[str] | None, Parameter(name="--filter", negative=())] = None,
    facets: Annotated[list[str] | None, Parameter(negative=())] = None,
    explain: bool = False,
    timeout_ms: int = 10_000,
    engine: EngineName | None = None,
    json: Json = False,
) -> None:
    """Search one index.

    Parameters
    ----------
    query
        What to search for.
    index
        The published name.
    size
        How many documents to show; as many candidates are reranked, at least 50.
    expansion
        off, on, auto, shadow, a method's name, or several: llm+dictionary*0.5.
    rerank
        off, or on.
    filter_
        FIELD=VALUE, where the value is a word or, as in the API, JSON: price={"gte":5}. May be repeated.
    facets
        A field whose most frequent values are counted. May be repeated.
    explain
        Show what every score was made of.
    timeout_ms
        For the whole search.
    engine
        embedded, or elasticsearch.

    """
    body = {
        "query": query,
        "index": index,
        "size": size,
        "expansion": expansion,
        "rerank": {"mode": rerank, "depth": max(50, min(size, MAX_DEPTH))},
        "filters": _filters(filter_ or ()),
        "facets": facets or [],
        "explain": explain,
        "timeout_ms": timeout_ms,
    }
    result = asyncio.run(_search(_checked(body), engine))
    if json:
        print_json(to_reply(result))
        return
    _print(result)


def _filters(written: Sequence[str]) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    for each in written:
        field, sign, value = each.partition("=")
        if not (field and sign) or field in filters:
            raise InvalidRequest(
                f"--filter {each}: {'the field comes twice' if field in filters else 'not FIELD=VALUE'}.",
                pointer="/filters",
                hint='Write lang=en, or for several values lang=["en","zh"].',
            )
        try:
            filters[field] = orjson.loads(value)
        except orjson.JSONDecodeError:
            filters[field] = value
    return filters


def _checked(body: dict[str, Any]) -> SearchBody:
    try:
        return SearchBody.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidRequest(f"{name}: {first['msg']}.", pointer=f"/{name}") from None


async def _search(body: SearchBody, engine: EngineName | None) -> SearchResult:
    async with open_runtime(settings(engine=engine)) as runtime:
        return await runtime.service.search(to_request(body))


def _print(result: SearchResult) -> None:
    console = out()
    for line in heading(result):
        console.print(escape(printable(line)))
    console.print(hit_table(result.hits) if result.hits else "No document matches.")
    for facet in result.facets:
        console.print(_facet_table(facet))
    for hit in result.hits:
        if hit.explanation is not None:
            console.print(_grown(Tree(escape(printable(hit.candidate.doc_id))), hit.explanation))
    for trace in result.stages:
        if trace.status in (StageStatus.DEGRADED, StageStatus.PENDING):
            talk().print(f"[yellow]{trace.status}[/] {trace.stage}: {trace.reason} {escape(trace.message)}")


def _facet_table(facet: FacetCounts) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column(escape(printable(facet.field)), no_wrap=True)
    table.add_column("documents", justify="right")
    for each in facet.counts:
        table.add_row(escape(printable(str(each.value))), str(each.count))
    if facet.other:
        table.add_row("(others)", str(facet.other))
    return table


def _grown(tree: Tree, explanation: Explanation) -> Tree:
    branch = tree.add(f"{explanation.value:.4f}  {escape(printable(explanation.description))}")
    for detail in explanation.details:
        _grown(branch, detail)
    return tree


def heading(result: SearchResult) -> list[str]:
    """The query, what became of it, and how many documents match."""
    account = result.expansion
    lines = [f"query     {result.user_query}"]
    if result.expanded_query is not None:
        lines.append(f"expanded  {result.expanded_query}")
    else:
        lines.append(f"expanded  no ({account.reason})")
    sign = "" if result.total.relation == "eq" else "≥ "
    times = ", ".join(f"{trace.stage} {trace.status} {trace.took_ms:.0f} ms" for trace in result.stages)
    lines.append(f"{sign}{result.total.value} documents match; {times}")
    return lines


def hit_table(hits: tuple[RankedCandidate, ...]) -> Table:
    """One line a document: its rank and score in every stage, its whole id, and as much of its title as fits."""
    table = Table(box=None, padding=(0, 1), header_style="bold", expand=sys.stdout.isatty())
    for column, width in (("rank", 4), ("retrieval", 11), ("score", 13), ("move", 4)):
        table.add_column(column, justify="right", no_wrap=True, width=width)
    longest = max((len(hit.candidate.doc_id) for hit in hits), default=0)
    table.add_column("document", no_wrap=True, min_width=longest)
    table.add_column("title", overflow="ellipsis", no_wrap=True, ratio=1)
    for hit in hits:
        title = hit.candidate.title or hit.candidate.text[:80]
        table.add_row(str(hit.rank), *_stages(hit), escape(printable(hit.candidate.doc_id)), escape(printable(title)))
    return table


def _stages(hit: RankedCandidate) -> tuple[str, str, str]:
    before = "-" if hit.retrieval is None else f"{hit.retrieval.rank:>2} ({hit.retrieval.score:.2f})"
    reranked = f"{hit.score:.3f} {hit.score_kind}"
    move = "new" if hit.movement is None else f"{hit.movement:+d}" if hit.movement else "="
    return before, reranked, move
