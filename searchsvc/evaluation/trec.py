"""Runs in TREC's format: `query-id Q0 doc-id rank score tag`, one line a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from searchsvc.documents import clean
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.lines import text_lines


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


def read_runs(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """The runs of a file, plain or gzip: by tag and query id the ids of documents, best first.

    Their scores decide, as in trec_eval; of equal scores the rank. Raises ConfigurationError naming the line.
    """
    found: dict[str, dict[str, list[tuple[float, int, str]]]] = {}
    for number, text in text_lines(path):
        columns = text.split()
        if len(columns) != 6:
            raise ConfigurationError(
                f"{path} line {number}: {len(columns)} columns where a TREC run has 6.",
                hint="A line is query-id, Q0, doc-id, rank, score and tag; the other format is JSON lines.",
            )
        query_id, _, doc_id, rank, score, tag = columns
        entry = (-_score(score, path, number), _rank(rank, path, number), clean(doc_id))
        found.setdefault(tag, {}).setdefault(query_id, []).append(entry)
    return {
        tag: {
            query_id: tuple(dict.fromkeys(doc_id for _, _, doc_id in sorted(entries)))
            for query_id, entries in run.items()
        }
        for tag, run in found.items()
    }


def _score(text: str, path: Path, number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise ConfigurationError(f"{path} line {number}: the score {text!r} is no number.")
    return score


def _rank(text: str, path: Path, number: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"{path} line {number}: the rank {text!r} is not an integer.") from None
