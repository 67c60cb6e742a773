"""The tables `[indices.NAME]` of the file: their keys, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from searchsvc.errors import ConfigurationError
from searchsvc.settings.declared import IndexSettings
from searchsvc.suggest import did_you_mean
from searchsvc.toml_names import INDICES, table_key, toml_key

_EXAMPLE = "An index that is there already is declared by a table of its own: [indices.NAME]."
_SHOWN_CHARACTERS = 100


def checked_tables(found: Any, toml: Path) -> dict[str, dict[str, Any]]:
    """The tables by name, if they are tables and hold known keys; the values are not checked here.

    Raises ConfigurationError.
    """
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{toml}: {INDICES} is no table.", hint=_EXAMPLE)
    for name, table in found.items():
        if not name.strip() or not isinstance(table, Mapping):
            raise ConfigurationError(f"{toml}: {table_key(name)} is no table of an index.", hint=_EXAMPLE)
        for key, value in table.items():
            if key not in IndexSettings.model_fields:
                raise ConfigurationError(
                    f"{toml}, [{table_key(name)}]: {toml_key(key)} is not a setting of an index.",
                    hint=_hint(name, key, value),
                )
    return {name: dict(table) for name, table in found.items()}


def _hint(name: str, key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"A name with a dot in it is quoted: [{table_key(f'{name}.{key}')}]."
    return did_you_mean(key, IndexSettings.model_fields)


def flat_tables(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Of every table every key that there can be: its dotted key, the name of the table, the key."""
    for name in tables:
        for key in IndexSettings.model_fields:
            yield f"{table_key(name)}.{key}", name, key


def table_problem(detail: ErrorDetails, toml: Path) -> str:
    """One sentence: which file, table and key, its value, and what is allowed."""
    _, name, key = (str(part) for part in detail["loc"][:3])
    where = f"{toml}, [{table_key(name)}]: {key}"
    if detail["type"] == "missing":
        return f'{where} is missing: the fields that are searched, as in ["title^3", "body"].'
    allowed = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = repr(detail["input"])
    value = given if len(given) <= _SHOWN_CHARACTERS else f"{given[:_SHOWN_CHARACTERS]}…"
    return f"{where} is {value}: {allowed}."
