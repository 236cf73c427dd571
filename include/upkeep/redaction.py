"""Personal data and secrets out of texts, before anything is written: pure, by pattern.

===============  =======================================================================
placeholder      what it stands for
===============  =======================================================================
``<EMAIL>``      e-mail addresses, also with ``%40`` or a full-width ``@``
``<PHONE>``      +49 .., 0049 .., (555) 234-5678, 030/1234567, and numbers after "phone"
``<IP>``         IPv4 and IPv6 addresses, but the loopback's and "any address"
``<CARD>``       card numbers of 13 to 19 digits whose check digit is right (Luhn 1960,
                 US 2,950,048; ISO/IEC 7812-1)
``<IBAN>``       account numbers whose check digits are right (ISO 13616, ISO 7064 mod 97-10)
``<SECRET>``     private keys, JWTs, keys with a known prefix (AKIA.., ghp_.., sk-..), values
                 after ``password=`` or ``token:``, and random-looking strings: at least
                 32 characters of three classes with 4.5 bits of entropy each
``<LOGIN>``      user and password of a URL
===============  =======================================================================

Where unsure it takes out too much: ``user@host.name`` in a shell command, four numbers with dots
between. It does **not** find names, street addresses, dates of birth, passport, tax or customer
numbers, user names, telephone numbers written without separator or country code, anything in an
image, nor addresses in words ("jane at example dot org"). Nor does it make texts anonymous: what
a text says can still tell who wrote it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import pairwise
from typing import NamedTuple

from upkeep.records import Sample, sha256_hex
from upkeep.records.production import SEPARATOR
from upkeep.redaction_secrets import secrets

IBAN_CHARS = (15, 34)
CARD_DIGITS = (13, 19)
ABROAD_DIGITS, HOME_DIGITS = (8, 15), (9, 15)  # a date has eight
LOCAL_CHARS = 256  # of an address, before its @: four times what is allowed
NOT_FIRST = "'`*_/=|{}~^&#!?$."  # quotes and marks around an address
ACROSS_CHARS = 400
"""How far into the answer a match that begins in the prompt is looked for."""


class Span(NamedTuple):
    """Where in a text something of a kind stands: from ``start`` to before ``end``."""

    start: int
    end: int
    kind: str


_LOGIN = re.compile(r"(?<=://)[^\s/:'\"<>]{0,256}:[^\s/'\"<>]{1,256}(?=@)")
_AT = re.compile(r"@|%40|\uff20|&#64;")
_LOCAL = re.compile(r"[\w.!#$&'*+/=?^`{|}~-]+\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.){1,8}[^\W\d_][\w-]{0,61}[^\W_]")
_IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,40}))")
_CARD = re.compile(r"(?<![\d.])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d])")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]{3,4}:[0-9A-Fa-f:]{1,36}[0-9A-Fa-f:](?![0-9A-Za-z])"
)
_ABROAD = re.compile(
    r"(?<![\w.+/-])(?:\+|00(?=[1-9]\d?[ .-]))[1-9]\d{0,2}(?:[ .-]?\(\d{1,5}\))?"
    r"(?:[ ./-]{0,2}\d{1,12}){1,7}(?!\w)"
)
_AT_HOME = re.compile(
    r"(?<![\w.+/-])(?:"
    r"(?:1[ .-])?(?:\([2-9]\d{2}\)[ .-]?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
    r"|\(?0\d{1,5}\)?(?:[ ]?[/-][ ]?|[ ])\d{2,8}(?:[ -]\d{2,8}){0,4}"
    r")(?!\w)"
)
_NAMED_PHONE = re.compile(
    r"(?i)\b(?:tele?phone|phone|tel|mobile|cell|fax|whatsapp|handy|mobil)\b[^\w\n+(]{1,4}"
    r"(?P<number>[+(]?\d(?:[ ()./-]{0,2}\d){6,14})(?!\d)"
)


def spans(text: str) -> list[Span]:
    """Everything found in ``text``, in order; what overlaps is one, of the kind found first."""
    merged: list[Span] = []
    for span in sorted(_found(text), key=lambda s: (s.start, -s.end)):
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            merged.append(Span(last.start, max(last.end, span.end), last.kind))
        else:
            merged.append(span)
    return merged


def redact(text: str) -> tuple[str, Counter[str]]:
    """``text`` with placeholders, and how many of each kind; redacting twice changes nothing.

    >>> redact("mail jane@example.org or call +44 20 7946 0958")
    ('mail <EMAIL> or call <PHONE>', Counter({'EMAIL': 1, 'PHONE': 1}))
    """
    found = spans(text)
    places = [0, *(edge for span in found for edge in span[:2]), len(text)]
    kept = [text[start:end] for start, end in list(pairwise(places))[::2]]
    marks = [f"<{span.kind}>" for span in found] + [""]
    words = "".join(part + mark for part, mark in zip(kept, marks, strict=True))
    return words, Counter(span.kind for span in found)


def redact_samples(samples: Iterable[Sample]) -> tuple[list[Sample], dict[str, int]]:
    """The samples with every field redacted, and how many of each kind were found."""
    counted: Counter[str] = Counter()
    made = [_redact_sample(sample, counted) for sample in samples]
    return made, dict(sorted(counted.items()))


def _redact_sample(sample: Sample, counted: Counter[str]) -> Sample:
    from upkeep.pictures import is_image_name

    references = sample.reference.split(SEPARATOR)
    completion = [] if is_image_name(sample.completion) else [sample.completion]
    prompt, after = _across(sample.prompt, [*completion, *references], counted)
    update = {
        "id": _name(sample.id),
        "slice": _plain(sample.slice, counted),
        "prompt": prompt,
        "reference": SEPARATOR.join(after[len(completion) :]),
    }
    if completion:
        update["completion"] = after[0]
    same = all(getattr(sample, name) == value for name, value in update.items())
    return sample if same else sample.model_copy(update=update)


def _across(prompt: str, after: Sequence[str], counted: Counter[str]) -> tuple[str, list[str]]:
    """Prompt and what follows it, redacted; a match over the seam is cut out on both sides."""
    over = [_crossing(prompt, text) for text in after]
    cut = [span.end - len(prompt) if span else 0 for span in over]
    clean = [_plain(text[n:], counted) for text, n in zip(after, cut, strict=True)]
    crossing = [span for span in over if span is not None]
    if not crossing:
        return _plain(prompt, counted), clean
    first = min(crossing)
    counted[first.kind] += 1
    return _plain(prompt[: first.start], counted) + f"<{first.kind}>", clean


def _crossing(prompt: str, text: str) -> Span | None:
    """The match that begins in ``prompt`` and ends in ``text``.

    None where an address is whole before the seam: the word after it is not part of it.
    """
    tail = max(0, len(prompt) - ACROSS_CHARS)
    before = prompt[tail:]
    if any(span.end == len(before) and span.kind == "EMAIL" for span in spans(before)):
        return None
    both = spans(before + text[:ACROSS_CHARS])
    found = next((span for span in both if span.start < len(before) < span.end), None)
    return found and Span(found.start + tail, found.end + tail, found.kind)


def _plain(text: str, counted: Counter[str]) -> str:
    words, found = redact(text)
    counted.update(found)
    return words


def _name(text: str) -> str:
    """An id redacted, and still its own: with some of the hash of what it was."""
    words, found = redact(text)
    return f"{words}-{sha256_hex(text.encode('utf-8', 'replace'))[:12]}" if found else text


def _found(text: str) -> Iterator[Span]:
    if "://" in text:
        yield from (Span(*m.span(), "LOGIN") for m in _LOGIN.finditer(text))
    yield from (Span(start, end, "SECRET") for start, end in secrets(text))
    yield from _addresses(text)
    yield from _ibans(text)
    for match in _CARD.finditer(text):
        if luhn(digits := _digits(match[0])) and _within(digits, CARD_DIGITS):
            yield Span(*match.span(), "CARD")
    for match in (*_IPV4.finditer(text), *_IPV6.finditer(text)):
        if _is_address(match[0]):
            yield Span(*match.span(), "IP")
    yield from _numbers(text, _ABROAD, ABROAD_DIGITS)
    yield from _numbers(text, _AT_HOME, HOME_DIGITS)
    yield from (Span(*m.span("number"), "PHONE") for m in _NAMED_PHONE.finditer(text))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(doubled) + sum(int(d) for d in digits[-1::-2])) % 10 == 0


def iban(text: str) -> bool:
    """Whether letters and digits without spaces are an account number: the remainder is 1.

    The first four characters go to the end, A counts 10 to Z 35, and the number is taken mod 97.
    """
    turned = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def _addresses(text: str) -> Iterator[Span]:
    for at in _AT.finditer(text):
        local = _LOCAL.search(text[max(0, at.start() - LOCAL_CHARS) : at.start()])
        domain = _DOMAIN.match(text, at.end())
        name = local[0].lstrip(NOT_FIRST) if local else ""
        if name and domain:
            yield Span(at.start() - len(name), domain.end(), "EMAIL")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        for part in _shorter(match[1]):
            plain = re.sub(r"[ -]", "", part)
            if _within(plain, IBAN_CHARS) and iban(plain):
                yield Span(match.start(), match.start() + len(part), "IBAN")
                break


def _numbers(text: str, pattern: re.Pattern[str], digits: tuple[int, int]) -> Iterator[Span]:
    for match in pattern.finditer(text):
        fits = (part for part in _shorter(match[0]) if _within(_digits(part), digits))
        if part := next(fits, ""):
            yield Span(match.start(), match.start() + len(part), "PHONE")


def _shorter(text: str) -> Iterator[str]:
    """``text``, and what is left of it without its last words: the longest first."""
    ends = [m.end() for m in re.finditer(r"[A-Za-z0-9](?![A-Za-z0-9])", text)]
    return (text[:end] for end in reversed(ends))


def _is_address(text: str) -> bool:
    try:
        found = ip_address(text)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified)


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def _within(text: str, limits: tuple[int, int]) -> bool:
    return limits[0] <= len(text) <= limits[1]
