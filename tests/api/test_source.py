"""Which fragments of a document are marked."""

from __future__ import annotations

from searchsvc.api.source import highlights

ARTICLE = {
    "title": "Network down",
    "author": {"name": "Li", "mail": "li@example.org"},
    "comments": [{"text": "check the cable", "stars": 3}, {"text": "网络不通 again"}, [{"text": "the NETWORK"}], "odd"],
    "meta.lang": "en",
    "meta": {"lang": "zh"},
}


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
