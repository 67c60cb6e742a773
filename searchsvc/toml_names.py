"""Names as TOML writes them: those of the tables `[indices.NAME]`."""

from __future__ import annotations

import json
import re

INDICES = "indices"
"""The key of the file that holds the tables."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_string(text: str) -> str:
    """`text` as a basic string of TOML 1.0, in one line."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """`name` as a key of TOML: quoted unless it is bare."""
    return name if _BARE.fullmatch(name) else toml_string(name)


def table_key(name: str) -> str:
    """The dotted key of the table of the index `name`, as it stands in the header."""
    return f"{INDICES}.{toml_key(name)}"
