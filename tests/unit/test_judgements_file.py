from __future__ import annotations

from datetime import datetime

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.judgements import HUMAN, JudgementFile

HEADER = "query_id\tdoc_id\tgrade\tsource\tjudged_at"
MODEL = "llm:some-model rubric relevance-v1"


class TestFile:
    def test_a_judgement_is_in_the_file_at_once_with_source_and_time(self, tmp_path):
        path = tmp_path / "qrels.tsv"
        file = JudgementFile(path)

        file.add(("q1", "文档 1"), 3, HUMAN)
        file.add(("q1", "文档 1"), 0, MODEL)

        lines = path.read_text("utf-8").splitlines()
        assert lines[0] == HEADER
        assert [line.split("\t")[:4] for line in lines[1:]] == [
            ["q1", "文档 1", "3", "human"],
            ["q1", "文档 1", "0", MODEL],
        ]
        assert datetime.fromisoformat(lines[1].split("\t")[4]).utcoffset().total_seconds() == 0
        assert JudgementFile(path).grades(HUMAN) == {("q1", "文档 1"): 3}
        assert JudgementFile(path).grades(MODEL) == {("q1", "文档 1"): 0}

    def test_the_last_line_of_a_pair_counts(self, tmp_path):
        file = JudgementFile(tmp_path / "qrels.tsv")
        for doc_id, grade in (("a", 1), ("b", 2), ("a", 3)):
            file.add(("q", doc_id), grade, HUMAN)

        assert list(file.grades(HUMAN).items()) == [(("q", "b"), 2), (("q", "a"), 3)]

    def test_taking_back_leaves_every_other_line(self, tmp_path):
        path = tmp_path / "qrels.tsv"
        file = JudgementFile(path)
        for key, grade, source in ((("q", "a"), 1, HUMAN), (("q", "a"), 2, MODEL), (("p", "a"), 3, HUMAN)):
            file.add(key, grade, source)
        before = path.read_text("utf-8").splitlines()

        file.remove(("q", "a"), HUMAN)

        assert path.read_text("utf-8").splitlines() == [before[0], *before[2:]]
        assert list(tmp_path.iterdir()) == [path]
        file.add(("q", "a"), 0, HUMAN)
        assert file.grades(HUMAN) == {("p", "a"): 3, ("q", "a"): 0}

    def test_taking_back_keeps_a_link_and_its_rights(self, tmp_path):
        (tmp_path / "real").mkdir()
        real, link = tmp_path / "real" / "kept.tsv", tmp_path / "qrels.tsv"
        JudgementFile(real)
        real.chmod(0o640)
        link.symlink_to(real)
        file = JudgementFile(link)
        file.add(("q", "a"), 1, HUMAN)

        file.remove(("q", "a"), HUMAN)

        assert link.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o640
        assert real.read_text("utf-8") == HEADER + "\n"

    def test_a_last_line_without_an_end_is_not_run_into(self, tmp_path):
        path = tmp_path / "qrels.tsv"
        path.write_text(f"{HEADER}\nq\ta\t1\thuman\t2026-01-01T00:00:00+00:00", "utf-8")

        JudgementFile(path).add(("q", "b"), 2, HUMAN)

        assert JudgementFile(path).grades(HUMAN) == {("q", "a"): 1, ("q", "b"): 2}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("query-id\tdoc-id\tgrade\nq\ta\t1\n", "line 1: not the header"),
            (f"{HEADER}\nq\ta\t1\n", "line 2: 3 columns where 5"),
            (f"{HEADER}\nq\ta\t4\thuman\tnow\n", "line 2: the grade '4' is none of 0, 1, 2, 3"),
            (f"{HEADER}\n\nq\ta\t-1\thuman\tnow\n", "line 3: the grade '-1'"),
        ],
    )
    def test_a_file_that_is_not_its_own_is_left_alone_and_the_line_named(self, tmp_path, text, told):
        path = tmp_path / "qrels.tsv"
        path.write_text(text, "utf-8")

        with pytest.raises(ConfigurationError, match=told) as caught:
            JudgementFile(path)

        assert str(path) in caught.value.message
        assert caught.value.hint
        assert path.read_text("utf-8") == text

    def test_another_encoding_is_told_with_its_line(self, tmp_path):
        path = tmp_path / "qrels.tsv"
        path.write_bytes(f"{HEADER}\n网络\ta\t1\thuman\tnow\n".encode("gb18030"))

        with pytest.raises(ConfigurationError, match="line 2: not UTF-8"):
            JudgementFile(path)

    def test_where_it_cannot_be_written_is_told_before_anything_is_judged(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"qrels\.tsv cannot be written: No such file"):
            JudgementFile(tmp_path / "absent" / "qrels.tsv")
        with pytest.raises(ConfigurationError, match="cannot be"):
            JudgementFile(tmp_path)
