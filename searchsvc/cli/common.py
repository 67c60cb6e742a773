"""What the commands share: output for people and for scripts, progress, loading settings."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import orjson
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from searchsvc.settings import Settings, load_settings

Json = Annotated[bool, Parameter(name="--json", negative=())]
"""One JSON object on stdout instead of text for people."""
EngineName = Literal["embedded", "elasticsearch"]


def talk() -> Console:
    """Where to talk: stderr."""
    return Console(stderr=True, highlight=False)


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


def settings(**overrides: Any) -> Settings:
    """The settings with those of the command line; the key `api__port` stands for `api.port`, None for not given.

    Raises ConfigurationError.
    """
    return load_settings(overrides={key.replace("__", "."): value for key, value in overrides.items()}).settings
