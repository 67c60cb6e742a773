from __future__ import annotations

import pytest

from searchsvc.errors import InvalidRequest
from searchsvc.methods import check_shares, parse_methods
from searchsvc.model import MethodShare


@pytest.mark.parametrize(
    ("written", "shares"),
    [
        ("llm", [("llm", 1.0)]),
        ("llm+dictionary", [("llm", 1.0), ("dictionary", 1.0)]),
        ("llm*1+neighbours*0.5", [("llm", 1.0), ("neighbours", 0.5)]),
        (" llm * 2 + prf ", [("llm", 2.0), ("prf", 1.0)]),
        ("llm*10", [("llm", 10.0)]),
    ],
)
def test_methods_are_joined_by_plus_and_weighted_by_times(written, shares):
    assert parse_methods(written) == tuple(MethodShare(name=name, weight=weight) for name, weight in shares)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("llm+llm", "The method 'llm' comes twice."),
        ("llm*1+prf+llm*2", "The method 'llm' comes twice."),
        ("llm*0", "The weight of the method 'llm' is '0'"),
        ("llm*-1", "The weight of the method 'llm' is '-1'"),
        ("llm*10.5", "a number above 0, at most 10, was expected"),
        ("llm*nan", "The weight of the method 'llm' is 'nan'"),
        ("llm*inf", "The weight of the method 'llm' is 'inf'"),
        ("llm*much", "The weight of the method 'llm' is 'much'"),
        ("llm*1*2", "The weight of the method 'llm' is '1*2'"),
        ("llm*", "The weight of the method 'llm' is ''"),
        ("llm+", "'llm+' names a method without a name."),
        ("*0.5", "names a method without a name."),
        ("", "names a method without a name."),
        ("a+b+c+d+e+f+g+h+i", "9 methods are named; at most 8"),
    ],
)
def test_what_is_no_list_of_methods_is_told(written, message):
    with pytest.raises(InvalidRequest) as caught:
        parse_methods(written)

    assert message in caught.value.message
    assert caught.value.pointer == "/expansion/method"


def test_shares_from_elsewhere_are_checked_in_their_own_place():
    with pytest.raises(InvalidRequest, match="comes twice") as caught:
        check_shares([MethodShare(name="prf"), MethodShare(name="prf", weight=2)], pointer="/expansion/methods")

    assert caught.value.pointer == "/expansion/methods"
