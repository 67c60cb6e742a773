"""Elasticsearch's published distribution, Java, and a folder for both: what a local test node is made of."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
MIN_JAVA = 17
FETCH_TIMEOUT_S = 900
OTHER_USER = "nobody"
"""Who runs the nodes when we are root: Elasticsearch refuses root."""


class Unavailable(Exception):
    """There can be no Elasticsearch here; the text says why, as the end of a sentence."""


def run_as() -> pwd.struct_passwd | None:
    """The user that runs the nodes; None: ourselves."""
    return pwd.getpwnam(OTHER_USER) if os.geteuid() == 0 else None


def cache_dir() -> Path:
    """Where distribution and nodes live: outside the checkout, and where the user that runs the nodes can go."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "searchsvc" / "test-elasticsearch"
    if run_as() is not None and not _open_to_all(folder):
        folder = Path("/var/cache/searchsvc/test-elasticsearch")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def java_home() -> Path:
    """The first Java that is new enough. Raises Unavailable."""
    on_path = shutil.which("java")
    places = [os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")]
    places += [str(Path(on_path).resolve().parents[1])] if on_path else []
    places += sorted(map(str, Path("/usr/lib/jvm").glob("*")), reverse=True)
    for place in filter(None, places):
        if (Path(place) / "bin" / "java").is_file() and _java_version(Path(place)) >= MIN_JAVA:
            return Path(place)
    raise Unavailable(f"no Java {MIN_JAVA} or newer in ES_JAVA_HOME, JAVA_HOME, PATH and /usr/lib/jvm")


def distribution() -> Path:
    """The unpacked distribution, fetched once. Raises Unavailable."""
    folder = cache_dir()
    home = folder / f"elasticsearch-{VERSION}"
    with locked(folder / "fetch.lock"):
        if home.is_dir():
            return home
        archive = folder / f"elasticsearch-{VERSION}.zip"
        if not archive.is_file():
            _fetch(folder, archive)
        _unpack(archive, home)
    return home


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold this file for ourselves, waiting for whoever has it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open_to_all(folder: Path) -> bool:
    existing = [place for place in (folder, *folder.parents) if place.exists()]
    return all(place.stat().st_mode & 0o001 for place in existing)


def _java_version(home: Path) -> int:
    said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def _fetch(folder: Path, archive: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable(f"no Maven (mvn) to fetch {ARTIFACT}; that zip may also be put at {archive}")
    arriving = folder / "arriving"
    command = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={arriving}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch {ARTIFACT} within {FETCH_TIMEOUT_S} s") from None
    if done.returncode:
        raise Unavailable(f"Maven could not fetch {ARTIFACT}: {(done.stdout + done.stderr).strip()[-300:]}")
    (arriving / archive.name).rename(archive)
    arriving.rmdir()


def _unpack(archive: Path, home: Path) -> None:
    unpacking = home.with_suffix(".unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(unpacking)
    for place in unpacking.rglob("*"):
        runs = place.is_dir() or place.parent.name == "bin"
        place.chmod(0o755 if runs else 0o644)
    (unpacking / home.name).rename(home)
    unpacking.rmdir()
