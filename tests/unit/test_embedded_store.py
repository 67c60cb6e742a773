from __future__ import annotations

import json
from pathlib import Path

import pytest

from searchsvc.embedded.store import DataFolder, Meta
from searchsvc.errors import BackendRejected, ConfigurationError, Overloaded, UnknownIndex
from searchsvc.index_names import name_of


def test_a_new_index_is_always_newer_than_those_of_its_name(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    made = [folder.create("documents", "print") for _ in range(3)]

    assert made == sorted(set(made)) == folder.physical("documents")
    assert all(name_of(each) == "documents" for each in made)
    assert folder.physical("document") == []


def test_a_creation_that_was_killed_is_not_an_index(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "indices" / "documents-v1-20260101000000.new").mkdir(parents=True)

    assert folder.physical() == []
    assert folder.meta(folder.create("documents", "print")) == Meta(fingerprint="print")


def test_an_index_from_the_future_does_not_stay_the_newest(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "indices" / "documents-v1-29991231235959").mkdir(parents=True)

    assert folder.create("documents", "print") == "documents-v1-30000101000000"


def test_only_indices_newer_than_the_live_one_wait_to_be_published(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    first, second, third = (folder.create("documents", "print") for _ in range(3))

    assert folder.newer_than_live("documents") == [first, second, third]
    folder.publish("documents", second)
    assert folder.newer_than_live("documents") == [third]


def test_publishing_one_name_leaves_the_others(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.publish("one", "one-v1-20260101000000")
    folder.publish("two", "two-v1-20260101000000")
    folder.publish("one", "one-v1-20260102000000")

    assert DataFolder(tmp_path).aliases() == {"one": "one-v1-20260102000000", "two": "two-v1-20260101000000"}


def test_what_is_known_of_an_index_is_kept_and_its_change_is_seen(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    physical = folder.create("documents", "print")
    before = folder.stamp(physical)
    meta = Meta(fingerprint="print", documents=3, complete=True)
    folder.write_meta(physical, meta)

    assert DataFolder(tmp_path).meta(physical) == meta
    assert folder.stamp(physical) != before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"colour": 1}', b"\xff"])
def test_a_damaged_meta_file_is_said(tmp_path: Path, content: bytes) -> None:
    folder = DataFolder(tmp_path)
    physical = folder.create("documents", "print")
    (folder.folder(physical) / "meta.json").write_bytes(content)

    with pytest.raises(BackendRejected, match=f"{physical} is damaged") as caught:
        folder.meta(physical)
    assert "searchsvc index" in caught.value.hint


def test_damaged_aliases_are_said(tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_text(json.dumps(["documents"]))

    with pytest.raises(ConfigurationError, match=r"aliases\.json is damaged"):
        DataFolder(tmp_path).aliases()


def test_an_index_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)

    with pytest.raises(UnknownIndex):
        folder.meta("documents-v1-20260101000000")
    with pytest.raises(UnknownIndex):
        folder.stamp("documents-v1-20260101000000")


def test_one_load_at_a_time(tmp_path: Path) -> None:
    with DataFolder(tmp_path).writing(), pytest.raises(Overloaded), DataFolder(tmp_path).writing():
        pytest.fail("two loads at once")

    with DataFolder(tmp_path).writing():
        pass


def test_publishing_does_not_wait_for_a_load(tmp_path: Path) -> None:
    with DataFolder(tmp_path).writing():
        DataFolder(tmp_path).publish("one", "one-v1-20260101000000")

    assert DataFolder(tmp_path).aliases() == {"one": "one-v1-20260101000000"}


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    folder = DataFolder(tmp_path / "data")

    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        folder.create("documents", "print")
    assert "SEARCHSVC_DATA_DIR" in caught.value.hint
    with pytest.raises(ConfigurationError), folder.writing():
        pytest.fail("there is nothing to write to")
