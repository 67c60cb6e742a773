from __future__ import annotations

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.grid import grid_variants, window_measure
from searchsvc.evaluation.serving import Serving, as_served
from searchsvc.evaluation.variants import TIMEOUT_MS, parse_variant, parse_variants
from searchsvc.model import Mode, Wait


def test_complete_waits_for_expansions_and_live_no_longer_than_the_api():
    plain, named = variants = (parse_variant("plain:"), parse_variant("named:timeout_ms=700"))

    complete, live = as_served(variants, Serving.COMPLETE), as_served(variants, Serving.LIVE)

    assert [each.timeout_ms for each in complete] == [TIMEOUT_MS, 700]
    assert {each.expansion.wait for each in complete} == {Wait.COMPLETE}
    assert [each.timeout_ms for each in live] == [2000, 700]
    assert {each.expansion.wait for each in live} == {Wait.ANSWER}
    assert [each.rerank for each in live] == [plain.rerank, named.rerank]


def test_the_request_of_a_live_search_is_that_of_the_api():
    (variant,) = as_served([parse_variant("v:expansion=llm")], Serving.LIVE)

    request = variant.request("q1", "text", index="i", depth=10)

    assert (request.timeout_ms, request.expansion.wait, request.expansion.mode) == (2000, Wait.ANSWER, Mode.ON)


def test_a_grid_switches_expansion_and_reranker_of_one_variant():
    made = grid_variants([parse_variant("v:expansion=llm,expansion.weight=0.3,rerank=off,rerank.depth=30")])

    assert [each.name for each in made] == ["base", "expand", "rerank", "expand+rerank"]
    assert [each.expansion.mode for each in made] == [Mode.OFF, Mode.ON, Mode.OFF, Mode.ON]
    assert [each.rerank.mode for each in made] == [Mode.OFF, Mode.OFF, Mode.ON, Mode.ON]
    assert {each.rerank.depth for each in made} == {30}
    assert {each.expansion.weight for each in made} == {0.3}
    assert window_measure(made) == "R@30"


def test_a_grid_of_recorded_expansions_has_two_variants_without_any():
    made = grid_variants(
        [parse_variant("v:expansion=auto,expansion.method=recorded,expansion.file=f,expansion.run=m/l")]
    )

    assert [each.expansion.recorded is None for each in made] == [True, False, True, False]
    assert [each.expansion.mode for each in made] == [Mode.OFF, Mode.AUTO, Mode.OFF, Mode.AUTO]


@pytest.mark.parametrize("specs", [["v:expansion=off"], ["a:", "b:"]])
def test_what_makes_no_grid_is_refused(specs):
    with pytest.raises(ConfigurationError):
        grid_variants(parse_variants(specs))
