"""HTML and SVG from values: whatever is not made here is text, and is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from searchsvc.terminal import printable

_VOID = ("meta", "line", "rect", "circle")
"""Elements without content."""


class Markup(str):
    """HTML that is ready: made by `element`, its texts escaped."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: object) -> Markup:
    """An element; children that are no Markup, and all values of attributes, are escaped.

    In the names of attributes `_` stands for `-`, and one at the end is dropped, so that class_ is class.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(str(value)))}"' for key, value in attributes.items()
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Sequence[str]) -> Markup:
    """Several, one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(printable(child)) for child in children))
