"""Where the exceptions of tantivy and of the file system become ours, and nowhere else in this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searchsvc.errors import BackendRejected, ConfigurationError, Overloaded

_REBUILD = "Make it anew (`searchsvc index create`, `load`, `swap`), or publish another one (`searchsvc index swap`)."
_WRITABLE = "Name a folder that this user may write to, on a disk with room (SEARCHSVC_DATA_DIR)."
_SYSTEM_REASON = re.compile(r'message: "([^"]*)"')
"""What the operating system said, in the Rust form of its error."""
_PANIC = "PanicException"
"""pyo3 raises it, a BaseException that cannot be imported, where damaged bytes break an assertion in tantivy."""


@contextmanager
def index_errors(doing: str, index: str) -> Iterator[None]:
    """Around every call of tantivy: raises Overloaded for a held lock, ConfigurationError for one that the file system
    refuses, else BackendRejected.

    `doing` ends the sentence "the embedded index INDEX cannot be …". tantivy raises ValueError for a damaged,
    truncated or missing file, OSError for a full disk, IndexError for a damaged term dictionary.
    """
    try:
        yield
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise _index_error(error, doing, index) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise _index_error(error, doing, index) from error


@contextmanager
def folder_errors(doing: str, path: Path) -> Iterator[None]:
    """Around file system calls: raises ConfigurationError; `doing` ends the sentence "the data folder cannot be …"."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"the data folder cannot be {doing}: {path}: {reason}.",
            hint=_WRITABLE,
        ) from error


def damaged(index: str, what: str) -> BackendRejected:
    """The error for an index whose files do not say what they should."""
    return BackendRejected(f"the embedded index {index} is damaged: {what}.", hint=_REBUILD)


def other_analyser(index: str, theirs: str, ours: str) -> BackendRejected:
    """The error for an index whose tokens another analyser made: searching it would silently find too little."""
    return BackendRejected(
        f"the embedded index {index} was made by another text analysis ({theirs}, now {ours}).", hint=_REBUILD
    )


def _index_error(error: BaseException, doing: str, index: str) -> BackendRejected | ConfigurationError | Overloaded:
    said = str(error).removesuffix(" None.").rstrip(".")  # a field of tantivy's error that is never filled
    if "LockBusy" in said:
        return Overloaded(f"another process is writing to the embedded index {index}.", hint="Try again when it ends.")
    if "acquire Lockfile" in said:
        reason = _SYSTEM_REASON.search(said)
        return ConfigurationError(
            f"the embedded index {index} cannot be {doing}: its folder must be writable, to be read too, because "
            f"readers put a lock file there: {said if reason is None else reason[1]}.",
            hint=_WRITABLE,
        )
    return BackendRejected(f"the embedded index {index} cannot be {doing}: {said}.", hint=_REBUILD)
