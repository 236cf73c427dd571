"""Redaction: what is found, what is left alone, and that a match over a seam is no way through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.records import Sample
from upkeep.records.production import SEPARATOR
from upkeep.redaction import iban, luhn, redact, redact_samples
from upkeep.redaction_secrets import entropy_bits

# Put together here, so that no scanner of this repository takes them for real ones.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp" + "_" + "16C7e42F292c6912E7710c838347Ae178B4a"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0" + ".c2lnbmF0dXJl"
KEY_BLOCK = "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ\nabc\n-----END " + "PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("EMAIL", "to jane.doe+tag@mail.example.co.uk, now", "to <EMAIL>, now"),
        ("EMAIL", "<jane@example.org>", "<<EMAIL>>"),
        ("EMAIL", "'jane@example.org'", "'<EMAIL>'"),
        ("EMAIL", "mailto:jane%40example.org?subject=x", "mailto:<EMAIL>?subject=x"),
        ("EMAIL", "jörg@müller.example", "<EMAIL>"),
        ("EMAIL", "jane\uff20example.org", "<EMAIL>"),
        ("EMAIL", r"a\njane@example.org\n", r"a\<EMAIL>\n"),
        ("PHONE", "call +44 20 7946 0958 today", "call <PHONE> today"),
        ("PHONE", "+1 (555) 234-5678", "<PHONE>"),
        ("PHONE", "0049 30 123456", "<PHONE>"),
        ("PHONE", "(555) 234-5678 or 555-234-5678", "<PHONE> or <PHONE>"),
        ("PHONE", "030/1234567 or 0171 2345678", "<PHONE> or <PHONE>"),
        ("PHONE", "01 42 68 53 00", "<PHONE>"),
        ("PHONE", "phone: 5552345678", "phone: <PHONE>"),
        ("IP", "from 192.168.3.4:8080", "from <IP>:8080"),
        ("IP", "2001:db8::1 and fe80::1", "<IP> and <IP>"),
        ("CARD", "4111 1111 1111 1111", "<CARD>"),
        ("CARD", "5500-0000-0000-0004.", "<CARD>."),
        ("IBAN", "DE89 3704 0044 0532 0130 00 bis", "<IBAN> bis"),
        ("IBAN", "GB82WEST12345698765432", "<IBAN>"),
        ("LOGIN", "postgres://me:s3cr@t@db/x", "postgres://<LOGIN>@db/x"),
        ("SECRET", f"key {AWS}.", "key <SECRET>."),
        ("SECRET", GITHUB, "<SECRET>"),
        ("SECRET", JWT, "<SECRET>"),
        ("SECRET", f"{KEY_BLOCK}\nend", "<SECRET>\nend"),
        ("SECRET", "password=hunter22x", "password=<SECRET>"),
        ("SECRET", "api_key: 'a8f5f167f44f4964e6c998de'", "api_key: '<SECRET>'"),
        ("SECRET", "Authorization: Bearer abcdefghij1234567890", "Authorization: Bearer <SECRET>"),
        ("SECRET", "x aGVsbG8gV29ybGQxMjM0NTY3ODkwQUJDREVGR0hJSktMTU5P y", "x <SECRET> y"),
    ],
)  # fmt: skip
def test_what_is_personal_or_secret_is_replaced_by_its_kind(
    kind: str, text: str, expected: str
) -> None:
    """And nothing around it."""
    words, counts = redact(text)
    assert words == expected
    assert set(counts) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3 of 2024-01-02 03:04:05, 01-02-2024 at 12:30:45",
        "10,000.00 or 1_000_000 or 0.41111111111111111",
        "127.0.0.1 and 0.0.0.0 and ::1 and 256.1.1.1",
        "[::2] x[1::2] std::map a::b @app.route x @ y.T",
        "4111 1111 1111 1112 has a wrong check digit",
        "GB82WEST12345698765433 has wrong check digits",
        "the password must contain 8 letters; token: something",
        "http://example.org/a:b@c",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "a_very_long_identifier_of_a_function_in_some_module",
        "RFC 2616 section 14.9 and 2007 2008 2009",
        "",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    """Numbers, versions, dates, code and hashes: a model learns from them."""
    assert redact(text) == (text, {})


@given(st.text(alphabet="ab1.@:/+-<>() 0249%_=\n", max_size=60))
def test_redacting_twice_changes_nothing(text: str) -> None:
    """The worker may go over what the cycle went over."""
    once, _ = redact(text)
    assert redact(once)[0] == once


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_planted_address_is_gone_whatever_stands_around_it(before: str, after: str) -> None:
    """Any characters, also ones that could belong to an address."""
    assert "planted.person@" not in redact(f"{before}planted.person@example.org{after}")[0]


def test_an_address_over_the_seam_of_prompt_and_answer_is_found() -> None:
    """Half of it in the prompt, half in the completion or in one of the references."""
    sample = Sample(
        id="1",
        slice="docs",
        prompt="write to jane.d",
        completion="oe@example.org now",
        reference=SEPARATOR.join(["oe@example.org!", "nobody"]),
    )
    [clean], counts = redact_samples([sample])
    assert clean.prompt == "write to <EMAIL>"
    assert clean.completion == " now"
    assert clean.references == ("!", "nobody")
    assert counts == {"EMAIL": 1}


def test_the_answers_first_word_is_no_part_of_a_whole_address() -> None:
    """The prompt ends with it, and the answer begins at once."""
    sample = Sample(id="1", slice="docs", prompt="ask jane@example.org", reference="two words")
    [clean], counts = redact_samples([sample])
    assert (clean.prompt, clean.reference, counts) == ("ask <EMAIL>", "two words", {"EMAIL": 1})


def test_every_field_is_redacted_and_ids_stay_different() -> None:
    """Also where somebody used an address as the request's id or slice."""
    samples = [
        Sample(id=f"{who}@example.org", slice=f"{who}@example.org", prompt="p", reference=who)
        for who in ("jane", "john")
    ]
    clean, counts = redact_samples(samples)
    assert "@" not in "".join(s.canonical_bytes().decode() for s in clean)
    assert len({s.id for s in clean}) == 2
    assert counts == {"EMAIL": 2}


def test_an_images_name_is_no_secret() -> None:
    """It is a hash, and the image is looked for under it."""
    sample = Sample(id="1", slice="7", prompt="", completion=f"images/{'0aB9'.lower() * 16}.png")
    assert redact_samples([sample]) == ([sample], {})


def test_samples_without_anything_are_the_same_objects() -> None:
    """The usual case costs no copy."""
    sample = Sample(id="1", slice="docs", prompt="one", reference=" two", completion=" 2")
    assert redact_samples([sample])[0][0] is sample


@pytest.mark.parametrize(
    ("digits", "right"), [("4111111111111111", True), ("4111111111111112", False), ("0", True)]
)
def test_luhns_digit(digits: str, right: bool) -> None:  # noqa: FBT001
    """As cards have it."""
    assert luhn(digits) is right


def test_ibans_check_digits() -> None:
    """The examples of the registry of ISO 13616."""
    assert iban("GB82WEST12345698765432")
    assert iban("DE89370400440532013000")
    assert not iban("GB82WEST12345698765433")


def test_entropy_is_shannons() -> None:
    """Four equal shares are two bits."""
    assert entropy_bits("abcd") == 2.0
    assert entropy_bits("aaaa") == 0.0
