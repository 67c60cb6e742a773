from __future__ import annotations

import json

import pytest

from searchsvc.elastic.terms import (
    StoredWord,
    belongs_to,
    is_outdated,
    publish_body,
    terms_alias,
    terms_index,
    terms_pattern,
    word_lines,
)
from searchsvc.index_names import is_physical

PHYSICAL, OLDER, OTHER = "docs-v1-20260102030405", "docs-v1-20260102030404", "docs-en-v1-20260102030405"
KEPT = f"{PHYSICAL}-terms-0123456789ab"


def test_the_names_of_a_vocabulary_lead_back_to_its_index_and_name_no_index_of_documents() -> None:
    index = terms_index(PHYSICAL, "0123456789abcdef")

    assert index == KEPT
    assert belongs_to(index) == PHYSICAL
    assert not is_physical(index)
    assert not is_physical(terms_alias(PHYSICAL))
    assert belongs_to(PHYSICAL) == belongs_to("docs-terms-x") == ""
    assert terms_pattern("docs") == "docs-v*-*-terms-*"


def test_the_longest_name_still_makes_a_name_that_elasticsearch_takes() -> None:
    assert len(terms_index("n" * 200 + "-v1-20260102030405", "f" * 32)) <= 255


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (KEPT, False),
        (f"{PHYSICAL}-terms-of-an-older-load", True),
        (f"{OLDER}-terms-x", False),
        ("docs-v1-20250102030405-terms-of-an-index-that-is-gone", True),
        (f"{OTHER}-terms-x", False),
        (PHYSICAL, False),
    ],
)
def test_outdated_are_older_ones_of_the_index_and_those_of_indices_that_are_gone(index: str, expected: bool) -> None:
    assert is_outdated(index, kept=KEPT, physical=PHYSICAL, there={PHYSICAL, OLDER}) is expected


def test_the_new_vocabulary_is_published_and_the_old_one_deleted_in_one_change() -> None:
    assert publish_body(PHYSICAL, KEPT, ["old"]) == {
        "actions": [
            {"add": {"index": KEPT, "alias": f"{PHYSICAL}-terms", "is_hidden": True}},
            {"remove_index": {"index": "old"}},
        ]
    }


def test_a_word_is_stored_under_its_term() -> None:
    word = StoredWord(
        term="comput",
        surface="computer",
        forms={"computer": 2, "computers": 1},
        df=3,
        neighbours=[("电脑", 0.84321)],
        vector=b"\0" * 1024,
    )

    action, source = map(json.loads, word_lines(7, word).splitlines())

    assert action == {"index": {"_id": "comput"}}
    assert source.pop("vector") == "A" * 1366 + "=="
    assert source == {
        "place": 7,
        "term": "comput",
        "surface": "computer",
        "forms": {"computer": 2, "computers": 1},
        "df": 3,
        "neighbours": {"terms": ["电脑"], "similarities": [0.8432]},
    }
