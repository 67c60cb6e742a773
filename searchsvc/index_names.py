"""Names of indices: the name that people choose, and those of the physical indices behind it, `NAME-v1-TIME`."""

from __future__ import annotations

import re
from datetime import datetime

from searchsvc.errors import ConfigurationError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_PHYSICAL = re.compile(rf"(?P<name>{_NAME.pattern})-v[0-9]+-[0-9]{{14}}")
_TIME = "%Y%m%d%H%M%S"


def is_index_name(name: str) -> bool:
    """Whether `name` may be chosen: no wildcard, no list of names, nothing that needs quoting, not physical."""
    return _NAME.fullmatch(name) is not None and not is_physical(name)


def check_index_name(name: str) -> None:
    """Raises ConfigurationError if `name` may not be chosen."""
    if is_index_name(name):
        return
    if is_physical(name):
        hint = f"It looks like a physical index, whose name is made by the service. Use {name_of(name)!r}."
    else:
        hint = "Use up to 200 of a-z, 0-9, '-', '_' and '.', beginning with a letter or a digit."
    raise ConfigurationError(f"{name!r} cannot name an index.", hint=hint)


def is_physical(name: str) -> bool:
    """Whether `name` is that of a physical index."""
    return _PHYSICAL.fullmatch(name) is not None


def name_of(physical: str) -> str:
    """The name for which a physical index was made; empty if `physical` is not the name of one."""
    match = _PHYSICAL.fullmatch(physical)
    return "" if match is None else match["name"]


def physical_name(name: str, *, version: int, made_at: datetime) -> str:
    """The physical index of `name` with fields of this version, made at this time (UTC, to the second)."""
    return f"{name}-v{version}-{made_at.strftime(_TIME)}"


def made_at(physical: str) -> datetime:
    """When a physical index was made: UTC, without a zone."""
    return datetime.strptime(physical[-14:], _TIME)
