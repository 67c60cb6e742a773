"""The screen on which a person judges: one pair at a time, and keys."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from searchsvc.evaluation.judgements import HUMAN, JudgementFile
from searchsvc.evaluation.judging import GRADES, Pair, Session
from searchsvc.terminal import printable

_CHARACTERS = 1000
"""Of the text of a document that are shown, if the terminal has the lines for them."""
_TITLE_LINES = 2
_QUERY_LINES = 3
_FRAME = 4
"""Columns that a panel takes from a line."""
_FIXED_LINES = 7
"""The line above, the edges of two panels, two lines of keys."""
_NARROW = "!-\u10ff\u1200-\u2e7f"
_OPENING = "（【《「『“‘"
_CLOSING = "，。、；：？！）】》」』”’…"
_PIECE = re.compile(f"[{_OPENING}]*(?:[{_NARROW}]+|.)[{_CLOSING}]*")
"""What stays on one line: a word of letters, or one Chinese character; with the punctuation around it."""


def judge_on_screen(session: Session, file: JudgementFile, console: Console) -> None:
    """Show pair after pair until the last, `q`, or the end of the keys.

    Every judgement is in the file before the next pair is shown. Raises ConfigurationError if it cannot be written.
    """
    pressed = _keys()
    with _screen(console) as show:
        while True:
            show(session)
            key = next(pressed, "q")
            if key == "q" or (session.current is None and key != "u"):
                return
            _obey(key, session, file)


def page(session: Session, *, width: int, height: int | None) -> Group:
    """What is shown of the current pair, or that there is none left; `height` None: as long as it gets."""
    pair = session.current
    where = "that was the last pair" if pair is None else f"pair {session.total - session.left + 1} of {session.total}"
    counts = f"{session.judged} judged, {session.skipped} skipped, {session.left} left"
    status = Text.assemble((f" {where}", "bold"), f"   {counts}", no_wrap=True, overflow="ellipsis")
    others = _line(("u", "undo"), ("s", "skip"), ("q", "quit"))
    if pair is None:
        return Group(status, _line(("u", "undo"), ("any other key", "end")))
    inner = width - _FRAME
    query = _cropped(wrapped(pair.user_query, inner), _QUERY_LINES) or [""]
    room = None if height is None else max(1, height - _FIXED_LINES - len(query))
    return Group(
        status,
        Panel(Text("\n".join(query)), title="query", title_align="left"),
        Panel(_document(pair, inner, room), title="document", title_align="left"),
        _line(*((str(grade), meaning) for grade, meaning in GRADES.items())),
        others,
    )


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, control characters replaced, empty lines left out.

    Between Chinese characters a line breaks anywhere, not only where a blank is: they have none.
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for piece in _PIECE.findall(printable(" ".join(paragraph.split()))):
            for part in [piece] if cell_len(piece) <= width else chop_cells(piece, width):
                if line and cell_len(line) + cell_len(part) > width:
                    lines.append(line.rstrip())
                    line = ""
                line += part if line else part.lstrip()
        if line:
            lines.append(line)
    return lines


def _document(pair: Pair, width: int, room: int | None) -> Text:
    title = _cropped(wrapped(pair.title, width), _TITLE_LINES)
    shown = pair.text[:_CHARACTERS] + ("…" if len(pair.text) > _CHARACTERS else "")
    lines = wrapped(shown, width)
    if room is not None:
        title = title[: max(0, room - 2)]
        lines = _cropped(lines, room - len(title) - 1 if title else room)
    body = Text("\n".join(lines)) if lines else Text("(no text)", style="dim")
    return Text("\n\n").join([Text("\n".join(title), style="bold"), body]) if title else body


def _cropped(lines: list[str], most: int) -> list[str]:
    """The first `most` lines, 1 or more; an ellipsis where others are left out."""
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    return [*lines[: most - 1], f"{set_cell_size(last, max(0, cell_len(last) - 2))} …"]


def _line(*keys: tuple[str, str]) -> Text:
    parts = (part for key, meaning in keys for part in ((f" {key}", "bold"), f" {meaning}  "))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


@contextmanager
def _screen(console: Console) -> Iterator[Callable[[Session], None]]:
    """Shows pages: on a terminal each in place of the one before, else one after the other."""
    if not console.is_terminal:
        yield lambda session: console.print(page(session, width=console.width, height=None))
        return
    with console.screen(hide_cursor=False) as screen:
        yield lambda session: screen.update(page(session, width=console.width, height=console.height))


def _obey(key: str, session: Session, file: JudgementFile) -> None:
    """Do what the key stands for; any other key shows the page again."""
    pair = session.current
    if key == "u":
        step = session.go_back()
        if step is not None and step.judged:
            file.remove(step.pair.key, HUMAN)
    elif pair is not None and key == "s":
        session.go_on(judged=False)
    elif pair is not None and key in map(str, GRADES):
        file.add(pair.key, int(key), HUMAN)
        session.go_on(judged=True)


def _keys() -> Iterator[str]:
    """Keys as they are pressed; where stdin is no terminal, its characters.

    At a terminal a key counts for the page that was there when it was pressed: what is typed ahead is dropped.
    """
    if not sys.stdin.isatty():
        while key := sys.stdin.read(1):
            if not key.isspace():
                yield key
        return
    with suppress(EOFError):
        while pressed := click.getchar():  # nothing: the terminal is gone
            yield pressed[:1]
