from __future__ import annotations

import gzip

import ir_measures
import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.trec import check_ids, read_runs, write_run


def test_a_run_has_six_columns_and_falling_scores(tmp_path):
    write_run(tmp_path / "base.trec", {"q1": ["b", "文档"], "q2": [], "q3": ["a"]}, tag="base")

    assert (tmp_path / "base.trec").read_text("utf-8").splitlines() == [
        "q1 Q0 b 1 2 base",
        "q1 Q0 文档 2 1 base",
        "q3 Q0 a 1 1 base",
    ]


def test_a_run_is_read_back_in_the_same_order(tmp_path):
    rankings = {"q1": ["b", "a", "c"], "q2": ["z"]}
    write_run(tmp_path / "v.trec", rankings, tag="v")

    read: dict[str, list[tuple[float, str]]] = {}
    for line in ir_measures.read_trec_run(str(tmp_path / "v.trec")):
        read.setdefault(line.query_id, []).append((-line.score, line.doc_id))

    assert {query_id: [doc_id for _, doc_id in sorted(found)] for query_id, found in read.items()} == rankings


@pytest.mark.parametrize("spaced", ["a b", "a\tb", " a", "a\u3000b"])
def test_an_id_with_a_space_is_refused(spaced):
    with pytest.raises(ConfigurationError, match=r"The document id .* has a space in it"):
        check_ids(["fine", spaced], what="document")


def test_ids_without_spaces_pass():
    check_ids(["a", "ü-1", "文档"], what="document")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"v\.trec cannot be written"):
        write_run(tmp_path / "missing" / "v.trec", {}, tag="v")


def test_a_written_run_is_read_back(tmp_path):
    rankings = {"q1": ("b", "文档", "a"), "q2": ("z",)}
    write_run(tmp_path / "v.trec", rankings, tag="v")

    assert read_runs(tmp_path / "v.trec") == {"v": rankings}


def test_scores_decide_and_of_equal_scores_the_rank(tmp_path):
    file = tmp_path / "runs.gz"
    lines = "q Q0 last 1 -1 a\nq Q0 third 4 2.5 a\nq Q0 second 3 2.5 a\nq\tQ0\tfirst\t9\t1e3\ta\nq Q0 x 1 1 b\n"
    file.write_bytes(gzip.compress(lines.encode()))

    assert read_runs(file) == {"a": {"q": ("first", "second", "third", "last")}, "b": {"q": ("x",)}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q Q0 a 1 2", "5 columns where a TREC run has 6"),
        ("[1, 2]", "2 columns where a TREC run has 6"),
        ("q Q0 a 1 high v", "the score 'high' is no number"),
        ("q Q0 a 1 nan v", "the score 'nan' is no number"),
        ("q Q0 a first 2 v", "the rank 'first' is not an integer"),
    ],
)
def test_a_line_that_is_none_of_a_run_is_named(tmp_path, line, problem):
    file = tmp_path / "runs.trec"
    file.write_text(f"q Q0 ok 1 1 v\n{line}\n")

    with pytest.raises(ConfigurationError) as caught:
        read_runs(file)

    assert f"line 2: {problem}" in caught.value.message
