"""The command line: data on stdout, talk on stderr; exit status 0, 1 (it failed), 2 (the caller's to mend), 130."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.markup import escape

from searchsvc import __version__
from searchsvc.errors import ConfigurationError, InvalidDocuments, InvalidRequest, SearchError, UnknownIndex

_CALLERS = (InvalidRequest, InvalidDocuments, ConfigurationError, UnknownIndex)
_COMMANDS = {
    "demo": ("searchsvc.cli.demo:demo", "Run the demo queries on the demo corpus and show the effect."),
    "serve": ("searchsvc.cli.serve:serve", "Serve the HTTP API."),
    "search": ("searchsvc.cli.search:search", "Search one index."),
    "expand": ("searchsvc.cli.expand:expand", "Show what a query is expanded with, or record that for many."),
    "index": ("searchsvc.cli.index:app", "Make, fill, publish and list indices, or adopt yours."),
    "evaluate": ("searchsvc.cli.evaluate:evaluate", "Measure variants on a judged collection."),
    "tune": ("searchsvc.cli.tune:tune", "Search the best setting of an expansion on judged queries."),
    "policy": ("searchsvc.cli.policy:app", "Train what decides per query how heavily to expand."),
    "judge": ("searchsvc.cli.judge:judge", "Judge what variants find, at the keys or by a chat model."),
    "config": ("searchsvc.cli.config:app", "Show or check the settings."),
}


def command_line(*, overview: bool) -> App:
    """The commands, each imported when it is used.

    With `overview` each has its one line, which would hide the longer text of its own page.
    """
    app = App(
        name="searchsvc",
        version=__version__,
        help="Relevance in front of Elasticsearch: query expansion, reranking, every score explained.",
        suppress_keyboard_interrupt=False,
    )
    for name, (where, line) in _COMMANDS.items():
        app.command(where, name=name, **({"help": line} if overview else {}))
    return app


def main(tokens: list[str] | None = None) -> None:
    """Run the command line and exit."""
    given = sys.argv[1:] if tokens is None else tokens
    app = command_line(overview=not given or given[0].startswith("-"))
    talk = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app(given, console=Console(), error_console=talk, exit_on_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError:
        sys.exit(2)
    except SearchError as error:
        talk.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.hint:
            talk.print(escape(error.hint))
        sys.exit(2 if isinstance(error, _CALLERS) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _say_lost_output(error, talk)


def _say_lost_output(error: OSError, talk: Console) -> None:
    """A reader of stdout that went away is no error to speak of; a full disk is. Other errors are defects."""
    if sys.stdout.closed or error.filename is not None:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered cannot be written either
    if not isinstance(error, BrokenPipeError):
        talk.print(f"[bold red]error:[/] cannot write to stdout: {error.strerror}.")
    sys.exit(1)
