from __future__ import annotations

import pytest

from searchsvc.documents import Document
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.candidates import read_candidates, recorded_retrievers, shuffled
from searchsvc.model import Deadline, WeightedQuery
from tests.support.collections import write_jsonl
from tests.support.requests import wanted

DOCUMENTS = [Document(doc_id=doc_id, text=f"text of {doc_id}") for doc_id in "abcd"]
RUN = "judged pool (order by doc hash: no ranking information)"


@pytest.fixture
def file(tmp_path):
    return write_jsonl(
        tmp_path / "lists:v1.jsonl.gz",
        [
            {"query_id": "q1", "run": "bm25", "docs": ["b", "a", "b"]},
            {"query_id": "q1", "run": RUN, "docs": ["c"]},
            {"query_id": 2, "run": RUN, "docs": ["d", "a"]},
        ],
    )


def test_a_run_is_chosen_by_name_and_colons_may_be_anywhere(file):
    assert read_candidates(f"{file}:bm25") == {"q1": ("b", "a")}
    assert read_candidates(f"{file}:{RUN}") == {"q1": ("c",), "2": ("d", "a")}


def test_the_only_run_needs_no_name(tmp_path):
    file = write_jsonl(tmp_path / "one.jsonl", [{"query_id": "q", "docs": ["a"]}])

    assert read_candidates(str(file)) == {"q": ("a",)}


def test_of_several_runs_one_must_be_named(file):
    with pytest.raises(ConfigurationError, match="holds 2 runs: say which one") as caught:
        read_candidates(str(file))

    assert "bm25" in caught.value.hint


def test_an_unknown_run_is_answered_with_the_nearest(file):
    with pytest.raises(ConfigurationError, match="holds no run 'bm52'") as caught:
        read_candidates(f"{file}:bm52")

    assert caught.value.hint == "Did you mean bm25?"


def test_a_missing_file_is_named():
    with pytest.raises(ConfigurationError, match=r"There is no file of candidates 'nowhere\.jsonl:bm25'"):
        read_candidates("nowhere.jsonl:bm25")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([{"run": "r", "docs": []}], "line 1: 'query_id' is missing"),
        ([{"query_id": "q", "docs": "a b"}], "line 1: 'docs' is not a list of ids"),
        ([{"query_id": "q", "docs": [["a", 1.0]]}], "line 1: 'docs' is not a list of ids"),
        ([{"query_id": "q", "docs": []}, {"query_id": "q", "docs": []}], "line 2: the query 'q' came before"),
        ([], "holds no candidate list"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_its_line(tmp_path, lines, problem):
    file = write_jsonl(tmp_path / "lists.jsonl", lines)

    with pytest.raises(ConfigurationError, match=problem):
        read_candidates(str(file))


def test_a_file_of_trec_runs_is_known_by_its_first_line(tmp_path):
    file = tmp_path / "runs.jsonl"
    file.write_text("\n  \n1 Q0 a 1 9.5 bm25\n1 Q0 b 2 9 bm25\n2 Q0 c 1 1 other\n")

    assert read_candidates(f"{file}:bm25") == {"1": ("a", "b")}
    with pytest.raises(ConfigurationError, match="holds 2 runs: say which one"):
        read_candidates(str(file))


async def test_a_retriever_gives_the_recorded_order_with_falling_scores():
    retrievers = recorded_retrievers({"q1": ("c", "a", "b")}, DOCUMENTS, query_ids=["q1", "q2"])

    found = await retrieve(retrievers["q1"], top_k=2)

    assert [(each.doc_id, each.score, each.text) for each in found.ranking] == [
        ("c", 3.0, "text of c"),
        ("a", 2.0, "text of a"),
    ]
    assert found.total.value == 3


async def test_a_query_without_a_list_finds_nothing():
    retrievers = recorded_retrievers({"q1": ("a",)}, DOCUMENTS, query_ids=["q1", "q2"])

    found = await retrieve(retrievers["q2"])

    assert len(found.ranking) == 0


def test_a_document_that_the_corpus_does_not_hold_is_named():
    with pytest.raises(ConfigurationError, match="name the document 'z'"):
        recorded_retrievers({"q1": ("a", "z")}, DOCUMENTS, query_ids=["q1"])


def test_lists_of_other_queries_need_not_be_in_the_corpus():
    assert list(recorded_retrievers({"q1": ("a",), "q9": ("z",)}, DOCUMENTS, query_ids=["q1"])) == ["q1"]


def test_shuffling_depends_on_seed_and_query_and_on_nothing_else():
    docs = tuple(map(str, range(30)))
    lists = {"q1": docs, "q2": docs}

    once = shuffled(lists, 1)

    assert once == shuffled(dict(reversed(lists.items())), 1)
    assert sorted(once["q1"]) == sorted(docs)
    assert len({docs, once["q1"], once["q2"], shuffled(lists, 2)["q1"]}) == 4
    assert lists["q1"] == docs


async def retrieve(retriever, top_k=10):
    query = WeightedQuery(text="whatever", terms=())
    return await retriever.retrieve(wanted(query, top_k=top_k, deadline=Deadline.after_ms(100)))
