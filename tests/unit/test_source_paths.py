"""What stands at dotted paths of a document's source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.source_paths import picked, strings_in, values_at

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
    assert list(values_at({"a": deep}, "a.text")) == ["network"]
    assert list(strings_in({"a": deep})) == ["network"]


@pytest.mark.parametrize(
    ("document", "values"),
    [
        ({"a": {"b": 1}}, [1]),
        ({"a.b": 1}, [1]),
        ({"a": [{"b": 1}, {"b": [2, 3]}, {}]}, [1, 2, 3]),
        ({"a": None}, []),
        ({"a": {"b": None}}, []),
        ({"ab": 1, "a": "x"}, []),
        ({"a": {"b": {"c": 1}}}, [{"c": 1}]),
        ({"a": False, "a.b": False}, [False]),
    ],
)
def test_values_are_found_through_objects_arrays_and_dotted_keys(document, values) -> None:
    assert list(values_at(document, "a.b")) == values


@given(SOURCES, st.sampled_from(["a", "b", "a.b", "c.a", "a.b.c"]))
def test_values_at_a_path_are_those_of_what_is_picked_there(source, path) -> None:
    assert list(values_at(source, path)) == list(values_at(picked(source, [path]), path))
