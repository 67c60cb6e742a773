from __future__ import annotations

import io
import statistics
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from searchsvc.cli.judge_screen import page, wrapped
from searchsvc.errors import BackendTimeout, ConfigurationError, Reason, StageError, UnknownIndex
from searchsvc.evaluation.judgements import HUMAN, JudgementFile
from searchsvc.evaluation.judging import (
    ENOUGH,
    GRADES,
    Pair,
    Session,
    agreement,
    blind_order,
    can_be_written,
    weighted_kappa,
)
from searchsvc.evaluation.pooling import pool
from searchsvc.evaluation.variants import parse_variants
from searchsvc.model import Candidate
from searchsvc.result import Stage, StageStatus, StageTrace

HEADER = "query_id\tdoc_id\tgrade\tsource\tjudged_at"
MODEL = "llm:some-model rubric relevance-v1"


def a_pair(doc_id="d1", query_id="q1", **texts):
    given = {"user_query": "network", "title": "Title", "text": "Text.", "passage": "Title\nText."}
    return Pair(query_id=query_id, doc_id=doc_id, **given | texts)


class TestOrder:
    @given(st.text(), st.lists(st.text(), unique=True), st.randoms())
    def test_neither_ranks_nor_repetitions_show(self, query_id, doc_ids, shuffler):
        doc_ids, query_id = list(filter(can_be_written, doc_ids)), query_id if can_be_written(query_id) else ""
        other = [*doc_ids, *doc_ids]
        shuffler.shuffle(other)

        assert blind_order(query_id, other) == blind_order(query_id, doc_ids)
        assert sorted(blind_order(query_id, doc_ids)) == sorted(doc_ids)

    def test_a_further_document_leaves_the_order_of_the_others(self):
        doc_ids = [f"d{number}" for number in range(20)]

        longer = blind_order("q", [*doc_ids, "new"])

        assert [doc_id for doc_id in longer if doc_id != "new"] == blind_order("q", doc_ids)

    def test_the_first_place_is_no_privilege_of_the_best(self):
        doc_ids = [f"d{rank}" for rank in range(10)]

        first = Counter(blind_order(f"q{number}", doc_ids)[0] for number in range(1000))

        assert len(first) == 10
        assert max(first.values()) < 150

    @pytest.mark.parametrize("identifier", ["a\tb", "a\nb", "a\rb", "a\0b", "\ud800"])
    def test_an_id_that_would_break_a_line_is_told_apart(self, identifier):
        assert not can_be_written(identifier)
        assert can_be_written("a b/网络?#")


class TestSession:
    def test_it_goes_forth_and_back(self):
        pairs = [a_pair(f"d{number}") for number in range(3)]
        session = Session(pairs)

        session.go_on(judged=True)
        session.go_on(judged=False)
        assert (session.total, session.judged, session.skipped, session.left) == (3, 1, 1, 1)
        assert session.current is pairs[2]

        assert session.go_back().judged is False
        assert session.current is pairs[1]
        assert session.go_back().judged is True
        assert session.current is pairs[0]
        assert session.go_back() is None
        assert (session.total, session.judged, session.skipped, session.left) == (3, 0, 0, 3)

    def test_what_was_judged_before_is_not_asked_and_can_be_undone(self):
        pairs = [a_pair(f"d{number}") for number in range(4)]

        session = Session(pairs, [("q1", "d3"), ("q9", "d0"), ("q1", "d1")])

        assert session.current is pairs[0]
        assert (session.judged, session.left) == (2, 2)
        assert [session.go_back().pair for _ in range(2)] == [pairs[1], pairs[3]]

    @given(st.integers(0, 8), st.lists(st.sampled_from("jsu"), max_size=40))
    def test_no_pair_is_lost_or_doubled(self, count, keys):
        pairs = [a_pair(f"d{number}") for number in range(count)]
        session = Session(pairs)
        for key in keys:
            if key == "u":
                session.go_back()
            elif session.current is not None:
                session.go_on(judged=key == "j")

            assert session.judged + session.skipped + session.left == session.total == count
        rest = []
        while session.current is not None:
            rest.append(session.current)
            session.go_on(judged=True)
        assert rest == pairs[count - len(rest) :]


grades = st.sampled_from(sorted(GRADES))


