"""Answers of a real Elasticsearch 8.19.21, recorded; two texts in it were replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded" / "elasticsearch"


def recorded(name: str) -> Any:
    """The JSON of an answer; of an error `{status, body}`. Read anew each time, since readers take it over."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
