"""The command line: data on stdout, talk on stderr; exit status 0, 1 (it failed), 2 (the caller's to mend), 130."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.markup import escape

from searchsvc import __version__
from searchsvc.errors import ConfigurationError, InvalidDocuments, InvalidRequest, SearchError, UnknownIndex

_CALLERS = (InvalidRequest, InvalidDocuments, ConfigurationError, UnknownIndex)

app = App(
    name="searchsvc",
    version=__version__,
    help="Relevance in front of Elasticsearch: query expansion, reranking, every score explained.",
    suppress_keyboard_interrupt=False,
)
for _name, (_where, _help) in {
    "demo": ("searchsvc.cli.demo:demo", "Run the demo queries on the demo corpus and show the effect."),
    "serve": ("searchsvc.cli.serve:serve", "Serve the HTTP API."),
    "search": ("searchsvc.cli.search:search", "Search one index."),
    "index": ("searchsvc.cli.index:app", "Make, fill, publish and list indices."),
    "evaluate": ("searchsvc.cli.evaluate:evaluate", "Measure variants on a judged collection."),
    "config": ("searchsvc.cli.config:app", "Show or check the settings."),
}.items():
    app.command(_where, name=_name, help=_help)


def main(tokens: list[str] | None = None) -> None:
    """Run the command line and exit."""
    talk = Console(stderr=True, highlight=False)
    try:
        app(tokens, console=Console(), error_console=talk, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(2)
    except SearchError as error:
        talk.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.hint:
            talk.print(escape(error.hint))
        sys.exit(2 if isinstance(error, _CALLERS) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
