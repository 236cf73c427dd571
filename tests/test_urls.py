"""Only http(s), only listed hosts, never where clouds hand out credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.urls import ALLOWED, url_fault

LISTED = {ALLOWED: "prom, Prom.Example.org ,.mon.example.org,10.0.0.7,fd00::7"}


@pytest.mark.parametrize(
    "url",
    [
        "http://prom:9090",
        "HTTPS://PROM.example.ORG/api?x=1",
        "http://a.mon.example.org",
        "http://a.b.mon.example.org:80/",
        "http://10.0.0.7:9090",
        "http://[fd00::7]:9090",
        "http://127.0.0.1:1",
        "http://localhost:9090/prefix",
        "http://[::1]:9090",
    ],
)
def test_a_listed_host_may_be_asked(url: str) -> None:
    """Names in any case, names below a listed one, and this machine."""
    assert url_fault(url, LISTED) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://prom", "is not an http(s) URL"),
        ("file:///etc/passwd", "is not an http(s) URL"),
        ("gopher://prom", "is not an http(s) URL"),
        ("prom:9090", "is not an http(s) URL"),
        ("//prom", "is not an http(s) URL"),
        ("http://", "is not an http(s) URL"),
        ("http:///x", "is not an http(s) URL"),
        ("http://prom:0", "is not an http(s) URL"),
        ("http://prom:99999", "is not a URL"),
        ("http://prom:x", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://me:pw@prom", "holds credentials"),
        ("http://me@prom", "holds credentials"),
        ("http://@prom", "holds credentials"),
        ("http://:@prom", "holds credentials"),
        ("http://prom@evil.org", "holds credentials"),
        ("http://evil.org", "evil.org is not an allowed host"),
        ("http://prom.evil.org", "prom.evil.org is not an allowed host"),
        ("http://mon.example.org", "mon.example.org is not an allowed host"),
        ("http://evilmon.example.org", "evilmon.example.org is not an allowed host"),
        ("http://127.0.0.2", "127.0.0.2 is not an allowed host"),
        ("http://127.1", "127.1 is not an allowed host"),
        ("http://[::ffff:10.0.0.7]", "is not an allowed host"),
        ("http://prom.", "no plain name"),
        ("http://evil.org\\.mon.example.org", "no plain name"),
        ("http://evil.org%2f.mon.example.org", "no plain name"),
        ("http://evil.org%00.mon.example.org", "no plain name"),
        ("http://pr\nom", "no plain name"),
        (" http://prom", "no plain name"),
        ("http://prom/\x1b[31m", "no plain name"),
        ("http://prоm", "no plain name"),  # noqa: RUF001 - a Cyrillic letter
        ("http://ｐrom", "no plain name"),  # noqa: RUF001 - a fullwidth letter
        ("http://a。mon.example.org", "no plain name"),
        ("http://evil.org／.mon.example.org", "is not a URL"),  # noqa: RUF001 - NFKC gives /
    ],
)
def test_everything_else_is_refused_in_words(url: str, fault: str) -> None:
    """C14: by scheme, by host, and wherever two parsers could read two different hosts."""
    found = url_fault(url, LISTED)
    assert found is not None
    assert fault in found[0]
    assert found[1]


# All of these reach 169.254.169.254, or another address where a cloud hands out credentials.
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "025177524776",
    "169.254.43518",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[FD00:0EC2::0254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "0",
    "[::]",
    "[::ffff:0.0.0.0]",
    "224.0.0.1",
    "[ff02::1]",
]


@pytest.mark.parametrize("host", METADATA)
def test_where_credentials_are_handed_out_is_refused_even_if_it_is_listed(host: str) -> None:
    """However it is written: the list is for names of servers, and cannot open this door."""
    environ = {ALLOWED: f"{host.strip('[]')},{host},.254,.internal"}
    found = url_fault(f"http://{host}/latest/meta-data/", environ)
    assert found is not None
    assert found[0] == "is a link-local address"


@pytest.mark.parametrize("host", METADATA)
def test_where_credentials_are_handed_out_is_refused_without_a_list(host: str) -> None:
    """The same without any list."""
    assert url_fault(f"http://{host}/", {}) is not None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "0x{:X}", "0{:o}"]))
def test_no_number_is_a_host_that_nobody_listed(number: int, form: str) -> None:
    """2852039166, 0xA9FEA9FE: whole addresses in one number are never let through."""
    assert url_fault(f"http://{form.format(number)}/", LISTED) is not None


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    """Never an exception, and without a list only this machine."""
    for url in (text, f"http://{text}", f"http://prom{text}", f"https://{text}@prom"):
        found = url_fault(url, {})
        assert found is None or all(found)
        if found is None:
            assert any(host in url for host in ("127.0.0.1", "localhost", "::1"))
