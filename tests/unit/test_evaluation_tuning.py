from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.evaluation.tables import plain_table
from searchsvc.evaluation.tuning import Setting, choice, settings_of, tune
from searchsvc.evaluation.tuning_tables import curve_table, estimate_line, fold_line
from searchsvc.evaluation.variants import parse_variant

OFF = Setting(off=True)
MILD, BOLD, MAD = (Setting(weight=weight, terms=32) for weight in (0.3, 0.5, 0.7))
_VALUES = st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=30)


def by_query(values):
    return {f"q{number}": value for number, value in enumerate(values)}


def test_all_combinations_are_tried_and_no_expansion_first():
    found = settings_of(parse_variant("v:"), weights=(0.3, 0.5), terms=(16,), depths=(20, 50), prompts=("a", "b"))

    assert found[0] == OFF
    assert len(found) == 1 + 2 * 1 * 2 * 2
    assert Setting(weight=0.5, terms=16, depth=20, prompt="b") in found


def test_what_has_no_effect_is_not_searched():
    without_reranker = settings_of(parse_variant("v:rerank=off"), weights=(0.3, 0.5), terms=(16,), depths=(20, 50))
    without_weight = settings_of(
        parse_variant("v:expansion.form=concat"), weights=(0.3, 0.5), terms=(16,), depths=(20,)
    )

    assert [(each.weight, each.depth) for each in without_reranker] == [(None, None), (0.3, None), (0.5, None)]
    assert [(each.weight, each.terms) for each in without_weight] == [(None, None), (None, 16)]


def test_a_setting_changes_only_what_it_names():
    variant = parse_variant("v:expansion=llm,expansion.weight=0.9,rerank.depth=30,expansion.form=mixture")

    assert Setting(weight=0.3, terms=16).applied(variant, "w") == parse_variant(
        "w:expansion=llm,expansion.weight=0.3,rerank.depth=30,expansion.form=mixture,expansion.terms=16"
    )
    assert OFF.applied(variant, "w").expansion.mode == "off"


def test_of_settings_that_are_not_clearly_worse_the_least_harmful_is_chosen():
    even, odd = np.arange(100) % 2 == 0, np.arange(100) % 2 == 1
    best = np.where(even, 0.6, -0.3)
    nearly = np.where(odd, 0.28, 0.0)
    clearly_worse = np.full(100, 0.01)

    assert choice(np.array([np.zeros(100), best, nearly, clearly_worse])) == 2


def test_a_setting_that_always_loses_is_never_chosen():
    assert choice(np.array([np.zeros(10), np.full(10, -0.05)])) == 0


def test_the_estimate_judges_every_query_by_a_choice_that_it_had_no_say_in():
    gain = [0.5 if number % 4 == 0 else 0.0 for number in range(40)]
    base = [0.4] * 40
    values = [by_query(base), by_query([value + more for value, more in zip(base, gain, strict=True)])]

    found = tune([OFF, MILD], values)

    assert found.chosen.setting == MILD
    assert set(found.by_fold) == {MILD}
    assert found.estimate.mean == pytest.approx(found.chosen.gain) == pytest.approx(0.125)
    assert (found.estimate.wins, found.estimate.ties, found.estimate.losses) == (10, 30, 0)


def test_what_was_chosen_by_chance_is_worth_less_than_it_seems():
    chance = np.random.default_rng(1)
    values = [by_query(0.5 + chance.normal(0, 0.2, 60)) for _ in range(40)]

    found = tune([OFF, *(Setting(weight=number / 100) for number in range(39))], values)

    assert found.estimate.mean < found.chosen.gain or found.chosen.setting == OFF


@given(_VALUES)
def test_the_front_holds_the_best_and_the_least_harmful_and_nothing_that_is_beaten(rows):
    found = tune([OFF, MILD, BOLD], [by_query(column) for column in zip(*rows, strict=True)])

    front = [each for each in found.tried if each.on_front]
    assert max(each.gain for each in found.tried) == max(each.gain for each in front)
    assert min(each.harm for each in found.tried) == min(each.harm for each in front)
    for each in front:
        assert not any(other.gain > each.gain and other.harm < each.harm for other in found.tried)
    assert found == tune([OFF, MILD, BOLD], [by_query(column) for column in zip(*rows, strict=True)])
    assert len(found.by_fold) == min(5, len(rows))


def test_people_see_the_curve_the_choice_and_what_it_is_worth():
    base = [0.4] * 20
    values = [by_query(base), by_query([0.5] * 20), by_query([0.9] * 15 + [0.1] * 5)]

    found = tune([OFF, MILD, MAD], values)
    table = curve_table(found)
    cells = [list(column.cells) for column in table.columns]

    assert type(table) is type(plain_table())
    assert cells[0] == ["λ 0.3, n 32", "λ 0.7, n 32"]
    assert cells[3] == ["0.0%", "25.0%"]
    assert cells[2][1] == "█" * 24
    assert list(curve_table(found, narrow=True).columns[2].cells)[1] == "█" * 8
    assert "Δ nDCG@10 +0." in estimate_line(found, "nDCG@10")
    assert "λ 0.7, n 32 (5x)" in fold_line(found)
