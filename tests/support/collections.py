"""Small evaluation collections in a folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

CORPUS = (
    {"id": "wifi", "title": "Wireless network drops", "text": "Update the driver of the wireless adapter."},
    {"id": "dns", "title": "Names are not resolved", "text": "The network works, but no name resolves: check DNS."},
    {"id": "disk", "title": "Disk is full", "text": "Delete old logs and find large files."},
    {"id": "java", "title": "空指针异常", "text": "调用前检查对象是否为 null。"},
)
QUERIES = ({"id": "q1", "text": "network name"}, {"id": "q2", "text": "空指针"}, {"id": "q3", "text": "large logs"})
QRELS = (("q1", "dns", 2), ("q1", "wifi", 1), ("q2", "java", 1), ("q3", "disk", 1))


def write_jsonl(path: Path, values: Iterable[Mapping[str, Any]]) -> Path:
    """One object a line; gzip if the name ends so."""
    data = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_collection(
    folder: Path,
    *,
    corpus: Iterable[Mapping[str, Any]] = CORPUS,
    queries: Iterable[Mapping[str, Any]] = QUERIES,
    qrels: Iterable[Sequence[Any]] = QRELS,
    suffix: str = "",
) -> Path:
    """A collection in `folder`, which is made; `suffix` is nothing or `.gz`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / f"corpus.jsonl{suffix}", corpus)
    write_jsonl(folder / f"queries.jsonl{suffix}", queries)
    lines = [("query-id", "doc-id", "grade"), *qrels]
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines).encode()
    (folder / f"qrels.tsv{suffix}").write_bytes(gzip.compress(text) if suffix else text)
    return folder
