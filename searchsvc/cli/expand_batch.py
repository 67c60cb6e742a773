"""`searchsvc expand --queries FILE --record OUT`: what a chat model says to many queries, kept for comparisons."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape

from searchsvc.cli.common import out, print_json, progress, talk
from searchsvc.cli.variant_runs import meter_of
from searchsvc.errors import ConfigurationError, Reason, SearchError
from searchsvc.evaluation.paced import expected, paced
from searchsvc.evaluation.queries import read_queries
from searchsvc.evaluation.recording import ASKING, Recording
from searchsvc.evaluation.runner import Search, Tokens
from searchsvc.evaluation.variants import Variant, parse_variant
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.expansion.prompts import DEFAULT_PROMPT, find_prompt, language_of
from searchsvc.model import Deadline, Wait
from searchsvc.result import SearchResult, Stage, StageStatus
from searchsvc.settings import Settings
from searchsvc.terminal import printable
from searchsvc.wiring import open_runtime

_FOR_ALL = (
    Reason.REJECTED,
    Reason.EXTERNAL_FORBIDDEN,
    Reason.QUOTA_EXCEEDED,
    Reason.CIRCUIT_OPEN,
    Reason.NOT_CONFIGURED,
)
"""What stops one query stops them all."""
_TOLD = 10
"""How many failures are told one by one; the others are counted."""


class Stopped(SearchError):
    """The model answers nobody now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is to be recorded, and how."""

    queries: Path
    record: Path
    index: str
    prompt: str | None
    """None: that of the settings."""
    pace: Pace
    timeout_ms: int
    """For one query."""
    json: bool


@dataclass(slots=True, kw_only=True)
class _Course:
    """How far it came."""

    queries: Mapping[str, str]
    recording: Recording
    there: int = 0
    """Queries that were recorded before."""
    model: str = ""
    expected_tokens: int = 0
    spent: Tokens = field(default_factory=Tokens)
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by query id."""
    stopped: str = ""

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "file": str(self.recording.path),
            "model": self.model,
            "queries": len(self.queries),
            "recorded": self.recording.added,
            "recorded_before": self.there,
            "failed": [{"query_id": query_id, "message": why} for query_id, why in self.failed.items()],
            "stopped": self.stopped or None,
            "expected_tokens": self.expected_tokens,
            "calls": self.spent.calls,
            "input_tokens": self.spent.input,
            "output_tokens": self.spent.output,
        }


def record_queries(batch: Batch, settings: Settings) -> None:
    """Ask for every query that the file does not have, tell how far it came.

    Raises SearchError, and KeyboardInterrupt, after what was done has been told: a rerun goes on from there. Exits
    with status 1 where the file has none of the queries then.
    """
    queries = read_queries(batch.queries)
    with Recording(batch.record) as recording:
        course = _Course(queries=queries, recording=recording)
        try:
            asyncio.run(_run(batch, settings, course))
        except KeyboardInterrupt:
            course.stopped = "interrupted"
            raise
        except SearchError as error:
            course.stopped = error.message
            raise
        finally:
            if course.model:
                _tell(course, batch)
        if course.failed and not course.there + recording.added:
            sys.exit(1)


async def _run(batch: Batch, settings: Settings, course: _Course) -> None:
    async with open_runtime(settings) as runtime:
        meter = meter_of(runtime)
        if runtime.chat is None or meter is None:
            raise ConfigurationError(
                "There is nothing to record: no chat model is configured.", hint="Set expander.url."
            )
        prompt = batch.prompt or settings.expander.prompt or DEFAULT_PROMPT
        find_prompt(prompt, "en")
        await runtime.service.opened(batch.index)
        course.model = await runtime.chat.model(Deadline.after_ms(batch.timeout_ms))
        missing = _missing(course, prompt)
        course.there = len(course.queries) - len(missing)
        if not missing:
            return
        variant = parse_variant(
            f"record:expansion={ASKING},expansion.prompt={prompt},expansion.wait={Wait.COMPLETE},timeout_ms={batch.timeout_ms}"
        )
        to_ask = expected([variant], missing, default_prompt=None, each_its_own=False)
        course.expected_tokens = to_ask.tokens
        talk().print(
            f"{len(missing):,} of {len(course.queries):,} queries are not recorded; asks {escape(course.model)} up to"
            f" {to_ask.calls:,} times, about {to_ask.tokens:,} tokens"
        )
        search = paced(runtime.service.expand, batch.pace, to_ask.tokens_a_call, meter)
        try:
            await _ask(course.recording.heard(search, asked=course.model), variant, missing, course, index=batch.index)
        finally:
            course.spent = meter()


def _missing(course: _Course, prompt: str) -> dict[str, str]:
    """The queries that this model has not been asked with this prompt. Raises InvalidRequest for a prompt unknown."""

    def there(query_id: str, user_query: str) -> bool:
        prompt_id = find_prompt(prompt, language_of(user_query)).id
        return course.recording.has(query_id, user_query, prompt=prompt_id, model=course.model)

    return {query_id: text for query_id, text in course.queries.items() if not there(query_id, text)}


async def _ask(search: Search, variant: Variant, queries: Mapping[str, str], course: _Course, *, index: str) -> None:
    """One query after the other. Raises Stopped, BudgetSpent."""
    with progress() as bar:
        for query_id, user_query in bar.track(queries.items(), description="asking"):
            result = await search(variant.request(query_id, user_query, index=index, depth=1))
            _note(course, query_id, result)


def _note(course: _Course, query_id: str, result: SearchResult) -> None:
    """What failed. Raises Stopped where the next query would fail in the same way."""
    (trace,) = (trace for trace in result.stages if trace.stage is Stage.EXPAND)
    if trace.status is StageStatus.OK and trace.detail.get("text"):
        return
    why = trace.message or str(trace.detail.get("nothing") or trace.reason)
    if trace.reason in _FOR_ALL:
        raise Stopped(why)
    course.failed[query_id] = why


def _tell(course: _Course, batch: Batch) -> None:
    if batch.json:
        print_json(course.as_json())
        return
    console, recording = out(), course.recording
    done = course.there + recording.added
    console.print(
        escape(
            printable(
                f"{recording.path}: {done:,} of {len(course.queries):,} queries, {recording.added:,} of them new;"
            )
        )
        + f" {course.spent.calls:,} calls, {course.spent.input:,} tokens in, {course.spent.output:,} out"
    )
    failed = [f"query {query_id} has no expansion: {why}" for query_id, why in course.failed.items()]
    for line in failed[:_TOLD]:
        talk().print(f"[yellow]{escape(printable(line))}[/]")
    if len(failed) > _TOLD:
        talk().print(f"[yellow]and {len(failed) - _TOLD} more[/]")
    if course.stopped:
        talk().print("[yellow]stopped; the same command goes on from there[/]")
