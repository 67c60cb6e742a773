"""Numbers that prove by a check digit what they are."""

from __future__ import annotations

import re

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_BIRTH = re.compile(r"\d{6}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]|2[2-7])\d{14}"  # Mastercard
    r"|3[47]\d{13}|3[068]\d{12}|35\d{14}"  # American Express, Diners Club, JCB
    r"|6[0-9]\d{14,17}"  # UnionPay, Discover, Maestro
    r"|9558\d{12,15}"  # ICBC's older cards
)


def is_id_number(found: str) -> bool:
    """A Chinese resident's number: GB 11643-1999 (ISO 7064 MOD 11-2), with a possible date of birth."""
    number = _without_signs(found).upper()
    if len(number) != 18 or _BIRTH.match(number) is None:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return _CHECKS[total % 11] == number[17]


def is_card(found: str) -> bool:
    """The number of a bank card: a network's first digits and length, and Luhn's check (ISO/IEC 7812-1)."""
    number = _without_signs(found)
    return _CARD.fullmatch(number) is not None and luhn(number) == 0


def luhn(number: str) -> int:
    """Luhn's sum modulo 10: 0 for a number whose check digit is right."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10


def _without_signs(found: str) -> str:
    return found.replace(" ", "").replace("-", "")
