"""`searchsvc expand`: what a query is expanded with; with --queries what a chat model says to many, recorded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from searchsvc.api.expand import to_expand_reply
from searchsvc.cli.common import EngineName, Json, out, print_json, settings, talk
from searchsvc.cli.evaluate_plan import pace_of
from searchsvc.cli.expand_batch import Batch, record_queries
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.recording import ASKING
from searchsvc.methods import parse_methods
from searchsvc.model import DEFAULT_INDEX, ExpansionOptions, MethodShare, Mode, SearchRequest, Wait
from searchsvc.policy.rules import Decision, decide
from searchsvc.result import ExpansionTerm, SearchResult, Stage, StageStatus, StageTrace
from searchsvc.settings import Settings
from searchsvc.terminal import printable
from searchsvc.wiring import open_runtime

_WHOLE = 110
"""Columns of a terminal that all columns of the table need to be read."""
_LONGEST_REASON = len("beyond the limit of 30")


def expand(
    query: str | None = None,
    /,
    *,
    index: str = DEFAULT_INDEX,
    method: str | None = None,
    prompt: str | None = None,
    queries: Path | None = None,
    record: Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_tokens: int | None = None,
    timeout_ms: int = 60_000,
    engine: EngineName | None = None,
    json: Json = False,
) -> None:
    """Show what a query is expanded with: every term, its weight, its document frequency, kept or dropped and why.

    With --queries and --record: ask the chat model about every query of a file and keep what it says, so that
    comparisons cost no call: searchsvc evaluate --variant x:expansion=recorded,expansion.file=OUT. What is recorded
    already is not asked again; Ctrl-C keeps what is done.

    Parameters
    ----------
    query
        The query to expand.
    index
        The published name of the index whose terms count.
    method
        llm, neighbours, prf, dictionary, or several: llm+dictionary*0.5. Without it that of the index; with --prompt
        it is llm.
    prompt
        Id or name of the prompt of the method llm.
    queries
        In place of a query: file of queries, in any format that searchsvc evaluate --queries reads.
    record
        With --queries: file of recorded expansions, JSON lines, to be added to.
    rpm
        With --queries: calls a minute of the chat model, at most.
    tpm
        With --queries: tokens a minute of the chat model, at most.
    max_tokens
        With --queries: tokens of the chat model in all; where they are used up, what is done is told.
    timeout_ms
        For one query.
    engine
        embedded, or elasticsearch.

    """
    shares = _shares(method, prompt)
    _check_together(query, {"--queries": queries, "--record": record}, {"--rpm": rpm, "--tpm": tpm}, max_tokens)
    if queries is not None and record is not None:
        _check_asks(shares)
        pace = pace_of(rpm, tpm, max_tokens)
        batch = Batch(
            queries=queries, record=record, index=index, prompt=prompt, pace=pace, timeout_ms=timeout_ms, json=json
        )
        record_queries(batch, settings(engine=engine))
    elif query is not None:
        options = ExpansionOptions(mode=Mode.ON, methods=shares, prompt=prompt, wait=Wait.COMPLETE)
        request = SearchRequest(
            query_id="expand", user_query=query, index=index, expansion=options, timeout_ms=timeout_ms
        )
        _show(asyncio.run(_expanded(request, settings(engine=engine))), decide(query), json=json)


def _shares(method: str | None, prompt: str | None) -> tuple[MethodShare, ...]:
    """The methods that are named; none means those of the index. Raises SearchError."""
    if method is None:
        return () if prompt is None else (MethodShare(name=ASKING),)
    shares = parse_methods(method)
    if prompt is not None and ASKING not in {share.name for share in shares}:
        raise ConfigurationError(f"--prompt goes with the method {ASKING}, not with {method}.")
    return shares


def _check_together(
    query: str | None, batch: Mapping[str, Any], limits: Mapping[str, Any], max_tokens: int | None
) -> None:
    """Raises ConfigurationError for options that do not go together."""
    given = [name for name, value in batch.items() if value is not None]
    if query is None and not given:
        raise ConfigurationError("Nothing is named to be expanded.", hint="Name a query, or --queries and --record.")
    if query is not None and given:
        raise ConfigurationError(f"A query and {given[0]} exclude each other.")
    if given and len(given) < len(batch):
        missing = next(name for name, value in batch.items() if value is None)
        raise ConfigurationError(
            f"{given[0]} needs {missing}.",
            hint="--queries FILE --record OUT.jsonl asks about many and keeps the answers.",
        )
    pacing = [name for name, value in {**limits, "--max-tokens": max_tokens}.items() if value is not None]
    if query is not None and pacing:
        raise ConfigurationError(f"{pacing[0]} goes with --queries, not with one query.")


def _check_asks(shares: Iterable[MethodShare]) -> None:
    """Raises ConfigurationError for a method whose terms cost nothing to find again."""
    for share in shares:
        if share.name != ASKING:
            raise ConfigurationError(
                f"--record keeps what a chat model says, and the method {share.name!r} asks none.",
                hint=f"Without --method it is {ASKING}; the others cost no call and are run again.",
            )


async def _expanded(request: SearchRequest, settings: Settings) -> SearchResult:
    async with open_runtime(settings) as runtime:
        return await runtime.service.expand(request)


def _show(result: SearchResult, decision: Decision, *, json: bool) -> None:
    """Exits with status 1 where every method failed."""
    (trace,) = (trace for trace in result.stages if trace.stage is Stage.EXPAND)
    if json:
        print_json({**to_expand_reply(result), "auto": {"expand": decision.expand, "reason": decision.reason}})
    else:
        _print(result, trace, decision)
    if trace.status is not StageStatus.OK and not result.expansion.expansions:
        sys.exit(1)


def _print(result: SearchResult, trace: StageTrace, decision: Decision) -> None:
    console, account = out(), result.expansion
    auto = "no rule speaks against it" if decision.expand else f"would leave it as it is: {decision.reason}"
    lines = [f"query     {result.user_query}", f"expanded  {result.expanded_query or f'no ({account.reason})'}"]
    lines.append(f"auto      {auto}")
    if account.explanation:
        lines.append(f"form      {account.explanation}")
    lines.extend(f"method    {_method_line(facts)}" for facts in _methods(trace))
    for line in lines:
        console.print(escape(printable(line)))
    if account.terms:
        console.print(table_of(account.terms, width=console.width if console.is_terminal else None))
    for facts in _methods(trace):
        if "message" in facts:
            talk().print(f"[yellow]{escape(printable(facts['message']))}[/]")


def _methods(trace: StageTrace) -> list[dict[str, Any]]:
    """The facts of each method that ran, in one shape."""
    if "method" not in trace.detail:
        return [{"message": trace.message}] if trace.message else []
    if "methods" in trace.detail:
        return list(trace.detail["methods"])
    told = {"message": trace.message} if trace.message else {}
    return [{**trace.detail, "status": str(trace.status), "took_ms": trace.took_ms, **told}]


def _method_line(facts: Mapping[str, Any]) -> str:
    if "method" not in facts:
        return "none"
    parts = [f"{facts['method']} {facts['status']}", f"{facts['took_ms']:.0f} ms"]
    if "proposed" in facts:
        parts.append(f"{facts['proposed']} terms proposed")
    if "prompt" in facts:
        parts.append(f"prompt {facts['prompt']}")
    for call in facts.get("calls", ()):
        tokens = (call["input_tokens"], call["output_tokens"])
        parts.append(f"{call['model']}, {' + '.join('?' if count is None else str(count) for count in tokens)} tokens")
    if facts.get("completion") == "cache":
        parts.append(f"{facts['model']}, from the cache")
    return ", ".join(parts)


def table_of(terms: Iterable[ExpansionTerm], *, width: int | None) -> Table:
    """A row for each term: kept ones by falling weight, then the dropped ones as they were proposed.

    `width` is that of the terminal, in columns; None cuts nothing. On a narrow terminal source texts and words are
    cut, never weights, frequencies and reasons; the index's form of a word is left out, for its surface tells it.
    """
    narrow = width is not None and width < _WHOLE
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in ("surface",) if narrow else ("term", "surface"):
        table.add_column(column, no_wrap=width is None)
    table.add_column("source", no_wrap=True, min_width=6)
    table.add_column("source text", no_wrap=width is None)
    table.add_column("weight", justify="right", no_wrap=True, min_width=6)
    table.add_column("df", justify="right", no_wrap=True, min_width=4)
    table.add_column("kept, or why not", no_wrap=True, min_width=_LONGEST_REASON)
    for term in sorted(terms, key=lambda term: (not term.kept, -term.weight)):
        surface = term.surface or term.term
        words = (surface,) if narrow else (term.term, surface)
        table.add_row(
            *(_cut(word) for word in (*words, term.source, term.source_text)),
            f"{term.weight:.4f}" if term.kept else "",
            f"{term.df:,}",
            "kept" if term.kept else escape(term.reason),
            style="" if term.kept else "dim",
        )
    return table


def _cut(word: str) -> Text:
    """A cell that is cut where its column is narrower, and never takes a second line."""
    return Text(printable(word), no_wrap=True, overflow="ellipsis")
