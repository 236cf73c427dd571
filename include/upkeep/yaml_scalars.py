"""The value of one unquoted word of a YAML file, where YAML 1.1 and 1.2 agree on it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn

from upkeep.errors import ConfigError

MAX_INTEGER_DIGITS = 18
MAX_FIXED_CHARS = 12

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")

# No text that starts otherwise fits any pattern below.
_SUSPECT_STARTS = frozenset("+-.0123456789yYnNoOtTfF")
# Pattern of an unquoted value, what is wrong with it, what to write.
_TWO_MEANINGS = tuple(
    (re.compile(pattern), rule, fix)
    for pattern, rule, fix in (
        (
            r"(?i:y|yes|n|no|on|off|true|false)",
            "YAML 1.1 reads this word as true or false, YAML 1.2 does not",
            "write true or false, or put the text in quotes",
        ),
        (r"Null|NULL", "is not how nothing is written here", "write null, or put it in quotes"),
        (
            r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            "is not a finite number",
            "write a finite number",
        ),
        (
            r"[-+]?0[0-9_]+(?:\.[0-9_]*)?",
            "YAML 1.1 reads a leading zero as an octal number",
            "write it without the zero, or put it in quotes",
        ),
        (
            r"[-+]?0[xXoObB][0-9a-fA-F_]+",
            "only decimal numbers are read",
            "write the decimal number, or put it in quotes",
        ),
        (
            r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",
            "YAML 1.1 reads this as a number to the base of 60",
            "put it in quotes, or write the number of seconds",
        ),
        (
            r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?",
            "digits with underscores are a number in YAML 1.1 and a text in YAML 1.2",
            "write the digits alone, or put it in quotes",
        ),
        (
            r"\+[0-9][0-9.]*|[-+]?\.[0-9]+|[-+]?[0-9]+\.",
            "is not how a number is written here",
            "write it like 0.5, 5 or 5.0, or put it in quotes",
        ),
        (
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9].*)?",
            "only whole days are read as dates",
            "write YYYY-MM-DD, or put it in quotes",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """``file:line:column``, as editors open it."""
        return f"{self.file}:{self.line}:{self.column}"


def refuse(mark: Mark, value: object, rule: str, fix: str) -> NoReturn:
    """Raise the ConfigError of this place."""
    raise ConfigError(str(mark), value, rule, fix)


def plain_value(text: str, mark: Mark) -> Any:
    """The value of an unquoted scalar: None, bool, int, float, date or the text itself.

    Raises:
        ConfigError: a person and a reader of YAML may take it for different things.

    """
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_INTEGER_DIGITS:
            rule = f"has more than {MAX_INTEGER_DIGITS} digits"
            refuse(mark, text, rule, "write a smaller number, or put it in quotes")
        return int(text)
    if _FLOAT.fullmatch(text):
        return _finite(text, mark)
    if _DATE.fullmatch(text):
        return _day(text, mark)
    _refuse_two_meanings(text, mark)
    return text


def _finite(text: str, mark: Mark) -> float:
    number = float(text)
    if not math.isfinite(number):
        refuse(mark, text, "is not a finite number", "write a finite number")
    return number


def _day(text: str, mark: Mark) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        refuse(mark, text, f"is no day of the calendar ({error})", "write a day that exists")


def _refuse_two_meanings(text: str, mark: Mark) -> None:
    if text[0] not in _SUSPECT_STARTS:
        return
    if _EXPONENT.fullmatch(text):
        rule = "is a text in YAML 1.1 and a number in YAML 1.2"
        refuse(mark, text, rule, f"write {_both_ways(text)}")
    for pattern, rule, fix in _TWO_MEANINGS:
        if pattern.fullmatch(text):
            refuse(mark, text, rule, fix)


def _both_ways(text: str) -> str:
    """``1e-3`` as ``1.0e-3 or 0.001``."""
    mantissa, _, exponent = text.lower().lstrip("+").partition("e")
    whole, _, fraction = mantissa.partition(".")
    sign = exponent if exponent[0] in "+-" else f"+{exponent}"
    written = f"{whole or '0'}.{fraction or '0'}e{sign}"
    if len(exponent) > 3:  # noqa: PLR2004 - nobody wants a thousand zeros written out
        return written
    fixed = format(Decimal(text), "f")
    fixed = fixed if "." in fixed else f"{fixed}.0"
    return f"{written} or {fixed}" if len(fixed) <= MAX_FIXED_CHARS else written
