"""Methods of expansion as they are written in one word: `llm`, `llm+dictionary`, `llm*1+neighbours*0.5`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from searchsvc.errors import InvalidRequest
from searchsvc.model import MethodShare

MOST_METHODS = 8
"""That may expand a query together."""
MOST_WEIGHT = 10.0
_POINTER = "/expansion/method"
_WRITTEN = "Write a method, or several as llm+dictionary*0.5."


def parse_methods(written: str) -> tuple[MethodShare, ...]:
    """The methods and their shares; a share that is not written is 1. Whether there are such methods is not asked.

    Raises InvalidRequest for a name that is missing or comes twice, and a weight that is no number above 0 up to 10.
    """
    shares = tuple(_share(part.strip(), written) for part in written.split("+"))
    check_shares(shares)
    return shares


def check_shares(shares: Sequence[MethodShare], *, pointer: str = _POINTER) -> None:
    """Raises InvalidRequest if a method comes twice, or if there are too many."""
    names = [share.name for share in shares]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(
                f"The method {name!r} comes twice.", pointer=pointer, hint="Give it once, with one weight."
            )
    if len(names) > MOST_METHODS:
        raise InvalidRequest(
            f"{len(names)} methods are named; at most {MOST_METHODS} expand a query together.", pointer=pointer
        )


def _share(part: str, written: str) -> MethodShare:
    name, times, weight = (each.strip() for each in part.partition("*"))
    if not name:
        raise InvalidRequest(f"{written!r} names a method without a name.", pointer=_POINTER, hint=_WRITTEN)
    return MethodShare(name=name, weight=_weight(name, weight) if times else 1.0)


def _weight(name: str, written: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        weight = 0.0
    if 0 < weight <= MOST_WEIGHT:
        return weight
    raise InvalidRequest(
        f"The weight of the method {name!r} is {written!r}: a number above 0, at most {MOST_WEIGHT:g}, was expected.",
        pointer=_POINTER,
        hint=_WRITTEN,
    )
