from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import ConfigurationError
from searchsvc.policy.evidence import WORDS
from searchsvc.policy.files import read_model
from searchsvc.policy.model import KIND, GainModel
from searchsvc.text import ANALYSIS_VERSION


def line(mean, **coefficients):
    return {"mean": mean, "coefficients": coefficients}


def lines(gain, harm, **features):
    return {
        "features": {name: {"mean": mean, "scale": scale} for name, (mean, scale) in features.items()},
        "gain": gain,
        "harm": harm,
    }


def written(**given):
    retrieval = lines(
        [line(0.02, agreement=-0.01), line(0.03, agreement=-0.04)],
        [line(0.01, agreement=0.0), line(0.02, agreement=0.0)],
        agreement=(0.5, 0.1),
    )
    value = {
        "kind": KIND,
        "format": 1,
        "analysis": ANALYSIS_VERSION,
        "weights": [0.3, 0.5],
        "risk": 1.0,
        "retrieval": retrieval,
        "reranked": None,
    }
    return value | given


def test_the_weight_with_the_largest_gain_less_its_risk_is_chosen():
    model = GainModel.from_json(written())

    heavy, light = model.choose({"agreement": 0.4}), model.choose({"agreement": 0.55})

    assert (heavy.weight, heavy.gain, heavy.harm_chance) == pytest.approx((0.5, 0.07, 0.02))
    assert (light.weight, light.gain) == pytest.approx((0.3, 0.015))


def test_a_query_is_left_as_it_is_where_no_weight_is_worth_its_risk():
    choice = GainModel.from_json(written()).choose({"agreement": 0.7})

    assert (choice.weight, choice.gain, choice.harm_chance) == (0, 0, 0)
    assert choice.reason.startswith("left as it is: even weight 0.3 is not worth it")
    assert "against it: high agreement of the two rankings from the top" in choice.reason


def test_the_reason_tells_weight_gain_chance_and_what_speaks_for_it():
    choice = GainModel.from_json(written()).choose({"agreement": 0.4})

    assert choice.reason == (
        "weight 0.5: expected +0.070 nDCG@10, 2% chance of harm"
        " (for it: low agreement of the two rankings from the top)"
    )


def test_a_feature_beyond_what_was_learned_counts_as_three_deviations():
    model = GainModel.from_json(written())

    assert model.choose({"agreement": -5.0}).gain == pytest.approx(model.choose({"agreement": 0.2}).gain)


def test_risk_makes_the_choice_more_careful():
    harm = [line(0.01, agreement=0.0), line(0.3, agreement=0.0)]
    retrieval = written()["retrieval"] | {"harm": harm}

    bold = GainModel.from_json(written(retrieval=retrieval, risk=0.0)).choose({"agreement": 0.4})
    careful = GainModel.from_json(written(retrieval=retrieval, risk=1.0)).choose({"agreement": 0.4})

    assert (bold.weight, careful.weight) == (0.5, 0.3)


def test_a_reranker_is_listened_to_where_it_has_said_something():
    reranked = lines(
        [line(-1.0, rerank_best=0.0), line(0.5, rerank_best=0.0)],
        [line(0.0, rerank_best=0.0), line(0.0, rerank_best=0.0)],
        rerank_best=(2.0, 1.0),
    )
    model = GainModel.from_json(written(reranked=reranked))

    assert model.choose({"agreement": 0.4, "rerank_best": 2.0}).gain == 0.5
    assert model.choose({"agreement": 0.4}).gain == pytest.approx(0.07)


def test_a_model_of_another_version_of_the_analysis_is_refused():
    with pytest.raises(ConfigurationError, match="made with version 99 of the text analysis") as caught:
        GainModel.from_json(written(analysis=99))

    assert "searchsvc policy train" in caught.value.hint


def test_a_feature_that_is_not_measured_is_refused_by_name():
    retrieval = lines([line(0.0, moon=1.0)] * 2, [line(0.0, moon=1.0)] * 2, moon=(0, 1))

    with pytest.raises(ConfigurationError, match="does not measure: moon"):
        GainModel.from_json(written(retrieval=retrieval))


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "something else"},
        {"format": 2},
        {"retrieval": None},
        {"weights": [0.5]},
        {"weights": "heavy"},
        {"risk": "much"},
        {"retrieval": lines([line(0.0, agreement=1.0)] * 2, [line(0.0)] * 2, agreement=(0, 1))},
        {"retrieval": lines([line(0.0, agreement=1.0)] * 2, [line(0.0, agreement=1.0)] * 2, agreement=(0, 0))},
    ],
)
def test_what_is_no_whole_model_is_refused(broken):
    with pytest.raises(ConfigurationError, match="gain model"):
        GainModel.from_json(written(**broken))


@pytest.mark.parametrize("key", sorted(written()))
def test_a_missing_part_is_refused(key):
    value = copy.deepcopy(written())
    del value[key]

    with pytest.raises(ConfigurationError, match="gain model"):
        GainModel.from_json(value)


def test_the_file_is_named_that_is_not_there_is_no_json_or_is_no_model(tmp_path):
    absent, broken, other = (tmp_path / name for name in ("absent.json", "broken.json", "other.json"))
    broken.write_text("{", "utf-8")
    other.write_text("{}", "utf-8")

    for path in (absent, broken, other):
        with pytest.raises(ConfigurationError, match=path.name):
            read_model(path)


def test_a_model_is_read_from_a_file_as_it_was_written(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(written()), "utf-8")

    assert read_model(path) == GainModel.from_json(written())


@given(st.dictionaries(st.sampled_from(sorted(WORDS)), st.floats(-1e6, 1e6)))
def test_the_shipped_model_always_chooses_one_of_its_weights_or_none(seen):
    model = read_model()
    choice = model.choose(dict.fromkeys(WORDS, 0.0) | seen)

    assert choice.weight in (0.0, *model.weights)
    assert 0 <= choice.harm_chance <= 1
    assert (choice.gain > 0) == (choice.weight > 0)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["risk", "mean", "scale", "coefficient", "at the mean"])
def test_a_number_that_is_not_finite_is_refused(part, number):
    value = copy.deepcopy(written())
    retrieval = value["retrieval"]
    place, key = {
        "risk": (value, "risk"),
        "mean": (retrieval["features"]["agreement"], "mean"),
        "scale": (retrieval["features"]["agreement"], "scale"),
        "coefficient": (retrieval["gain"][0]["coefficients"], "agreement"),
        "at the mean": (retrieval["harm"][1], "mean"),
    }[part]
    place[key] = number

    with pytest.raises(ConfigurationError, match="no finite number"):
        GainModel.from_json(value)


@pytest.mark.parametrize("weights", [[0.3, 1.5], [0.0, 0.5], [-0.3, 0.5], [0.3, float("nan")]])
def test_what_is_no_weight_of_a_mixture_is_refused(weights):
    with pytest.raises(ConfigurationError, match="no whole gain model"):
        GainModel.from_json(written(weights=weights))


def test_a_model_without_weights_is_refused():
    empty = lines([], [], agreement=(0.5, 0.1))

    with pytest.raises(ConfigurationError, match="the weights are not one or more"):
        GainModel.from_json(written(weights=[], retrieval=empty))


def test_the_part_that_works_without_a_reranker_may_not_read_its_scores():
    retrieval = lines([line(0.1, rerank_best=0.1)], [line(0.0, rerank_best=0.0)], rerank_best=(1.0, 1.0))

    with pytest.raises(ConfigurationError, match="reads a reranker's scores"):
        GainModel.from_json(written(weights=[0.5], retrieval=retrieval))
