"""Which index holds the demo corpus and nothing else: a name in the file `demo-index` of the data folder.

It tells a first load of one's own documents that there is nothing to keep. Once the index that it names is not the
live one any more, it means nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.index_names import is_physical

_FILE = "demo-index"


def remember(data_dir: Path, physical: str) -> None:
    """Note that this physical index is the demo's. Raises ConfigurationError if that cannot be written."""
    path = data_dir / _FILE
    beside = data_dir / f"{_FILE}.new"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(f"{physical}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def demo_index(data_dir: Path) -> str | None:
    """The physical index that was noted last, whether it is there or not; None if none was.

    Raises ConfigurationError if the file cannot be read.
    """
    path = data_dir / _FILE
    try:
        noted = path.read_text("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    return noted if is_physical(noted) else None


def forget(data_dir: Path) -> None:
    """Note that no index is the demo's. Raises ConfigurationError if the file cannot be removed."""
    path = data_dir / _FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be removed: {error.strerror}.") from error
