"""Reading `[indices.NAME] base_query`: where expansion goes, what stays, and every way to write it wrongly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.elastic.adopted.base_query import PLACEHOLDER, BaseQuery, default_query, read_base_query
from searchsvc.errors import ConfigurationError

MATCH = {"match": {"title": PLACEHOLDER}}
ACCESS = {"term": {"visible_to": "everyone"}}
MARK = {"mark": {}}
MATCH_ALL = {"match_all": {}}


def read(query: Any) -> BaseQuery:
    return read_base_query("articles", json.dumps(query))


def refused(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read_base_query("articles", text)
    assert caught.value.message.startswith("[indices.articles] base_query ")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("query", "around"),
    [
        (MATCH, MARK),
        ({"bool": {"must": [ACCESS, MATCH]}}, {"bool": {"must": [ACCESS, MARK]}}),
        ({"bool": {"should": MATCH, "filter": ACCESS}}, {"bool": {"should": MARK, "filter": ACCESS}}),
        ({"bool": {"filter": [MATCH]}}, {"bool": {"filter": [MARK]}}),
        ({"dis_max": {"queries": [MATCH, ACCESS]}}, {"dis_max": {"queries": [MARK, ACCESS]}}),
        ({"constant_score": {"filter": MATCH}}, {"constant_score": {"filter": MARK}}),
        ({"boosting": {"positive": MATCH, "negative": ACCESS}}, {"boosting": {"positive": MARK, "negative": ACCESS}}),
        ({"script_score": {"query": MATCH, "script": "1"}}, {"script_score": {"query": MARK, "script": "1"}}),
        ({"pinned": {"ids": ["1"], "organic": MATCH}}, {"pinned": {"ids": ["1"], "organic": MARK}}),
        (
            {"rule": {"organic": {"bool": {"must": MATCH, "filter": ACCESS}}, "ruleset_ids": ["r"]}},
            {"rule": {"organic": {"bool": {"must": MARK, "filter": ACCESS}}, "ruleset_ids": ["r"]}},
        ),
        ({"match": {"bool": {"query": PLACEHOLDER}}}, MARK),
        (
            {"function_score": {"query": {"bool": {"must": [MATCH], "filter": [ACCESS]}}, "min_score": 2}},
            {"function_score": {"query": {"bool": {"must": [MARK], "filter": [ACCESS]}}, "min_score": 2}},
        ),
        ({"nested": {"path": "c", "query": {"nested": {"path": "c.d", "query": MATCH}}}}, MARK),
        ({"bool": {"must": [{"has_child": {"type": "x", "query": MATCH}}]}}, {"bool": {"must": [MARK]}}),
        ({"has_parent": {"parent_type": "x", "query": {"bool": {"must": [MATCH]}}}}, MARK),
        ({"simple_query_string": {"query": PLACEHOLDER}}, MARK),
        ({"span_near": {"clauses": [{"span_term": {"title": PLACEHOLDER}}]}}, MARK),
    ],
    ids=json.dumps,
)
def test_the_leaf_is_the_clause_that_holds_the_text_with_what_it_is_nested_in(query: Any, around: Any) -> None:
    assert read(query).around(MARK) == {"query": around}
    assert read(query).scope == ()


def test_conditions_in_a_clause_that_is_not_known_are_refused_for_nothing_would_hold_to_them() -> None:
    """An expansion goes beside the outermost clause that is not known: outside of the filter."""
    error = refused(json.dumps({"of_a_plugin": {"query": {"bool": {"must": [MATCH], "filter": [ACCESS]}}}}))
    assert "in a bool inside of_a_plugin" in error.message


def test_a_body_keeps_what_stands_beside_the_query() -> None:
    beside = {
        "rescore": {"query": {"rescore_query": ACCESS}},
        "min_score": 1,
        "post_filter": ACCESS,
        "indices_boost": [{"a": 2}],
        "runtime_mappings": {"x": {"type": "long"}},
    }
    base = read({"query": MATCH, **beside})

    assert base.around(MARK) == {"query": MARK, **beside}
    assert list(base.everything) == [MATCH_ALL, ACCESS]


@given(st.text())
def test_the_text_is_a_value_and_nothing_else_changes(text: str) -> None:
    query = {"bool": {"must": [{"multi_match": {"query": PLACEHOLDER, "fields": ["a"]}}], "filter": [ACCESS]}}
    base = read(query)
    for_text = base.around(base.reading(text))

    assert for_text["query"]["bool"]["must"][0]["multi_match"].pop("query") == text
    query["bool"]["must"][0]["multi_match"].pop("query")  # type: ignore[index]  # JSON
    assert for_text == {"query": query}


def test_texts_do_not_stay_behind() -> None:
    base = read(MATCH)

    assert base.reading("one") == {"match": {"title": "one"}}
    assert base.reading("two") == {"match": {"title": "two"}}
    assert base.body == {"query": MATCH}


@pytest.mark.parametrize(
    ("query", "everything"),
    [
        (MATCH, MATCH_ALL),
        ({"bool": {"must": [MATCH], "filter": [ACCESS]}}, {"bool": {"must": [MATCH_ALL], "filter": [ACCESS]}}),
        (
            {"function_score": {"query": MATCH, "min_score": 3, "boost": 2}},
            {"function_score": {"query": MATCH_ALL, "boost": 2}},
        ),
        ({"nested": {"path": "c", "query": MATCH}}, MATCH_ALL),
    ],
    ids=json.dumps,
)
def test_without_the_text_the_conditions_stay(query: Any, everything: Any) -> None:
    assert read(query).everything == (everything,)
    assert read(query).body == {"query": query}


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        (
            {"nested": {"path": "c", "query": {"bool": {"must": [MATCH], "filter": [ACCESS]}}}},
            {"nested": {"path": "c", "query": {"bool": {"must": [MATCH_ALL], "filter": [ACCESS]}}}},
        ),
        (
            {"has_child": {"type": "x", "query": {"dis_max": {"queries": [{"bool": {"must": [ACCESS, MATCH]}}]}}}},
            {"has_child": {"type": "x", "query": {"dis_max": {"queries": [{"bool": {"must": [ACCESS, MATCH_ALL]}}]}}}},
        ),
        ({"knn": {"query_vector_builder": {"e": {"model_text": PLACEHOLDER}}, "filter": ACCESS}}, ACCESS),
        ({"knn": {"query_vector_builder": {"e": {"model_text": PLACEHOLDER}}, "filter": [ACCESS]}}, ACCESS),
    ],
    ids=json.dumps,
)
def test_conditions_inside_the_leaf_hold_for_what_stands_beside_it(query: Any, scope: Any) -> None:
    base = read({"bool": {"must": [query]}})

    assert base.scope == (scope,)
    assert base.everything == ({"bool": {"must": [{"bool": {"filter": [scope]}}]}},)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"match_all": {}}, "has no {{query}}"),
        ({"dis_max": {"queries": [MATCH, MATCH]}}, "2 times, at query.dis_max.queries.0.match.title, query.dis_max"),
        ({"match": {PLACEHOLDER: "a"}}, "in a key, at query.match.{{query}}"),
        ({"wildcard": {"title": f"*{PLACEHOLDER}*"}}, "the value '*{{query}}*' at query.wildcard.title"),
        ({"match": {"title": "{{ query }}"}}, "the value '{{ query }}'"),
        ({"match": {"title": "{{{query}}}"}}, "the value '{{{query}}}'"),
        ({"bool": {"must_not": [MATCH]}}, "under bool.must_not"),
        ({"nested": {"path": "c", "query": {"bool": {"must_not": MATCH}}}}, "under bool.must_not"),
        ({"function_score": {"query": ACCESS, "functions": [{"filter": MATCH}]}}, "under function_score.functions"),
        ({"boosting": {"positive": ACCESS, "negative": MATCH}}, "under boosting.negative"),
        ({"bool": {"must": PLACEHOLDER}}, "in the place of a query, at query.bool.must"),
        ({"query": PLACEHOLDER}, "in the place of a query, at query"),
        ({"query": ACCESS, "post_filter": MATCH}, "has {{query}} in post_filter"),
        ({"bool": {"must": MATCH}, "post_filter": ACCESS}, "its keys are bool, post_filter"),
        ({"query": MATCH, "size": 5}, "the key 'size'"),
        ({"query": MATCH, "recore": {}}, "the key 'recore'"),
        ([MATCH], "is no JSON object"),
        (PLACEHOLDER, "is no JSON object"),
        ({}, "has no {{query}}"),
    ],
    ids=json.dumps,
)
def test_what_is_wrong_is_said_with_the_next_step(query: Any, said: str) -> None:
    assert said in refused(json.dumps(query)).message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"match": {\n  "title": {{query}}}}', "line 2, column 13"),
        ("", "is no JSON"),
        ('{"bool": {"filter": [], "must": {"match": {"a": "{{query}}"}}, "filter": []}}', "the key 'filter' twice"),
        ('{"match": {"a": "{{query}}", "boost": NaN}}', "is no JSON"),
        ('{"a":' * 900 + '"{{query}}"' + "}" * 900, "nested too deeply"),
        ('{"a":' * 5000 + '"{{query}}"' + "}" * 5000, ""),
    ],
)
def test_what_is_no_json_is_told_with_its_place(text: str, said: str) -> None:
    assert said in refused(text).message


@pytest.mark.parametrize(
    ("key", "hint"), [("size", "every request sets it"), ("aggs", "every request sets it"), ("recore", "rescore")]
)
def test_keys_that_cannot_stand_beside_the_query_are_explained(key: str, hint: str) -> None:
    assert hint in refused(json.dumps({"query": MATCH, key: 1})).hint


def test_the_default_has_no_conditions() -> None:
    base = default_query(lambda text: {"match": {"title": text}})

    assert base.around(base.reading("a")) == {"query": {"match": {"title": "a"}}}
    assert (base.scope, base.everything) == ((), ())
