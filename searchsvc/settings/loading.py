"""Reads the settings from everywhere they may stand, and remembers where each was found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from searchsvc.errors import ConfigurationError
from searchsvc.settings.declared import PREFIX, Group, Settings
from searchsvc.settings.tables import checked_tables, flat_tables, table_problem
from searchsvc.suggest import did_you_mean
from searchsvc.toml_names import INDICES

Source = Literal["default", "searchsvc.toml", "environment", "command line"]
"""Where a value came from."""

MASK = "**********"
"""Stands for a secret wherever settings are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The settings, and where each of them came from."""

    settings: Settings
    sources: Mapping[str, Source]
    """By key, as `reranker.url` or `indices.articles.title`; every key is there."""

    def shown(self) -> dict[str, Any]:
        """The effective value of every key as JSON; secrets and query strings, which may hold one, masked."""
        values = _flat(self.settings.model_dump(mode="json"))
        tables = values.pop(INDICES)
        values |= {flat: tables[name][key] for flat, name, key in flat_tables(tables)}
        urls = {key: value for key, value in values.items() if key.endswith(".url") and value and "?" in value}
        return values | {key: f"{value.partition('?')[0]}?{MASK}" for key, value in urls.items()}


def _keys() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            yield from (f"{name}.{inner}" for inner in group.model_fields)
        elif name != INDICES:
            yield name


KEYS = tuple(_keys())
"""The key of every setting, in the order of declaration; those of the tables `[indices.NAME]` are not among them."""

_GROUPS = frozenset(key.split(".")[0] for key in KEYS if "." in key)
_SECRETS = frozenset(key for key in KEYS if key.endswith((".password", ".api_key")))


def environment_name(key: str) -> str:
    """The environment variable of the setting `key`."""
    return PREFIX + key.replace(".", "__").upper()


def load_settings(
    *,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    toml: Path = Path("searchsvc.toml"),
    environ: Mapping[str, str] = os.environ,
) -> LoadedSettings:
    """Reads all sources.

    An engine that nobody set is elasticsearch where the file has tables `[indices.NAME]`.
    `overrides` are those of the command line, by key (`api.port`); None: not given there.
    Raises ConfigurationError, which never holds a secret.
    """
    from_file = _from_file(toml)
    tables = checked_tables(from_file.pop(INDICES, {}), toml)
    if tables:
        from_file.setdefault("engine", "elasticsearch")
    layers: dict[Source, dict[str, Any]] = {
        "searchsvc.toml": from_file,
        "environment": _from_environment(environ),
        "command line": {key: value for key, value in overrides.items() if value is not None},
    }
    values: dict[str, Any] = {}
    sources: dict[str, Source] = dict.fromkeys(KEYS, "default")
    for source, layer in layers.items():
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    for flat, name, key in flat_tables(tables):
        sources[flat] = "searchsvc.toml" if key in tables[name] else "default"
    try:
        settings = Settings(**_nested(values) | {INDICES: tables})
    except ValidationError as error:
        raise ConfigurationError(" ".join(_problem(detail, sources, toml) for detail in error.errors())) from None
    return LoadedSettings(settings=settings, sources=MappingProxyType(sources))


def _from_file(toml: Path) -> dict[str, Any]:
    try:
        values = _flat(TomlConfigSettingsSource(Settings, toml_file=toml)())
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{toml} is not TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{toml} cannot be read: {error.strerror}.") from error
    for key in values:
        if key not in (*KEYS, INDICES):
            raise ConfigurationError(f"{toml}: {key} is not a setting.", hint=did_you_mean(key, KEYS))
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {environment_name(key) for key in KEYS}
    for name in map(str.upper, environ):
        foreign = not name.startswith(PREFIX) or name.startswith(f"{PREFIX}TEST_") or name == f"{PREFIX}API_KEY"
        if name.startswith(f"{PREFIX}{INDICES.upper()}"):
            raise ConfigurationError(f"{name} is not a setting.", hint="Only searchsvc.toml may declare indices.")
        if not foreign and name not in known:
            raise ConfigurationError(f"{name} is not a setting.", hint=did_you_mean(name, known))
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    return _flat(source())


def _flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if key in _GROUPS and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[key] = value
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        group, _, inner = key.rpartition(".")
        if group:
            nested.setdefault(group, {})[inner] = value
        else:
            nested[inner] = value
    return nested


def _problem(detail: ErrorDetails, sources: Mapping[str, Source], toml: Path) -> str:
    """One sentence: which setting, from where, its value, and what is allowed."""
    if detail["loc"][:1] == (INDICES,):
        return table_problem(detail, toml)
    key = ".".join(str(part) for part in detail["loc"][:2])
    allowed = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if key in _GROUPS:
        return f"{key}: {allowed}."
    name = environment_name(key) if sources.get(key) == "environment" else key
    given = str(detail["input"])
    value = MASK if key in _SECRETS or "@" in given else repr(given)  # an address may hold credentials
    return f"{name} ({sources.get(key, 'command line')}) is {value}: {allowed}."
