"""The benchmarks that take a folder say what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.collections import QUERIES, write_collection, write_jsonl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = ("expansion", "analysis")


def run(program: str, *arguments: object, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"benchmarks.{program}", *map(str, arguments)],
        cwd=ROOT,
        env={"SEARCHSVC_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sentence(program: str, *arguments: object, data_dir: Path) -> str:
    """What it says of arguments that it cannot use."""
    done = run(program, *arguments, data_dir=data_dir)

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_shown(program, tmp_path):
    done = run(program, "--help", data_dir=tmp_path)

    assert done.returncode == 0
    assert f"usage: {program}.py" in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_argument_is_named(program, tmp_path):
    assert "the following arguments are required" in sentence(program, data_dir=tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_folder_that_is_not_there_or_holds_no_collection_is_named(program, tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        assert str(folder) in sentence(program, folder, data_dir=tmp_path / "data")


def test_a_collection_without_expansions_is_named_and_not_loaded(tmp_path):
    data = tmp_path / "data"
    folder = write_collection(tmp_path / "c")

    assert f"{folder} has no expansions.jsonl" in sentence(
        "expansion", "--forms-only", folder, data_dir=tmp_path / "data"
    )
    assert not data.exists()


def test_expansions_that_no_run_can_be_made_of_are_told(tmp_path):
    data = tmp_path / "data"
    folder = write_collection(tmp_path / "c")
    one = {"id": "q1", "text": "resolver", "method": "m", "model": "x"}

    write_jsonl(folder / "expansions.jsonl", [one])
    assert "has a text for each of the 3 queries" in sentence(
        "expansion", "--forms-only", folder, data_dir=tmp_path / "data"
    )
    write_jsonl(folder / "expansions.jsonl", [one, {"id": "q2", "text": "resolver"}])
    assert "line 2: 'method' is missing" in sentence("expansion", "--forms-only", folder, data_dir=data)
    assert "--runs is 1 or more" in sentence(
        "expansion", "--forms-only", folder, "--runs", "0", data_dir=tmp_path / "data"
    )


def test_expansion_runs_on_recorded_expansions_of_which_some_are_empty(tmp_path):
    data = tmp_path / "data"
    folder = write_collection(tmp_path / "c")
    texts = ("the resolver of network names", "", "delete old logs")
    write_jsonl(
        folder / "expansions.jsonl.gz",
        [
            {"id": query["id"], "text": text, "method": "m", "model": "x"}
            for query, text in zip(QUERIES, texts, strict=True)
        ],
    )

    done = run("expansion", folder, data_dir=data)

    assert done.returncode == 0, done.stderr
    assert "3 queries, no language model" in done.stdout
    assert "3 queries, 1 recorded runs" in done.stdout


def test_analysis_names_a_file_without_text(tmp_path):
    file = tmp_path / "empty.txt"
    file.write_text("\n\n")

    assert f"{file} holds no text" in sentence("analysis", file, data_dir=tmp_path)
