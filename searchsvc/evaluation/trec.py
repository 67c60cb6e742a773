"""Runs in TREC's format: `query-id Q0 doc-id rank score tag`, one line a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from searchsvc.errors import ConfigurationError


def check_ids(ids: Iterable[str], *, what: str) -> None:
    """Raises ConfigurationError if one of the ids has a space in it: TREC's columns are separated by spaces."""
    for each in ids:
        if each.split() != [each]:
            raise ConfigurationError(
                f"The {what} id {each!r} has a space in it, so that no TREC run can hold it.",
                hint="Leave out --runs, or give the collection ids without spaces.",
            )


def write_run(path: Path, rankings: Mapping[str, Sequence[str]], *, tag: str) -> None:
    """Write the rankings, ids of documents best first by query id, as the run `tag`.

    The score falls by one from rank to rank: trec_eval sorts by score, and the stages score in different kinds.
    Raises ConfigurationError if the file cannot be written.
    """
    lines = (
        f"{query_id} Q0 {doc_id} {rank} {len(doc_ids) - rank + 1} {tag}\n"
        for query_id, doc_ids in rankings.items()
        for rank, doc_id in enumerate(doc_ids, 1)
    )
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
