from __future__ import annotations

import pytest

from searchsvc.suggest import did_you_mean

NAMES = ["url", "username", "user_dictionary", "nDCG"]


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("usrname", "username"), ("user", "username"), ("URL", "url"), ("ndgc", "nDCG"), ("user_dict", "user_dictionary")],
)
def test_the_nearest_name_is_asked_for(unknown, nearest):
    assert did_you_mean(unknown, NAMES) == f"Did you mean {nearest}?"


@pytest.mark.parametrize("unknown", ["zzz", "网络"])
def test_where_none_is_near_all_are_listed(unknown):
    assert did_you_mean(unknown, NAMES) == "There are: nDCG, url, user_dictionary, username."
