"""docker-compose.yml as Docker itself reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def _compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "compose", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def _client() -> None:
    try:
        version = _compose("version")
    except FileNotFoundError:
        pytest.skip("there is no docker")
    if version.returncode:
        pytest.skip("this docker has no compose")


@pytest.mark.usefixtures("_client")
@pytest.mark.parametrize("profile", [(), ("--profile", "gpu")], ids=["plain", "gpu"])
def test_compose_reads_the_file(profile: tuple[str, ...]) -> None:
    read = _compose("--file", "docker-compose.yml", *profile, "config", "--quiet")

    assert read.returncode == 0, read.stderr
