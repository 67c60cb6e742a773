"""The data folder: physical indices, what is known of each, and which one a name stands for.

    DATA/aliases.json                        {name: physical index}, replaced as a whole
    DATA/writer.lock, DATA/aliases.lock      held by the process that loads, that publishes
    DATA/indices/NAME-v1-YYYYMMDDHHMMSS/     one physical index
        meta.json                            how it was made and whether its load ended, replaced as a whole
        tantivy/                             the inverted index and the stored documents
        vocabulary.json                      its words and their neighbours, replaced as a whole
    DATA/vectors/                            sentence vectors by content, shared by all indices

A file that is replaced is written beside itself, flushed, and renamed over the old one, so a process that is killed
leaves the old one or the new one. Locks are POSIX advisory locks, which the kernel frees when their holder dies.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from searchsvc.embedded.errors import damaged, folder_errors
from searchsvc.errors import ConfigurationError, Overloaded, UnknownIndex
from searchsvc.index_names import check_index_name, is_physical, made_at, name_of, physical_name

LAYOUT = 1
"""Version of the fields of an index: the `v1` in its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What is known of a physical index."""

    fingerprint: str
    """Of the analyser that made its tokens."""
    layout: int = LAYOUT
    documents: int = 0
    complete: bool = False
    """False: created, or a load into it did not end."""


class DataFolder:
    """Reads and changes the data folder.

    Every method may raise ConfigurationError if the file system refuses.
    """

    def __init__(self, root: Path) -> None:
        """`root` is made by the first write."""
        self.root = root

    @property
    def vectors(self) -> Path:
        """The folder of the sentence vectors."""
        return self.root / "vectors"

    def folder(self, physical: str) -> Path:
        """The folder of a physical index."""
        return self.root / "indices" / physical

    def tantivy(self, physical: str) -> Path:
        """The folder of its inverted index."""
        return self.folder(physical) / "tantivy"

    def create(self, name: str, fingerprint: str) -> str:
        """Makes an empty, unpublished physical index for `name`, newer than all others of that name."""
        check_index_name(name)
        others = self.physical(name)
        moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        if others:
            moment = max(moment, made_at(others[-1]) + timedelta(seconds=1))
        physical = physical_name(name, version=LAYOUT, made_at=moment)
        beside = self.folder(f"{physical}.new")
        with folder_errors("written", self.root):
            beside.mkdir(parents=True, exist_ok=True)
            replace_json(beside / "meta.json", asdict(Meta(fingerprint=fingerprint)))
            beside.rename(self.folder(physical))
        return physical

    def physical(self, name: str | None = None) -> list[str]:
        """The physical indices of `name`, or all: by name, oldest first."""
        indices = self.root / "indices"
        if not indices.exists():
            return []
        with folder_errors("read", self.root):
            found = [entry.name for entry in indices.iterdir()]
        named = [each for each in found if is_physical(each) and (name is None or name_of(each) == name)]
        return sorted(named, key=lambda each: (name_of(each), made_at(each)))

    def newer_than_live(self, name: str) -> list[str]:
        """The unpublished physical indices of `name` that are newer than its published one, oldest first."""
        live = self.aliases().get(name)
        every = self.physical(name)
        return every[every.index(live) + 1 :] if live in every else every

    def aliases(self) -> dict[str, str]:
        """The physical index behind each published name."""
        path = self.root / "aliases.json"
        try:
            found = read_json(path) or {}
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{path} is damaged: {error}.", hint="Remove it and publish again (`searchsvc index swap`)."
            ) from error
        return {str(name): str(physical) for name, physical in found.items()}

    def publish(self, name: str, physical: str) -> None:
        """Makes `name` stand for `physical`, at once for all that open it from now on."""
        with self._locked("aliases.lock", wait=True):
            replace_json(self.root / "aliases.json", {**self.aliases(), name: physical})

    def meta(self, physical: str) -> Meta:
        """What is known of a physical index. Raises UnknownIndex, BackendRejected if it is damaged."""
        try:
            found = read_json(self.folder(physical) / "meta.json")
            if found is not None:
                known = {field.name for field in fields(Meta)}
                return Meta(**{key: value for key, value in found.items() if key in known})
        except (ValueError, TypeError) as error:
            raise damaged(physical, f"meta.json: {error}") from error
        raise UnknownIndex(f"there is no index {physical!r}.")

    def write_meta(self, physical: str, meta: Meta) -> None:
        """Replaces what is known of a physical index; whoever has it open sees that it changed."""
        replace_json(self.folder(physical) / "meta.json", asdict(meta))

    def stamp(self, physical: str) -> tuple[int, int]:
        """Differs after every `write_meta`; costs one system call. Raises UnknownIndex."""
        try:
            found = (self.folder(physical) / "meta.json").stat()
        except OSError:
            raise UnknownIndex(f"there is no index {physical!r}.") from None
        return found.st_mtime_ns, found.st_ino

    def bytes(self, physical: str) -> int:
        """Size of a physical index on disk, without the shared vectors."""
        with folder_errors("read", self.root):
            return sum(path.stat().st_size for path in self.folder(physical).rglob("*") if path.is_file())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held while documents are loaded: one load at a time in the whole folder. Raises Overloaded."""
        with self._locked("writer.lock", wait=False):
            yield

    @contextmanager
    def _locked(self, file_name: str, *, wait: bool) -> Iterator[None]:
        path = self.root / file_name
        with folder_errors("written", self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            handle = path.open("a")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Overloaded(
                    f"another load is writing to {self.root}.", hint="Try again when it has ended."
                ) from None
            yield


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None if there is no file.

    Raises ValueError or TypeError if it holds something else, ConfigurationError if it cannot be read.
    """
    with folder_errors("read", path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        found = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def replace_json(path: Path, content: object) -> None:
    """Replaces a JSON file as a whole; one process at a time may do so. Raises ConfigurationError."""
    beside = path.with_name(path.name + ".new")
    with folder_errors("written", path.parent):
        with beside.open("w", encoding="utf-8") as handle:
            json.dump(content, handle, ensure_ascii=False)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
