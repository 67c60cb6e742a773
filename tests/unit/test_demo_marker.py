from __future__ import annotations

import pytest

from searchsvc.demo.marker import demo_index, forget, remember
from searchsvc.errors import ConfigurationError

PHYSICAL = "documents-v1-20260102030405"


def test_without_a_note_there_is_no_demo_index(tmp_path):
    assert demo_index(tmp_path) is None
    assert demo_index(tmp_path / "not made yet") is None


def test_the_last_note_holds_until_it_is_forgotten(tmp_path):
    remember(tmp_path / "data", "documents-v1-20250102030405")
    remember(tmp_path / "data", PHYSICAL)

    assert demo_index(tmp_path / "data") == PHYSICAL
    assert len(list((tmp_path / "data").iterdir())) == 1
    forget(tmp_path / "data")
    forget(tmp_path / "data")
    assert demo_index(tmp_path / "data") is None


@pytest.mark.parametrize("content", [b"", b"documents\n", b"\xff\xfe", b"../../etc"])
def test_a_note_that_names_no_physical_index_is_none(tmp_path, content):
    remember(tmp_path, PHYSICAL)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)

    assert demo_index(tmp_path) is None


def test_a_note_that_cannot_be_written_read_or_removed_is_told(tmp_path):
    remember(tmp_path, PHYSICAL)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir()

    with pytest.raises(ConfigurationError, match="cannot be written"):
        remember(tmp_path, PHYSICAL)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        demo_index(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be removed"):
        forget(tmp_path)
