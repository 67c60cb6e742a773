"""What a test run says at its end of tests that could not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # processes of their own

ROOT = Path(__file__).parents[2]
WANTING = """
import os

def test_a(es_url): pass
def test_b(es_url): pass
def test_c(equipment): pass
def test_d(): assert [name for name in os.environ if name.startswith("SEARCHSVC_")] == ["SEARCHSVC_TEST_ES_URL"]
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of its own, with an address where nothing answers."""
    (folder / "test_wanting.py").write_text(WANTING)
    (folder / "pytest.ini").write_text("[pytest]\n")
    inherited = {key: value for key, value in os.environ.items() if key != "CI" and not key.startswith("SEARCHSVC_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", str(folder)],
        cwd=ROOT,
        env={**inherited, "SEARCHSVC_TEST_ES_URL": "http://127.0.0.1:9", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_skipped_is_named_in_capitals(tmp_path: Path) -> None:
    ended = run(tmp_path)

    assert ended.returncode == 0
    assert "2 TESTS SKIPPED FOR WANT OF ELASTICSEARCH: nothing answers at" in ended.stdout
    assert "1 TESTS SKIPPED FOR WANT OF THE TEST EQUIPMENT: SEARCHSVC_TEST_EQUIPMENT is not set" in ended.stdout
    assert "1 passed, 3 skipped" in ended.stdout


def test_in_ci_a_missing_elasticsearch_is_a_failure(tmp_path: Path) -> None:
    ended = run(tmp_path, CI="true")

    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "no Elasticsearch: nothing answers at" in ended.stdout
    assert "2 errors" in ended.stdout


def test_a_setting_of_the_person_who_runs_the_tests_does_not_reach_them(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, SEARCHSVC_ENGINE="theirs").stdout
