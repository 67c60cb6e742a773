"""Which part of a document's source comes back, and which fragments of it are marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.api.source import highlights, picked

ARTICLE = {
    "title": "Network down",
    "author": {"name": "Li", "mail": "li@example.org"},
    "comments": [{"text": "check the cable", "stars": 3}, {"text": "网络不通 again"}, [{"text": "the NETWORK"}], "odd"],
    "meta.lang": "en",
    "meta": {"lang": "zh"},
}
NAMES = st.sampled_from(["a", "b", "c", "a.b"])
SOURCES = st.dictionaries(
    NAMES,
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)),
)


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["title"], {"title": "Network down"}),
        (["author.name"], {"author": {"name": "Li"}}),
        (["author"], {"author": ARTICLE["author"]}),
        (["comments.stars"], {"comments": [{"stars": 3}]}),
        (
            ["comments.text"],
            {"comments": [{"text": text} for text in ("check the cable", "网络不通 again", "the NETWORK")]},
        ),
        (["meta.lang"], {"meta.lang": "en", "meta": {"lang": "zh"}}),
        (["title.raw", "nope", "author.nope", "auth", ""], {}),
        ([], {}),
    ],
)
def test_a_path_leads_through_objects_arrays_and_dotted_keys(paths, kept) -> None:
    assert picked(ARTICLE, paths) == kept


@given(SOURCES, st.lists(st.sampled_from(["a", "b", "a.b", "c.a", "a.b.c", "b.c"]), max_size=3))
def test_what_is_picked_can_be_picked_again_and_top_level_keys_come_whole(source, paths) -> None:
    once = picked(source, paths)

    assert picked(once, paths) == once
    assert all(once[key] == source[key] for key in source if key in paths)
    assert all(any(path == key or path.startswith(f"{key}.") for path in paths) for key in once)


def test_arrays_of_any_depth_are_read() -> None:
    deep: object = {"text": "network"}
    for _ in range(5000):
        deep = [deep]

    assert picked({"a": deep}, ["a.text"]) == {"a": [{"text": "network"}]}
    assert highlights({"a": deep}, ["a"], {"network"}) == {"a": ["<em>network</em>"]}


def test_each_string_of_a_field_is_a_fragment_if_something_in_it_is_marked() -> None:
    found = highlights(ARTICLE, ["title", "comments.text", "author", "nope"], {"network", "网络"})

    assert found == {
        "title": ["<em>Network</em> down"],
        "comments.text": ["<em>网络</em>不通 again", "the <em>NETWORK</em>"],
    }


def test_five_fragments_of_a_field_come_back() -> None:
    found = highlights({"notes": [f"network {number}" for number in range(9)]}, ["notes"], {"network"})

    assert found == {"notes": [f"<em>network</em> {number}" for number in range(5)]}


def test_marks_that_are_the_documents_own_are_no_match() -> None:
    source = {"a": "an <em>old</em> mark", "b": "an <em>old</em> network"}

    assert highlights(source, ["a", "b"], {"network"}) == {"b": ["an <em>old</em> <em>network</em>"]}
