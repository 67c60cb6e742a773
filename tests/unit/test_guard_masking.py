"""What is masked before it leaves, and what is not: people search for codes, versions and numbers."""

from __future__ import annotations

import base64
import datetime
import string
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.expansion.guard.check_digits import is_card, is_id_number, luhn
from searchsvc.expansion.guard.masking import masked, masked_messages

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail to anna.smith+it@example.co.uk please", "mail to <email> please"),
        ("联系zhangsan@163.com，谢谢", "联系<email>，谢谢"),
        ("联系zhangsan＠163．com", "联系<email>"),
        ("a@b.com:请处理", "<email>:请处理"),
        ("13812345678打不通", "<phone>打不通"),
        ("电话138 1234 5678", "电话<phone>"),
        ("电话：１３８１２３４５６７８", "电话：<phone>"),
        ("+86 138-1234-5678 or +8613812345678", "<phone> or <phone>"),
        ("0086 13812345678", "<phone>"),
        ("座机 010-62345678", "座机 <phone>"),
        ("(0755) 8234567 ext", "<phone> ext"),
        ("call +1 (415) 555-2671 now", "call <phone> now"),
        ("call (415) 555-2671 or 415-555-2671", "call <phone> or <phone>"),
        ("+44 20 7946 0958", "<phone>"),
        ("身份证11010519491231002X有误", "身份证<id-number>有误"),
        ("110105 19491231 002x", "<id-number>"),
        ("card 4111 1111 1111 1111 12/26", "card <card> 12/26"),
        ("4111-1111-1111-1111", "<card>"),
        ("amex 378282246310005", "amex <card>"),
        ("amex 3782 822463 10005", "amex <card>"),
        ("银行卡6222021234567890128", "银行卡<card>"),
        ("key sk-proj-Ab12Cd34Ef56Gh78Ij90 leaked", "key <key> leaked"),
        ("AKIAIOSFODNN7EXAMPLE", "<key>"),
        ("LTAI5tAbCdEfGhIjKlMnOpQr", "<key>"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "<key>"),
        (f"token {JWT} expired", "token <key> expired"),
        ("hash d41d8cd98f00b204e9800998ecf8427e", "hash <key>"),
        ("postgres://app:s3cret!pw@db.example.com/x", "postgres://<credentials>@db.example.com/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----\nhelp", "<key>\nhelp"),
        ("login fails with password=hunter2secret today", "login fails with password=<key> today"),
        ("api_key: 'abcd1234efgh5678'", "api_key: '<key>'"),
        ("Authorization: Bearer abcdefghijklmnop1234567890", "Authorization: Bearer <key>"),
        ("密码：abc123456，登录不了", "密码：<key>，登录不了"),
        ("secret wJ4lrXUtn8EMi/K7MdENg/bPx2fiCY9xm3LeK5y+1Q", "secret <key>"),
    ],
)
def test_what_is_private_is_masked(text: str, expected: str) -> None:
    said, kinds = masked(text)

    assert said == expected
    assert kinds


@pytest.mark.parametrize(
    "text",
    [
        "error 0x80070005 access denied",
        "ORA-00942: table or view does not exist",
        "0xC000021A blue screen",
        "KB5034441 fails with 0x80070643",
        "CVE-2021-44228 log4j 2.17.1",
        "python 3.12.0rc1 and numpy==1.26.4",
        "lodash@4.17.21 or react@18.0.0-beta.next",
        "git clone git@github.com:org/repo.git",
        "ssh -T git@github.com fails",
        "import @angular/core",
        "ISBN 978-3-16-148410-0",
        "ISBN 0-306-40615-2 9783161484100",
        "EAN 4006381333931",
        "192.168.178.254:8080 and 10.0.0.1/24",
        "2001:db8:85a3::8a2e:370:7334",
        "00:1A:2B:3C:4D:5E",
        "550e8400-e29b-41d4-a716-446655440000",
        "2024-01-31T12:00:00+08:00 UTC+8",
        "unix time 1700000000 or 1700000000000",
        "GB/T 19001-2016, ISO 27001:2022",
        "ticket INC0012345678 and JIRA-13812",
        "commit 4f7efb4 reverts df1f17e",
        "C++17 g++-13 +1 for that",
        "1/2/3 12.5% 1,234,567.89",
        "linux-image-5.15.0-91-generic_5.15.0-91.101_amd64",
        "com.sun.org.apache.xerces.internal.impl.XMLEntityManager",
        "getHTTPResponseCodeFromServerAndThrow2IfItFails",
        "Base64EncodeUtf8StringToMd5HashOfInput",
        "/usr/lib/python3/dist-packages/setuptools/command/build_py",
        "NullPointerException at Foo$Bar.baz(Foo.java:138)",
        "订单号 20240131000123456",
        "如何重置密码？忘记 admin 的口令",
        "sk-learn pipeline example and sk-learn-contrib-packages-overview",
        "ASIAN characters, AKIA band",
        "part 123-4567-890 rev 12345678",
        "serial 13812345678ABC and A13812345678",
        "x13812345678.5 v13812345678",
        "windows 10 22H2 build 19045.3930",
        "password: forgotten, what now",
        "token expired error 401",
        "密码: 忘记了怎么办",
        "password=",
        "bearer token explained",
    ],
)
def test_ordinary_identifiers_stay(text: str) -> None:
    assert masked(text) == (text, ())


