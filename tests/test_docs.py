"""What is documented must be so, and what is so must be documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from searchsvc.api.app import create_app
from searchsvc.api.wire import HitReply, SearchBody, SearchReply
from searchsvc.cli import command_line
from searchsvc.errors import Reason
from searchsvc.settings import KEYS, Settings, environment_name
from searchsvc.wiring import open_runtime

ROOT = Path(__file__).parent.parent
TEMPLATE_FILE = "qwen3_reranker.jinja"
README = (ROOT / "README.md").read_text("utf-8")
API = (ROOT / "docs" / "api.md").read_text("utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_is_documented(key: str) -> None:
    assert f"| `{key}` | `{environment_name(key)}` |" in SETTINGS


def test_no_other_setting_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z_.]+)` \| `SEARCHSVC_", SETTINGS, re.MULTILINE)) == set(KEYS)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented(reason: Reason) -> None:
    assert f"| `{reason}` |" in API


async def test_every_route_is_documented(tmp_path: Path) -> None:
    async with open_runtime(Settings(data_dir=tmp_path)) as runtime:
        routes = create_app(runtime).openapi()["paths"]

    assert [route for route in routes if route not in API] == []


@pytest.mark.parametrize("shape", [SearchBody, SearchReply, HitReply])
def test_every_field_is_documented(shape) -> None:
    names = [field.alias or name for name, field in shape.model_fields.items()]

    assert [name for name in names if f"`{name}`" not in API] == []


def test_every_command_is_in_the_readme() -> None:
    commands = [name for name in command_line(overview=True) if not name.startswith("-")]

    assert [name for name in commands if f"searchsvc {name}" not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_a_heading_find_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text("utf-8"))

    assert [
        f"{name}#{anchor}" for name, anchor in links if anchor not in _anchors(page.parent / name if name else page)
    ] == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_make_targets_in_the_readme_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= set(targets)


def test_compose_serves_the_reranker_with_all_that_it_needs() -> None:
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    overrides = re.search(r"--hf-overrides=(\{.*\})", compose)

    assert overrides is not None
    assert json.loads(overrides[1]) == {
        "architectures": ["Qwen3ForSequenceClassification"],
        "classifier_from_token": ["no", "yes"],
        "is_original_qwen3_reranker": True,
    }
    assert (ROOT / "searchsvc" / "inference" / TEMPLATE_FILE).exists()
    assert f"./searchsvc/inference/{TEMPLATE_FILE}:/templates/{TEMPLATE_FILE}:ro" in compose
    assert f"--chat-template=/templates/{TEMPLATE_FILE}" in compose
    published = re.findall(r'ports: \["([^"]+)"\]', compose)
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_names_settings_that_exist() -> None:
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")

    assert set(re.findall(r"SEARCHSVC_[A-Z_]+", compose)) <= {environment_name(key) for key in KEYS}
