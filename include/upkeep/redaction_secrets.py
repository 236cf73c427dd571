"""Keys, tokens and passwords in a text: by their known forms, by their names, by their entropy.

The prefixes are those that the issuers publish so that scanners find them. The entropy is
Shannon's of the characters' frequencies, as detect-secrets and truffleHog use it, with their
limit for base64.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

ENTROPY_BITS = 4.5
NAMED_ENTROPY_BITS = 2.5
CLASSES = 3

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|AGPA|AROA)[A-Z0-9]{16}"  # Amazon
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,}"  # GitHub, GitLab
    r"|sk-(?:[a-z]{2,8}-)*[\w-]{20,}|hf_[A-Za-z0-9]{30,}"  # model providers
    r"|(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{20,}"  # Stripe
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"  # Slack
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|dop_v1_[a-f0-9]{60,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|key-[a-f0-9]{32}"  # SendGrid, Mailgun
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JWT: its header is {" in base64
    r")"
)
_NAMED = re.compile(
    r"(?i)(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|private[_-]?key|client[_-]?secret|credentials?)"
    r"[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}(?P<quote>[\"'])?(?P<value>[^\s\"'<>,;(){}\[\]]{8,512})"
    r"|(?:bearer|basic|token)\s+(?P<bearer>[\w.~+/=-]{16,512})"
)
_RANDOM = re.compile(r"(?<![\w+/=-])[\w+/-]{32,512}={0,2}(?![\w+/=-])", re.ASCII)


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand in ``text``; the same place may come twice."""
    if "PRIVATE KEY" in text:
        yield from (match.span() for match in _KEY_BLOCK.finditer(text))
    yield from (match.span() for match in _PREFIXED.finditer(text))
    for match in _NAMED.finditer(text):
        group = "value" if match["value"] else "bearer"
        if _is_named_secret(match[group]):
            yield match.span(group)
    for match in _RANDOM.finditer(text):
        if _classes(match[0]) >= CLASSES and entropy_bits(match[0]) >= ENTROPY_BITS:
            yield match.span()


def entropy_bits(text: str) -> float:
    """Shannon's entropy of the characters' frequencies: bits a character."""
    shares = [n / len(text) for n in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def _is_named_secret(value: str) -> bool:
    """A value, and not a word of a sentence or of a program that is about secrets."""
    return _classes(value) > 1 and entropy_bits(value) >= NAMED_ENTROPY_BITS and _has_digit(value)


def _has_digit(value: str) -> bool:
    return any(c.isdigit() for c in value)


def _classes(text: str) -> int:
    """How many of lower case, upper case and digits are in it."""
    return sum(any(test(c) for c in text) for test in (str.islower, str.isupper, str.isdigit))