def with_check_digit(body: str) -> str:
    return next(number for number in (f"{body}{digit}" for digit in range(10)) if luhn(number) == 0)


@given(st.text(string.digits, min_size=15, max_size=15))
def test_a_card_has_the_right_check_digit_and_no_other(body: str) -> None:
    number = with_check_digit("4" + body[:14])
    other = number[:-1] + str((int(number[-1]) + 1) % 10)

    assert is_card(number)
    assert masked(f"karte {number} gesperrt") == ("karte <card> gesperrt", ("card",))
    assert not is_card(other)
    assert "card" not in masked(other)[1]


@given(
    st.text(string.digits, min_size=6, max_size=6),
    st.dates(datetime.date(1800, 1, 1), datetime.date(2099, 12, 31)),
    st.text(string.digits, min_size=3, max_size=3),
)
def test_one_of_eleven_check_digits_makes_an_id_number(region: str, born: object, order: str) -> None:
    body = f"{region}{born}{order}".replace("-", "")
    right = [digit for digit in "0123456789X" if is_id_number(body + digit)]

    assert len(right) == 1
    assert masked(f"证件{body}{right[0]}。") == ("证件<id-number>。", ("id-number",))


@given(st.sampled_from("3456789"), st.text(string.digits, min_size=9, max_size=9))
def test_every_chinese_mobile_number_is_a_phone(second: str, rest: str) -> None:
    assert masked(f"拨打1{second}{rest}，无人接听") == ("拨打<phone>，无人接听", ("phone",))


@given(st.binary(min_size=32, max_size=64))
def test_random_keys_in_hex_are_masked(key: bytes) -> None:
    said = key.hex()
    if any(map(str.isdigit, said)) and any(map(str.isalpha, said)):
        assert masked(f"my key is {said} .") == ("my key is <key> .", ("key",))


def test_nearly_all_random_keys_in_base64_are_masked() -> None:
    keys = [base64.b64encode(uuid.uuid5(uuid.NAMESPACE_URL, str(n)).bytes * 2).decode() for n in range(300)]

    assert sum("key" in masked(f"token {key}")[1] for key in keys) >= 290


@given(st.uuids())
def test_a_uuid_stays(value: uuid.UUID) -> None:
    assert masked(f"request {value} failed")[1] == ()
    assert masked(f"request {str(value).upper()} failed")[1] == ()


@given(st.lists(st.integers(0, 999), min_size=2, max_size=5))
def test_versions_and_addresses_stay(numbers: list[int]) -> None:
    assert masked(f"version {'.'.join(map(str, numbers))} fails")[1] == ()


@given(st.integers(0, 0xFFFFFFFF))
def test_windows_error_codes_stay(code: int) -> None:
    assert masked(f"error 0x{code:08X}")[1] == ()
    assert masked(f"error 0x{code:08x} again")[1] == ()


@given(st.text(string.ascii_uppercase, min_size=2, max_size=5), st.integers(0, 99_999))
def test_codes_of_messages_and_bugs_stay(prefix: str, number: int) -> None:
    assert masked(f"{prefix}-{number:05d}")[1] == ()


@given(st.text())
def test_any_text_can_be_masked_twice(text: str) -> None:
    said, kinds = masked(text)

    assert masked(said)[0] == said
    if not kinds:
        assert said == text


@pytest.mark.parametrize(
    "piece", ["a@", "1 ", "1-", "+1 ", "eyJ", "sk-", "A1b", "://a:", "a.b@c.d", "0", "-----BEGIN "]
)
def test_masking_takes_no_time_on_any_text(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    started = time.perf_counter()
    masked(text)

    assert time.perf_counter() - started < 1.0


def test_the_prompt_of_the_system_is_left_alone() -> None:
    messages = [
        {"role": "system", "content": "Write to help@example.com"},
        {"role": "user", "content": "help@example.com 13812345678"},
    ]
    sent, kinds = masked_messages(messages)

    assert [message["content"] for message in sent] == ["Write to help@example.com", "<email> <phone>"]
    assert kinds == ("email", "phone")
    assert messages[1]["content"] == "help@example.com 13812345678"


def test_a_password_with_an_at_sign_is_masked_whole():
    assert masked("postgres://user:p@ss@host/db")[0] == "postgres://<credentials>@host/db"