def table_of(ratings):
    keys = [("q", str(number)) for number in range(len(ratings))]
    one = dict(zip(keys, (first for first, _ in ratings), strict=True))
    other = dict(zip(keys, (second for _, second in ratings), strict=True))
    return agreement(one, other).table


class TestAgreement:
    @given(st.lists(st.tuples(grades, grades), min_size=1))
    def test_it_is_the_concordance_of_the_two_series(self, ratings):
        """With quadratic weights κ has a closed form over means and variances, found by another way than ours."""
        one, other = ([pair[side] for pair in ratings] for side in (0, 1))
        by_chance = statistics.pvariance(one) + statistics.pvariance(other)
        by_chance += (statistics.fmean(one) - statistics.fmean(other)) ** 2

        kappa = weighted_kappa(table_of(ratings))

        if by_chance == 0:
            assert kappa is None
        else:
            observed = statistics.fmean((first - second) ** 2 for first, second in ratings)
            assert kappa == pytest.approx(1 - observed / by_chance)
            assert -1 <= kappa <= 1

    @given(st.lists(grades, min_size=2).filter(lambda given: len(set(given)) > 1))
    def test_a_judge_agrees_with_itself(self, given):
        assert weighted_kappa(table_of([(grade, grade) for grade in given])) == 1

    @given(st.lists(st.tuples(grades, grades)))
    def test_nobody_is_the_first_judge(self, ratings):
        swapped = [(second, first) for first, second in ratings]

        assert weighted_kappa(table_of(ratings)) == weighted_kappa(table_of(swapped))

    def test_chance_gives_zero_and_opposites_less(self):
        assert weighted_kappa(table_of([(one, other) for one in GRADES for other in GRADES])) == pytest.approx(0)
        assert weighted_kappa(table_of([(0, 3), (3, 0)])) == -1

    def test_a_miss_by_two_costs_four_times_a_miss_by_one(self):
        same = [(grade, grade) for grade in GRADES] * 10
        near, far = (1 - weighted_kappa(table_of([*same, *extra])) for extra in ([(1, 2), (2, 1)], [(0, 2), (2, 0)]))

        assert 3.7 < far / near < 4.3

    def test_only_pairs_that_both_have_judged_count(self):
        agreed = agreement({("q", "a"): 3, ("q", "b"): 1}, {("q", "a"): 2, ("q", "c"): 1})

        assert agreed.pairs == 1
        assert agreed.table[3][2] == 1

    def test_it_is_unknown_until_there_are_enough_pairs(self):
        one = {("q", str(number)): number % 4 for number in range(ENOUGH)}

        assert agreement(one, one).kappa == 1
        one.popitem()
        assert agreement(one, one).pairs == ENOUGH - 1
        assert agreement(one, one).kappa is None


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


class Found:
    """A search that knows what each variant finds; a result is as much of one as pooling reads."""

    def __init__(self, hits, traces=(), fails=()):
        self.hits, self.traces, self.fails, self.requests = hits, dict(traces), fails, []

    async def __call__(self, request):
        self.requests.append(request)
        if request.query_id in self.fails:
            raise self.fails[request.query_id]
        name = "off" if request.rerank.mode == "off" else "on"
        doc_ids = self.hits.get((request.query_id, name), ())
        return Answer([Hit(Candidate(doc_id=d, score=1.0, source={"title": d, "text": "t"})) for d in doc_ids],
                      self.traces.get(name, ()))  # fmt: skip


class Answer:
    def __init__(self, hits, stages):
        self.hits, self.stages = hits, stages


class Hit:
    def __init__(self, candidate):
        self.candidate = candidate


VARIANTS = parse_variants(["a:rerank=off", "b:rerank=on"])


async def pooled(search, queries=("q1", "q2")):
    done = []
    made = await pool(
        {query_id: f"text {query_id}" for query_id in queries},
        VARIANTS,
        index="articles",
        search=search,
        done=lambda: done.append(1),
    )
    assert len(done) == len(queries)
    return made


