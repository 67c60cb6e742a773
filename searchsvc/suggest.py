"""The sentence that follows an unknown name: which one was probably meant, or which ones there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """The nearest of the `known` names as a question; all of them where none is near."""
    names = sorted(known)
    by_lower_case = {name.lower(): name for name in names}
    wanted = unknown.lower()
    begun = [name for name in by_lower_case if name.startswith(wanted)]
    nearest = difflib.get_close_matches(wanted, begun or by_lower_case, n=1)
    if nearest:
        return f"Did you mean {by_lower_case[nearest[0]]}?"
    return f"There are: {', '.join(names)}."
