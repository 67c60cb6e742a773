from __future__ import annotations

import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
