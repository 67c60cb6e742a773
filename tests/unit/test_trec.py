from __future__ import annotations

import ir_measures
import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.trec import check_ids, write_run


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
