from __future__ import annotations

import random

import numpy as np
import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.training import READ, READ_RERANKED, WEIGHTS, Case, cross_fitted, fit, judge
from searchsvc.policy.model import GainModel


def cases(queries=40, *, group="mine", runs=3, names=READ, seed=1):
    """Where the lists agree, a heavy expansion gains; where they do not, every expansion harms."""
    dice = random.Random(seed)
    found = []
    for number in range(queries):
        for _ in range(runs):
            agreement = dice.uniform(-1, 1)
            features = {name: dice.uniform(-1, 1) for name in names} | {"agreement": agreement}
            gains = tuple(weight * agreement * 0.5 for weight in WEIGHTS)
            found.append(Case(group=group, query_id=f"q{number}", features=features, gains=gains))
    return found


def test_what_tells_gain_from_loss_is_learned():
    model = GainModel.from_json(fit(cases()))

    assert model.choose(dict.fromkeys(READ, 0.0) | {"agreement": 0.9}).weight == 0.7
    assert model.choose(dict.fromkeys(READ, 0.0) | {"agreement": -0.9}).weight == 0


def test_a_ridge_line_is_the_solution_of_its_normal_equations():
    given = cases(names=("agreement", *READ[1:]))
    value = fit(given, shrinkage=0.5)["retrieval"]
    names = list(value["features"])
    read = np.array([[case.features[name] for name in names] for case in given])
    read = np.clip((read - read.mean(axis=0)) / read.std(axis=0), -3, 3)
    apart = read - read.mean(axis=0)
    wanted = np.array([case.gains[0] for case in given])
    solved = np.linalg.solve(
        apart.T @ apart / len(given) + 0.5 * np.eye(len(names)), apart.T @ (wanted - wanted.mean()) / len(given)
    )

    assert list(value["gain"][0]["coefficients"].values()) == pytest.approx(solved.tolist())
    assert [each["mean"] for each in value["features"].values()] == pytest.approx(
        [np.mean([case.features[name] for case in given]) for name in names]
    )


def test_every_collection_counts_the_same_and_every_query_in_it():
    small = [Case(group="small", query_id="a", features=dict.fromkeys(READ, 0.0), gains=(0.4,) * 5)]
    many = [
        Case(group="many", query_id=query, features=dict.fromkeys(READ, 0.0), gains=(gain,) * 5)
        for query, gain, runs in (("b", 0.0, 9), ("c", 0.2, 1))
        for _ in range(runs)
    ]

    fitted = fit([*small, *many])["retrieval"]["gain"][0]["mean"]

    assert fitted == pytest.approx(0.5 * 0.4 + 0.25 * 0.0 + 0.25 * 0.2)


def test_scores_of_a_reranker_are_learned_from_only_where_every_case_has_them():
    with_scores = cases(names=READ_RERANKED)

    assert fit(with_scores)["reranked"]["features"].keys() == set(READ_RERANKED)
    assert fit([*with_scores, *cases(1, group="other")])["reranked"] is None


def test_the_judgement_is_of_queries_that_the_model_did_not_see():
    """Every query has a feature of its own that tells all: what is learned of it helps no other query."""
    dice = random.Random(3)
    lucky = [
        Case(
            group="noise",
            query_id=f"q{number}",
            features=dict.fromkeys(READ, 0.0) | {"agreement": dice.uniform(-1, 1)},
            gains=(dice.choice((-0.3, 0.3)),) * 5,
        )
        for number in range(60)
    ]
    found = judge(lucky, cross_fitted(lucky))

    assert found.auto.gain < found.room / 2
    assert found.over_never.interval is not None


def test_a_learnable_choice_beats_both_always_and_never():
    given = cases()
    found = judge(given, cross_fitted(given))

    assert (found.queries, found.cases) == (40, 120)
    assert found.over_always.mean > 0 < found.over_never.mean
    assert found.auto.harm < found.always.harm
    assert found.auto.gain == pytest.approx(found.over_never.mean)
    assert found.taken == pytest.approx((found.auto.gain - found.always.gain) / (found.room - found.always.gain))


def test_a_collection_is_judged_by_its_own_queries():
    given = [*cases(20), *cases(10, group="other", seed=2)]
    chosen = cross_fitted(given)

    assert [judge(given, chosen, group).queries for group in ("mine", "other", None)] == [20, 10, 30]


def test_the_same_cases_give_the_same_figures():
    given = cases(12)

    assert judge(given, cross_fitted(given)) == judge(given, cross_fitted(given))


def test_one_query_is_too_few():
    with pytest.raises(ConfigurationError, match="One query"):
        cross_fitted(cases(1))