class TestPool:
    async def test_each_document_of_any_variant_is_in_it_once(self):
        search = Found({("q1", "off"): ["x", "y"], ("q1", "on"): ["y", "z"], ("q2", "on"): ["x"]})

        made = await pooled(search)

        assert [pair.key for pair in made.pairs] == [*(("q1", d) for d in blind_order("q1", "xyz")), ("q2", "x")]
        assert {(request.index, request.top_k) for request in search.requests} == {("articles", 10)}
        assert made.pairs[-1] == a_pair("x", "q2", user_query="text q2", title="x", text="t", passage="x\nt")

    async def test_a_query_that_one_search_failed_for_is_left_out_and_told(self):
        failure = BackendTimeout("too slow")

        made = await pooled(Found({("q2", "on"): ["x"]}, fails={"q1": failure}))

        assert [pair.key for pair in made.pairs] == [("q2", "x")]
        assert made.failed == {"q1": failure}
        assert made.empty == ()

    async def test_if_every_query_fails_that_is_the_error(self):
        with pytest.raises(StageError, match="too slow"):
            await pooled(Found({}, fails=dict.fromkeys(("q1", "q2"), BackendTimeout("too slow"))))

    async def test_what_no_search_can_mend_ends_it(self):
        with pytest.raises(UnknownIndex):
            await pooled(Found({}, fails={"q1": UnknownIndex("there is none")}))

    @pytest.mark.parametrize("missing", [Reason.TRANSIENT, Reason.NOT_CONFIGURED])
    async def test_what_is_missing_is_counted(self, missing):
        off, on = (
            StageTrace(stage=Stage.RERANK, status=status, reason=reason)
            for status, reason in (
                (StageStatus.SKIPPED, Reason.SWITCHED_OFF),
                (StageStatus.SKIPPED if missing is Reason.NOT_CONFIGURED else StageStatus.DEGRADED, missing),
            )
        )
        found = {("q1", "off"): ["x", "a\tb"], ("q1", "on"): ["x"]}
        search = Found(found, traces={"off": (off,), "on": (on,)})

        made = await pooled(search)

        assert [pair.doc_id for pair in made.pairs] == ["x"]
        assert made.unwritable == 1
        assert made.empty == ("q2",)
        assert made.degraded == {"a": 0, "b": 2}


texts = st.text(st.sampled_from("ab网络，。（（ \n\t!é\u0301\x1b\u202e文"), max_size=120)


class TestPage:
    @given(texts, st.integers(4, 40))
    def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(self, text, width):
        lines = wrapped(text, width)

        assert all(line and cell_len(line) <= width for line in lines)
        assert "".join("".join(lines).split()) == "".join(
            character if character.isprintable() else "\ufffd" for character in "".join(text.split())
        )

    def test_chinese_fills_the_line_after_a_word(self):
        assert wrapped("Python 导入失败怎么办，请检查", 16) == ["Python 导入失败", "怎么办，请检查"]
        assert wrapped("wireless network", 10) == ["wireless", "network"]

    def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(self):
        assert wrapped("网络不通，重启", 8) == ["网络不", "通，重启"]
        assert wrapped("网络不（重启）", 8) == ["网络不", "（重启）"]

    @given(texts, texts, texts, st.sampled_from([(80, 24), (120, 40), (40, 12)]))
    def test_it_fits_the_terminal_whatever_the_texts(self, query, title, text, size):
        width, height = size
        console = Console(width=width, height=height, file=io.StringIO())
        session = Session([a_pair(user_query=query, title=title * 9, text=text * 20)])

        lines = console.render_lines(page(session, width=width, height=height), pad=False)

        assert len(lines) <= height
        assert all(sum(cell_len(segment.text) for segment in line) <= width for line in lines)
        assert "skip" in "".join(segment.text for line in lines for segment in line)

    def test_it_shows_progress_texts_and_keys_and_nothing_of_who_found_it(self):
        session = Session([a_pair("the-id", query_id="the-query-id", text="词" * 1200), a_pair("other")])
        session.go_on(judged=False)
        session.go_back()
        console = Console(width=80, record=True, file=io.StringIO())

        console.print(page(session, width=80, height=None))

        shown = console.export_text()
        assert "pair 1 of 2   0 judged, 0 skipped, 2 left" in shown
        assert "network" in shown
        assert "Title" in shown
        assert shown.count("词") == 1000
        assert all(f"{grade} {meaning}" in shown for grade, meaning in GRADES.items())
        assert "the-id" not in shown
        assert "rank" not in shown

    def test_control_characters_cannot_steer_the_terminal(self):
        assert wrapped("\x1b[2Jabc\x07", 40) == ["\ufffd[2Jabc\ufffd"]
