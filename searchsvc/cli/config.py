"""`searchsvc config`: what is set, where it was set, and whether it can be."""

from __future__ import annotations

from typing import Any

from cyclopts import App
from rich.markup import escape

from searchsvc.cli.common import Json, out, print_json
from searchsvc.elastic.adopted.base_query import read_base_query
from searchsvc.errors import ConfigurationError
from searchsvc.expansion.prompts import prompt_names
from searchsvc.settings import KEYS, Settings, load_settings
from searchsvc.text import Analyzer

app = App(name="config", help="Show and check the settings.")


@app.command
def show(*, json: Json = False) -> None:
    """Print every effective value with its source; secrets are masked."""
    loaded = load_settings()
    values = loaded.shown()
    if json:
        print_json({key: {"value": value, "source": loaded.sources[key]} for key, value in values.items()})
        return
    width = max(29, *map(len, values))
    for key, value in values.items():
        out().print(f"{escape(key):<{width}} {loaded.sources[key]:<15} {escape(_words(value))}", soft_wrap=True)


@app.command
def check(*, json: Json = False) -> None:
    """Say whether the settings can be used; exit status 2 and the reason if not.

    The files that they name are read. No server is asked.
    """
    try:
        loaded = load_settings()
        _use(loaded.settings)
    except ConfigurationError as error:
        if json:
            print_json({"valid": False, "message": error.message, "hint": error.hint})
        raise
    given = sum(loaded.sources[key] != "default" for key in KEYS)
    indices = loaded.settings.indices
    if json:
        print_json({"valid": True, "given": given, "indices": list(indices)})
        return
    out().print(f"The settings are valid: {given} given, all others at their defaults.")
    if indices:
        out().print(f"Adopted indices: {len(indices)} ({escape(', '.join(indices))}).", soft_wrap=True)


def _use(settings: Settings) -> None:
    """What the first search would complain about. Raises ConfigurationError."""
    Analyzer(settings.text.user_dictionary)
    prompt = settings.expander.prompt
    if prompt is not None and prompt not in prompt_names():
        raise ConfigurationError(
            f"expander.prompt is {prompt!r}, and there is no such prompt.",
            hint=f"There are: {', '.join(prompt_names())}.",
        )
    for name, table in settings.indices.items():
        if table.base_query is not None:
            read_base_query(name, table.base_query)


def _words(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
