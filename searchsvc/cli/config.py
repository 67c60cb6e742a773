"""`searchsvc config`: what is set, where it was set, and whether it can be."""

from __future__ import annotations

from typing import Any

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from searchsvc.cli.common import Json, print_json
from searchsvc.errors import ConfigurationError
from searchsvc.settings import load_settings

app = App(name="config", help="Show and check the settings.")


@app.command
def show(*, json: Json = False) -> None:
    """Print every effective value with its source; secrets are masked."""
    loaded = load_settings()
    values = loaded.shown()
    if json:
        print_json({key: {"value": value, "source": loaded.sources[key]} for key, value in values.items()})
        return
    console = Console(highlight=False, soft_wrap=True)
    for key, value in values.items():
        console.print(f"{key:<29} {loaded.sources[key]:<15} {escape(_words(value))}")


@app.command
def check(*, json: Json = False) -> None:
    """Say whether the settings can be used; exit status 2 and the reason if not.

    No server is asked.
    """
    try:
        loaded = load_settings()
    except ConfigurationError as error:
        if json:
            print_json({"valid": False, "message": error.message, "hint": error.hint})
        raise
    given = sum(source != "default" for source in loaded.sources.values())
    if json:
        print_json({"valid": True, "given": given})
        return
    Console(highlight=False).print(f"The settings are valid: {given} given, all others at their defaults.")


def _words(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
