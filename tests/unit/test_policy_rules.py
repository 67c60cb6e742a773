"""What `auto` expands, on the kinds of queries that people type."""

from __future__ import annotations

import time

import pytest

from searchsvc.policy.rules import decide


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ('"exact phrase" docker', "quoted phrase"),
        ("“连接被拒绝”", "quoted phrase"),
        ("「空指针」", "quoted phrase"),
        ("ModuleNotFoundError", "identifier"),
        ("java.lang.NullPointerException", "identifier"),
        ("0x80070005", "identifier"),
        ("ORA-00942", "identifier"),
        ("innodb_buffer_pool_size", "identifier"),
        ("std::vector", "identifier"),
        ("/etc/resolv.conf", "path"),
        ("C:\\Windows\\System32", "path"),
        ("https://example.org/a", "path"),
        ("~/.ssh/config", "path"),
        ("open('a.csv')", "code"),
        ("if (a == b) {", "code"),
        ("SELECT * FROM users", "code"),
        ("import os.path", "code"),
        ("from os import path", "code"),
        ("print(1)", "code"),
        ("$ git push", "code"),
        ("title:linux kernel panic", "field syntax"),
        ("kernel +lang:zh", "field syntax"),
        ("updated_at:[2020 TO 2021] docker", "field syntax"),
        ("docker AND (proxy OR timeout)", "field syntax"),
        ("word " * 61, "very long query"),
        ("网络不通怎么办" * 18, "very long query"),
    ],
)
def test_exact_text_is_left_as_it_is(query: str, reason: str) -> None:
    decision = decide(query)

    assert (decision.expand, decision.reason) == (False, reason)


@pytest.mark.parametrize(
    "query",
    [
        "python 导入失败",
        "java null指针异常处理",
        "linux网络不通",
        "docker",
        "why is my computer slow",
        "cannot open /etc/resolv.conf after reboot",
        "what does ModuleNotFoundError mean",
        "it's broken, don't know why",
        "how to import a csv file",
        "网页打不开",
        "电脑蓝屏(win10)怎么办",
        "无法连接(错误)",
        "import failed",
        "file(s) missing",
        "select the best laptop from dell",
        "what does open() do",
        "error: cannot open shared object file",
        "meeting at 10:30 tomorrow",
        "DO AND DONT OF DOCKER",
        "标题:网络不通",
        "word " * 60,
    ],
)
def test_words_are_expanded(query: str) -> None:
    assert decide(query).expand


def test_a_decision_takes_no_time_whatever_the_query() -> None:
    started = time.perf_counter()
    for query in (
        "a1" * 4095 + "!!",
        "(" * 8192,
        "a(" * 4000,
        "/" * 8192,
        "<a" * 4000,
        "import " * 1000,
        "a:" * 4096,
        "a AND " * 1300,
    ):
        decide(query)

    assert time.perf_counter() - started < 1
