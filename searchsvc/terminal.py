"""Text for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` without the control characters of a document or a file, which would steer the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
