from __future__ import annotations

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.collection import read_collection
from tests.support.collections import CORPUS, QRELS, QUERIES, write_collection


def test_a_plain_and_a_zipped_collection_are_the_same(tmp_path):
    plain = read_collection(write_collection(tmp_path / "plain"))
    zipped = read_collection(write_collection(tmp_path / "zipped", suffix=".gz"))

    assert plain.queries == zipped.queries == {"q1": "network name", "q2": "空指针", "q3": "large logs"}
    assert plain.qrels == zipped.qrels == {"q1": {"dns": 2, "wifi": 1}, "q2": {"java": 1}, "q3": {"disk": 1}}
    assert plain.digest == zipped.digest
    assert [document.doc_id for document in zipped.documents()] == ["wifi", "dns", "disk", "java"]


def test_the_index_depends_on_corpus_and_analyser_alone(tmp_path):
    one = read_collection(write_collection(tmp_path / "one"))
    other_queries = read_collection(write_collection(tmp_path / "two", queries=QUERIES[:1]))
    other_corpus = read_collection(write_collection(tmp_path / "three", corpus=CORPUS[1:]))

    assert one.index_name("a") == other_queries.index_name("a")
    assert len({one.index_name("a"), one.index_name("b"), other_corpus.index_name("a")}) == 3
    assert one.index_name("a").startswith("eval-")
    assert one.index_name("a") == one.index_name("a").lower()


def test_queries_without_judgements_and_judgements_without_queries_are_left_out_and_counted(tmp_path):
    queries = [*QUERIES, {"id": "q4", "text": "never judged"}]
    qrels = [*QRELS, ("q7", "dns", 1), ("q8", "dns", 1)]

    collection = read_collection(write_collection(tmp_path, queries=queries, qrels=qrels))

    assert list(collection.queries) == list(collection.qrels) == ["q1", "q2", "q3"]
    assert collection.unjudged == 1
    assert collection.orphaned == 2


def test_of_a_pair_judged_twice_the_last_grade_counts_and_negative_grades_stay(tmp_path):
    collection = read_collection(write_collection(tmp_path, qrels=[("q1", "dns", 2), ("q1", "dns", -1)]))

    assert collection.qrels == {"q1": {"dns": -1}}
    assert collection.repeated == 1


def test_judgements_of_documents_that_the_corpus_lacks_are_counted(tmp_path):
    qrels = [*QRELS, ("q1", "gone", 2), ("q2", "gone", 1), ("q3", "lost", 0)]
    collection = read_collection(write_collection(tmp_path, qrels=qrels))

    corpus = collection.check(collection.documents())

    assert (corpus.documents, corpus.lacking, corpus.lacking_relevant) == (4, 3, 2)
    assert collection.repeated == 0


def test_judgements_need_no_header(tmp_path):
    folder = write_collection(tmp_path)
    (folder / "qrels.tsv").write_text("q1\tdns\t1\r\n\r\nq2\tjava\t1\r\n")

    assert read_collection(folder).qrels == {"q1": {"dns": 1}, "q2": {"java": 1}}


def test_ids_may_be_numbers_in_the_file(tmp_path):
    collection = read_collection(
        write_collection(tmp_path, queries=[{"id": 7, "text": "seven"}], qrels=[(7, "dns", 1)])
    )

    assert collection.queries == {"7": "seven"}


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_collection(tmp_path)
    (folder / name).unlink()

    with pytest.raises(ConfigurationError, match=f"has no {name} and no {name}.gz"):
        read_collection(folder)


def test_what_is_no_folder_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere is not a folder"):
        read_collection(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("queries.jsonl", b'{"id": "q1", "text": "a"}\n{"id": "q2"}\n', "line 2: a query without text"),
        ("queries.jsonl", b'{"text": "a"}\n', "line 1: a query without an id"),
        ("queries.jsonl", b'{"id": "q1", "text": " "}\n', "line 1: a query without text"),
        ("queries.jsonl", b'\n{"id": "q1", "te\n', "line 2: not JSON"),
        ("queries.jsonl", b"[]\n", "line 1: a list where an object was expected"),
        ("queries.jsonl", b'{"id": "q1", "text": "\xff"}\n', "line 1: not UTF-8"),
        (
            "queries.jsonl",
            b'{"id": "q", "text": "a"}\n{"id": "q", "text": "b"}\n',
            "line 2: the query id 'q' came before",
        ),
        ("qrels.tsv", b"query-id\tdoc-id\tgrade\nq1 dns 1\n", "line 2: 1 columns where 3 were expected"),
        ("qrels.tsv", b"query-id\tdoc-id\tgrade\nq1\tdns\thigh\n", "line 2: the grade 'high' is not an integer"),
        ("qrels.tsv", b"query-id\tdoc-id\tgrade\nq9\tdns\t1\n", "judges none of the 3 queries"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, name, content, problem):
    folder = write_collection(tmp_path)
    (folder / name).write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        read_collection(folder)

    assert str(folder / name) in caught.value.message
    assert problem in caught.value.message


@pytest.mark.parametrize("name", ["corpus.jsonl.gz", "queries.jsonl.gz", "qrels.tsv.gz"])
@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: data[:10] + b"\xff" + data[11:]])
def test_a_damaged_gzip_file_is_named(tmp_path, name, damage):
    folder = write_collection(tmp_path, suffix=".gz")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))

    with pytest.raises(ConfigurationError, match=f"{name} cannot be read"):
        read_collection(folder)


def test_a_bad_line_of_the_corpus_is_told_when_it_is_read(tmp_path):
    collection = read_collection(write_collection(tmp_path, corpus=[*CORPUS, {"id": "x", "text": 1}]))

    with pytest.raises(ConfigurationError, match=r"corpus\.jsonl line 5: 'text' is a int"):
        list(collection.documents())
