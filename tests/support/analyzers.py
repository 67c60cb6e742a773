"""One analyzer a segmenter, shared by the tests: each holds a dictionary of its own, which takes time to load."""

from __future__ import annotations

from functools import cache
from typing import Literal

from searchsvc.text import Analyzer


@cache
def analyzer(segmenter: Literal["auto", "jieba", "rjieba"] = "auto") -> Analyzer:
    """Without a user dictionary."""
    return Analyzer(segmenter=segmenter)
