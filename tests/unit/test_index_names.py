from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.errors import ConfigurationError
from searchsvc.index_names import check_index_name, is_index_name, is_physical, made_at, name_of, physical_name
from tests.support.elastic import elastic_engine
from tests.support.embedded import analyzer

NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""

NO_NAMES = (
    *("", "*", "a,b", "_all", "-a", "A", "a b", "a/b", "<a-{now}>", "a?", "文档", "a" * 201, "../up", "a\n"),
    "documents-v1-20260101000000",
)


@pytest.mark.parametrize("name", ["documents", "eval-3f2a", "kb.2026_a", "9", "a" * 200, "a-v1", "a-v1-2026"])
def test_these_name_an_index(name: str) -> None:
    check_index_name(name)

    assert is_index_name(name)
    assert not is_physical(name)
    assert name_of(name) == ""


@pytest.mark.parametrize("name", NO_NAMES)
def test_these_name_none(name: str) -> None:
    assert not is_index_name(name)
    with pytest.raises(ConfigurationError, match="cannot name an index"):
        check_index_name(name)


@pytest.mark.parametrize("name", NO_NAMES)
async def test_both_engines_refuse_them_before_they_do_anything(name: str, tmp_path: Path) -> None:
    embedded = EmbeddedEngine(tmp_path / "data", analyzer())
    said = []
    async with elastic_engine(NOBODY) as elastic:
        for engine in (embedded, elastic):
            with pytest.raises(ConfigurationError) as caught:
                await engine.admin.create(name)
            said.append(str(caught.value))
    await embedded.close()

    assert said[0] == said[1]


def test_for_a_physical_name_its_own_name_is_proposed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_index_name("kb-v1-20260101000000")

    assert "Use 'kb'" in caught.value.hint


@given(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,60}", fullmatch=True), st.integers(1, 99), st.datetimes(datetime(1000, 1, 1))
)
def test_a_physical_name_tells_its_name_and_time(name: str, version: int, moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    physical = physical_name(name, version=version, made_at=moment)

    assert is_physical(physical)
    assert not is_index_name(physical)
    assert (name_of(physical), made_at(physical)) == (name, moment)


@pytest.mark.parametrize(
    "name", ["a-v١-20260101000000", "a-v1-2026010100000", "A-v1-20260101000000", "-v1-20260101000000"]
)
def test_these_are_no_physical_names(name: str) -> None:
    assert not is_physical(name)
    assert name_of(name) == ""
