"""Kinds of values that settings have, each with what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field, FilePath, SecretStr
from pydantic_settings import NoDecode


def _checked_url(url: str) -> str:
    """`url` without a slash at its end; refuses what is no address of a server, and credentials inside one."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an address is written http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials are settings of their own and never part of an address")
    _ = parts.port  # raises ValueError where it is no number or past 65535
    return url.rstrip("/")


def _checked_urls(urls: str) -> str:
    hosts = [_checked_url(url.strip()) for url in urls.split(",") if url.strip()]
    if not hosts:
        raise ValueError("at least one address is needed")
    return ",".join(hosts)


def _home_expanded(path: Any) -> Any:
    try:
        return Path(path).expanduser() if isinstance(path, str) else path
    except RuntimeError:
        raise ValueError("there is no home folder of that name") from None


def _separated(paths: Any) -> Any:
    """A list, as a file of settings has it, or text with commas, as an environment variable does."""
    return [path.strip() for path in paths.split(",") if path.strip()] if isinstance(paths, str) else paths


def _stripped(secret: Any) -> Any:
    """Without the white space that copying and files of secrets leave around it; None if nothing else is there."""
    return secret.strip() or None if isinstance(secret, str) else secret


def _checked_key(key: SecretStr) -> SecretStr:
    """Refuses what cannot stand in an HTTP header; the message must not hold the value."""
    value = key.get_secret_value()
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a key is sent in an HTTP header: ASCII letters, digits and signs, in one line")
    return key


def _checked_name(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError("a name has at least one character, and no white space around it")
    return name


def _checked_field(name: str) -> str:
    if not _checked_name(name) or "*" in name or "^" in name:
        raise ValueError("each field is named by its full path, without wildcards or a boost")
    return name


def _checked_text_field(text_field: str) -> str:
    """FIELD or FIELD^BOOST."""
    name, sign, boost = text_field.partition("^")
    _checked_field(name)
    try:
        possible = not sign or 0 < float(boost) < math.inf
    except ValueError:
        possible = False
    if not possible:
        raise ValueError('a boost is a number above 0, as in "title^3"')
    return text_field


def _listed(names: Any) -> Any:
    if not isinstance(names, list | tuple):
        raise ValueError('a list of fields is needed, as in ["title", "body"]')  # noqa: TRY004 - pydantic's contract
    return names


def _without_doubles(names: tuple[str, ...]) -> tuple[str, ...]:
    fields = [name.partition("^")[0] for name in names]
    double = next((field for field in fields if fields.count(field) > 1), None)
    if double is not None:
        raise ValueError(f"{double!r} is listed twice")
    return names


IndexName = Annotated[str, AfterValidator(_checked_name)]
FieldName = Annotated[str, AfterValidator(_checked_field)]
FieldNames = Annotated[tuple[FieldName, ...], BeforeValidator(_listed), AfterValidator(_without_doubles)]
TextFields = Annotated[
    tuple[Annotated[str, AfterValidator(_checked_text_field)], ...],
    BeforeValidator(_listed),
    AfterValidator(_without_doubles),
    Field(min_length=1),
]
Url = Annotated[str, AfterValidator(_checked_url)]
Urls = Annotated[str, AfterValidator(_checked_urls)]
Password = Annotated[SecretStr | None, BeforeValidator(_stripped)]
ApiKey = Annotated[Annotated[SecretStr, AfterValidator(_checked_key)] | None, BeforeValidator(_stripped)]
UserPath = Annotated[Path, BeforeValidator(_home_expanded)]
UserFile = Annotated[FilePath, BeforeValidator(_home_expanded)]
UserFiles = Annotated[tuple[UserFile, ...], NoDecode, BeforeValidator(_separated)]
UserFolder = Annotated[DirectoryPath, BeforeValidator(_home_expanded)]
