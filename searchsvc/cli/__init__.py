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
for _name, _where in {
    "demo": "searchsvc.cli.demo:demo",
    "serve": "searchsvc.cli.serve:serve",
    "search": "searchsvc.cli.search:search",
    "index": "searchsvc.cli.index:app",
    "evaluate": "searchsvc.cli.evaluate:evaluate",
    "config": "searchsvc.cli.config:app",
}.items():
    app.command(_where, name=_name)


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
