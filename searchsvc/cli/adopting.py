"""What `searchsvc index adopt` reads, shows and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from searchsvc.cli import toml_table
from searchsvc.cli.common import out, print_json, talk
from searchsvc.errors import ConfigurationError
from searchsvc.settings import LoadedSettings, Settings, load_settings
from searchsvc.settings.declared import IndexSettings
from searchsvc.terminal import printable
from searchsvc.toml_names import table_key
from searchsvc.wiring import elasticsearch_client

if TYPE_CHECKING:
    from searchsvc.elastic.adopting import Adoption
    from searchsvc.elastic.proposal import ProposedField

FILE = Path("searchsvc.toml")
_ROWS = 60
"""More fields than this are shown only where they have a role."""
_EXAMPLE_CHARACTERS = 24
_NARROW = 100
"""A terminal of fewer columns has room for examples of _NARROW_EXAMPLE columns."""
_NARROW_EXAMPLE = 14


def adopt_index(name: str, *, force: bool, json: bool) -> None:
    """Propose a table for what `name` stands for, show it, and write it into the file of the working folder.

    Raises ConfigurationError, UnknownIndex, StageError; nothing is written then.
    """
    if not name.strip() or not name.isprintable() or any(sign in name for sign in " /?#"):
        raise ConfigurationError(f"{name!r} is no name of an index.", hint="Name an index, an alias, or a wildcard.")
    loaded = load_settings()
    text = toml_table.read(FILE)
    known = loaded.settings.indices.get(name)
    if known is not None:
        toml_table.with_table(text, name, f"[{table_key(name)}]\n", force=force)  # refused before anything is asked
    target = name if known is None or known.index is None else known.index
    found = asyncio.run(_look(loaded.settings, target))
    table = {**found.proposal.table, "index": None if target == name else target}
    block = toml_table.rendered(name, table, list(IndexSettings.model_fields))
    changed = toml_table.with_table(text, name, block, force=force)
    toml_table.write(FILE, changed, lambda path: load_settings(toml=path))
    if json:
        print_json(_as_json(name, found, table))
    else:
        _show(found)
    _say_what_next(name, loaded)


async def _look(settings: Settings, target: str) -> Adoption:
    from searchsvc.elastic.adopting import look  # noqa: PLC0415 - the client only where used

    client = elasticsearch_client(settings)
    try:
        return await look(client, target)
    finally:
        await client.close()


def _as_json(name: str, found: Adoption, table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "file": str(FILE.resolve()),
        "table": {key: value for key, value in table.items() if value is not None},
        "indices": found.indices,
        "sampled": found.sampled,
        "fields": [
            {
                "field": each.field.name,
                "type": each.field.type,
                "analyzer": each.field.analyzer or None,
                "nested": each.field.nested[-1] if each.field.nested else None,
                "filled": each.sample.share,
                "example": _example(each),
                "roles": each.roles,
                "reason": each.reason or None,
            }
            for each in found.proposal.fields
        ],
        "tokens": found.tokens,
        "notes": found.notes,
    }


def _show(found: Adoption) -> None:
    console = out()
    console.print(escape(f"{_behind(found.indices)}; {found.sampled} documents looked at."))
    console.print()
    fields = found.proposal.fields
    shown = fields if len(fields) <= _ROWS else [each for each in fields if each.roles]
    console.print(_field_table(shown, _EXAMPLE_CHARACTERS if console.width >= _NARROW else _NARROW_EXAMPLE))
    if len(shown) < len(fields):
        console.print(f"{len(fields) - len(shown)} more fields have no role.")
    tokens = list(_token_lines(found))
    if tokens:
        console.print("\nWhat the analysers make of a word of your documents:")
        for line in tokens:
            console.print(escape(printable(line)))
    for note in found.notes:
        talk().print(f"[yellow]note:[/] {escape(printable(note))}")


def _behind(indices: Sequence[str]) -> str:
    if len(indices) == 1:
        return f"One index, {indices[0]}"
    few = ", ".join(indices[:5])
    return f"{len(indices)} indices, {few}{', …' if len(indices) > 5 else ''}"


def _field_table(fields: Sequence[ProposedField], example_columns: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("field", overflow="fold")
    table.add_column("type", overflow="fold")
    table.add_column("nested", overflow="fold")
    table.add_column("filled", justify="right", no_wrap=True)
    table.add_column("example", no_wrap=True)
    table.add_column("proposed", overflow="fold")
    for each in fields:
        kind = f"{each.field.type} ({each.field.analyzer})" if each.field.analyzer else each.field.type
        nested = each.field.nested[-1] if each.field.nested else ""
        filled = "" if each.sample.share is None else f"{each.sample.share:.0%}"
        role = ", ".join(each.roles) or (f"- ({each.reason})" if each.reason else "-")
        example = Text(_example(each))
        example.truncate(example_columns, overflow="ellipsis")
        field, kind, nested, role = (escape(printable(cell)) for cell in (each.field.name, kind, nested, role))
        table.add_row(field, kind, nested, filled, example, role)
    return table


def _example(each: ProposedField) -> str:
    """One line, cut, and harmless to a terminal."""
    text = printable(" ".join(each.sample.example.split()))
    return text if len(text) <= _EXAMPLE_CHARACTERS else f"{text[: _EXAMPLE_CHARACTERS - 1]}…"


def _token_lines(found: Adoption) -> Iterator[str]:
    """Fields that make the same of the words share a line."""
    analyzers = {field.name: field.analyzer for field in found.proposal.text_fields}
    alike: dict[tuple[str, str], list[str]] = {}
    for field, words in found.tokens.items():
        made = ", ".join(f"{word} → {' | '.join(tokens) or 'nothing'}" for word, tokens in words.items())
        alike.setdefault((analyzers[field], made), []).append(field)
    for (analyzer, made), fields in alike.items():
        yield f"  {analyzer}: {made}  ({', '.join(fields)})"
    if any(len(tokens) > 1 for words in found.tokens.values() for tokens in words.values()):
        yield "  Where a word falls into several tokens, expansion searches it as a phrase."


def _say_what_next(name: str, before: LoadedSettings) -> None:
    engine = before.settings.engine
    talk().print(escape(f"Wrote [{table_key(name)}] into {FILE.resolve()}."), soft_wrap=True)
    if before.sources["engine"] == "default":
        talk().print("With that table in the file the engine is elasticsearch, unless you set another.")
    elif engine == "embedded":
        talk().print(f"engine is embedded ({before.sources['engine']}): set it to elasticsearch to search this index.")
    talk().print(
        escape(f'Next: review the file, then searchsvc serve, or searchsvc search "…" --index {_shell(name)}'),
        soft_wrap=True,
    )


def _shell(name: str) -> str:
    return f"'{name}'" if "*" in name else name
