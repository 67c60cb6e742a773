"""What the commands share: output for people and for scripts, progress, loading settings, who made a result."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import orjson
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from searchsvc.model import SearchRequest
from searchsvc.result import SearchResult, Stage, StageStatus, StageTrace
from searchsvc.settings import Settings, load_settings

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="One JSON object on stdout.")]
"""One JSON object on stdout instead of text for people."""
EngineName = Literal["embedded", "elasticsearch"]
Search = Callable[[SearchRequest], Awaitable[SearchResult]]

_UNBROKEN = 10_000
"""Columns of a pipe: more than any line has."""


def talk() -> Console:
    """Where to talk: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def out() -> Console:
    """Where text for people goes: stdout; where that is no terminal, no line is broken or cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNBROKEN)


def print_json(value: Any) -> None:
    """`value` as one line of JSON on stdout."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))
    sys.stdout.buffer.flush()


def progress() -> Progress:
    """A progress display on stderr; silent where that is no terminal."""
    console = talk()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def words_told(bar: Progress) -> Callable[[int, int], None]:
    """Shows how far the comparing of an index's words is, which follows the documents of a load."""
    task = bar.add_task("comparing words", total=None, visible=False)
    return lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def settings(**overrides: Any) -> Settings:
    """The settings with those of the command line; the key `api__port` stands for `api.port`, None for not given.

    Raises ConfigurationError.
    """
    return load_settings(overrides={key.replace("__", "."): value for key, value in overrides.items()}).settings


class MadeBy:
    """Which expander and which reranker made the results of the searches that it heard."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        """`info`: of the runtime, with the configured `expander` and `reranker`."""
        self._configured = {part: info[part] for part in ("expander", "reranker")}
        self._models: dict[tuple[str, str], dict[str, None]] = {}

    def heard(self, search: Search) -> Search:
        """`search`; the models that answer in it are noted."""

        async def hearing(request: SearchRequest) -> SearchResult:
            result = await search(request)
            for trace in result.stages:
                self._hear(trace)
            return result

        return hearing

    def as_json(self) -> dict[str, dict[str, Any] | None]:
        """`expander` and `reranker`: kind, url of a server, and all models as they answered; None: there is none.

        Where no model answered it is the configured name, None for whatever the server serves.
        """
        return {part: self._part(part) for part in self._configured}

    def words(self) -> str:
        """The same for a person."""
        return ", ".join(f"{part} {_words(found)}" for part, found in self.as_json().items())

    def _hear(self, trace: StageTrace) -> None:
        if trace.stage is Stage.RERANK and trace.detail.get("model"):
            self._note("reranker", self._configured["reranker"]["kind"], trace.detail["model"])
        if trace.stage is Stage.EXPAND and "method" in trace.detail:
            for facts in trace.detail.get("methods", ({"status": trace.status, **trace.detail},)):
                self._hear_method(facts)

    def _hear_method(self, facts: Mapping[str, Any]) -> None:
        """A chat model is known by its calls, or, where its answer was cached, by its name."""
        if "recorded" in facts:
            self._note("expander", "recorded", facts["run"])
        elif "calls" in facts or "model" in facts:
            for model in [call["model"] for call in facts.get("calls", ())] or [facts["model"]]:
                self._note("expander", "server", model)
        elif facts.get("status", StageStatus.OK) == StageStatus.OK:
            self._note("expander", "embedded", facts["method"])

    def _note(self, part: str, kind: str, model: str) -> None:
        self._models.setdefault((part, kind), {})[model] = None

    def _part(self, part: str) -> dict[str, Any] | None:
        kinds = ("server", "embedded", "recorded")
        served, own, recorded = (list(self._models.get((part, kind), ())) for kind in kinds)
        configured = self._configured[part]
        beside = [f"{model} (embedded)" for model in own]
        if served:
            return {**configured, "model": ", ".join([*beside, *(f"{run} (recorded)" for run in recorded), *served])}
        if recorded:
            return {"kind": "recorded", "model": ", ".join([*beside, *recorded])}
        if own:
            return {"kind": "embedded", "model": ", ".join(own)}
        return None if configured is None else dict(configured)


def _words(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "none"
    if part["kind"] in ("embedded", "recorded"):
        return f"{part['model']} ({part['kind']})"
    return f"{part['model'] or 'server'} at {part['url']}"
