"""The strict YAML reader: what it refuses, with the place, and what it reads."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from upkeep import yaml_strict
from upkeep.errors import ConfigError
from upkeep.yaml_strict import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_yaml, read_yaml

BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
# A chain of aliases, each one level deeper: few values, endless nesting.
LADDER = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, MAX_DEPTH + 1))

REFUSED = {
    "C2-duplicate-key": ("max: 0.01\nmax: 0.5\n", "2:1", "duplicate key, first written in line 1"),
    "C2-duplicate-in-flow": ("{a: 1, a: 2}", "1:8", "duplicate key"),
    "C2-duplicate-other-quotes": ('a: 1\n"a": 2\n', "2:1", "duplicate key"),
    "C3-tab-indent": ("a:\n\tb: 1\n", "2:1", "indented with a tab; indent with spaces"),
    "C3-tab-in-continuation": ("a: b\n  \tc\n", "2:3", "indented with a tab"),
    "C4-no": ("a: no", "1:4", "true or false"),
    "C4-Yes": ("a: Yes", "1:4", "true or false"),
    "C4-off": ("a: off", "1:4", "true or false"),
    "C4-TRUE": ("a: TRUE", "1:4", "true or false"),
    "C4-sexagesimal": ("a: 12:30:45", "1:4", "base of 60"),
    "C4-octal": ("a: 010", "1:4", "octal"),
    "C4-octal-1.2": ("a: 0o10", "1:4", "only decimal"),
    "C4-hex": ("a: 0x1F", "1:4", "only decimal"),
    "C4-exponent": ("a: 1e-3", "1:4", "write 1.0e-3 or 0.001"),
    "C4-exponent-capital": ("a: 2.5E6", "1:4", "write 2.5e+6 or 2500000.0"),
    "C4-exponent-large": ("a: 1e300", "1:4", "write 1.0e+300"),
    "C4-exponent-huge": ("a: 1e999999999", "1:4", "write 1.0e+999999999"),
    "C4-underscores": ("a: 1_000", "1:4", "underscores"),
    "C4-plus": ("a: +5", "1:4", "write it like"),
    "C4-no-leading-digit": ("a: .5", "1:4", "write it like"),
    "C4-timestamp": ("a: 2026-01-01T10:00:00Z", "1:4", "only whole days"),
    "C4-short-date": ("a: 2026-1-1", "1:4", "only whole days"),
    "C4-no-such-day": ("a: 2026-02-30", "1:4", "no day of the calendar"),
    "C4-NULL": ("a: NULL", "1:4", "write null"),
    "C4-long-integer": ("a: " + "9" * 5000, "1:4", "more than 18 digits"),
    "C5-inf": ("a: .inf", "1:4", "not a finite number"),
    "C5-minus-inf": ("a: -.Inf", "1:4", "not a finite number"),
    "C5-nan": ("a: .nan", "1:4", "not a finite number"),
    "C5-overflow": ("a: 1.0e+999", "1:4", "not a finite number"),
    "C7-alias-bomb": (BOMB, "5:11", f"more than {MAX_VALUES} values with every alias"),
    "C7-many-values": ("- 1\n" * (MAX_VALUES + 1), "10000:3", f"more than {MAX_VALUES} values"),
    "C7-alias-ladder": (LADDER, "32:", f"nested deeper than {MAX_DEPTH}"),
    "C7-alias-of-itself": ("a: &x [*x]", "1:8", "names no finished value"),
    "C7-alias-unknown": ("a: *x", "1:4", "names no finished value"),
    "C8-brackets": ("[" * 3000, "1:33", f"nested deeper than {MAX_DEPTH}"),
    "C8-braces": ("{a: " * 3000, "1:129", f"nested deeper than {MAX_DEPTH}"),
    "C8-dashes": ("- " * 3000 + "1", "1:65", f"nested deeper than {MAX_DEPTH}"),
    "C9-python-object": ("a: !!python/object/apply:os.system [id]", "1:4", "tags are not read"),
    "C9-harmless-tag": ("a: !!str 1", "1:4", "tags are not read"),
    "C9-tag-on-mapping": ("!x\na: 1", "1:1", "tags are not read"),
    "C23-empty": ("", "1:1", "holds no value"),
    "C23-comments": ("# nothing\n# at all\n", "1:1", "holds no value"),
    "two-documents": ("a: 1\n---\nb: 2\n", "2:1", "one document"),
    "merge-key": ("<<: {a: 1}", "1:1", "merge keys"),
    "list-as-key": ("? [a]\n: 1", "1:3", "a key is a plain word"),
    "alias-as-key": ("a: &x b\n*x : 1", "2:1", "names no finished value"),
    "nul": ("a: b\0", "1:5", "not a printable character"),
    "nul-by-escape": ('a: "b\\0"', "1:4", "unprintable"),
    "escape-sequence": ("a: \x1b[31m", "1:4", "not a printable character"),
    "unclosed": ('a: "b', "1:", "is not YAML"),
    "two-colons": ("a: b: c", "1:5", "is not YAML"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_with_place_rule_and_fix(case: str) -> None:
    """What is malformed or has two meanings is refused in one line that says where and why."""
    text, place, words = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert caught.value.where.startswith(f"f.yaml:{place}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_the_same_without_the_c_library(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML in plain Python leads to a refusal in the same line."""
    monkeypatch.setattr(yaml_strict, "_LOADER", yaml.SafeLoader)
    text, place, _ = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert caught.value.where.startswith(f"f.yaml:{place.partition(':')[0]}:")


READ = {
    "integer": ("-3", -3),
    "zero": ("0", 0),
    "float": ("0.60", 0.6),
    "exponent": ("1.0e-3", 0.001),
    "true": ("true", True),
    "null": ("null", None),
    "nothing": ("", None),
    "day": ("2026-03-19", date(2026, 3, 19)),
    "quoted-day": ('"2026-03-19"', "2026-03-19"),
    "quoted-no": ('"no"', "no"),
    "quoted-number": ("'1e-3'", "1e-3"),
    "month": ("2026-11", "2026-11"),
    "variable": ("${UPKEEP_LOGS}/x", "${UPKEEP_LOGS}/x"),
    "words": ("no traffic at 12:30", "no traffic at 12:30"),
    "arabic-digits": ("١٢", "١٢"),
    "umlaut": ("größer", "größer"),
}


@pytest.mark.parametrize("case", READ, ids=READ)
def test_reads_what_has_one_meaning(case: str) -> None:
    """Values that YAML 1.1 and 1.2 agree on keep their value and their type."""
    text, value = READ[case]
    read = parse_yaml(f"key: {text}\n", "f.yaml").plain()["key"]
    assert read == value
    assert type(read) is type(value)


def test_aliases_within_the_limits_are_written_out() -> None:
    """An honest alias gives the anchor's value, in the place of the alias."""
    root = parse_yaml("a: &x {b: [1, 2]}\nc: *x\n", "f.yaml")
    assert root.plain() == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert root.nearest(("c",)).mark.line == 2


def test_every_value_knows_its_place() -> None:
    """Marks are of the key in mappings and of the element in lists, counted from 1."""
    root = parse_yaml("a: 1\nb:\n  - c: 2\n  - 3\n", "f.yaml")
    places = {loc: (n.mark.line, n.mark.column) for loc, n in root.walk()}
    assert places == {
        (): (1, 1),
        ("a",): (1, 1),
        ("b",): (2, 1),
        ("b", 0): (3, 5),
        ("b", 0, "c"): (3, 5),
        ("b", 1): (4, 5),
    }


def test_the_nearest_place_of_what_is_not_written_is_its_parent() -> None:
    """A missing key is shown where it would stand."""
    root = parse_yaml("a: 1\nb:\n  c: 2\n", "f.yaml")
    assert root.nearest(("b", "nothing")).mark.line == 2
    assert root.nearest(("b", "nothing", "c")).mark.line == 3
    assert root.nearest(("b", 5)).mark.line == 2


def test_c10_a_file_of_ten_megabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    """Not more than the limit is read of a file that is too large."""
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "x" * 10_000_000)
    with pytest.raises(ConfigError, match=rf"big.yaml:1:1: .* larger than {MAX_BYTES} bytes"):
        read_yaml(path)


def test_a_file_of_just_the_limit_is_read(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    path = tmp_path / "f.yaml"
    path.write_text("a: " + "x" * (MAX_BYTES - 3))
    assert len(read_yaml(path).plain()["a"]) == MAX_BYTES - 3


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    """What Windows editors write is the same file."""
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(path).plain() == {"a": 1, "b": 2}


@pytest.mark.parametrize("data", [b"a: 1\nb: \xff\n", "a: 1\n".encode("utf-16")])
def test_other_encodings_are_refused(tmp_path: Path, data: bytes) -> None:
    """Bytes that are not UTF-8 are named with their line."""
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="save the file as UTF-8"):
        read_yaml(path)


def test_a_pipe_or_folder_is_refused_without_reading_it(tmp_path: Path) -> None:
    """A named pipe would block for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml"):
        with pytest.raises(ConfigError, match="is not a regular file"):
            read_yaml(tmp_path / name)


def test_c14_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    """A loop of links, and a link to nothing, are errors of that file."""
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "a.yaml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text leads to anything but a value or a ConfigError."""
    try:
        parse_yaml(text, "f.yaml").plain()
    except ConfigError as error:
        assert error.where.startswith("f.yaml:")  # noqa: PT017 - both outcomes are right


YAML_WORDS = st.sampled_from(
    ["a: ", "- ", "\n", "  ", "&x ", "*x", "[", "]", "{", "}", ", ", "1", "!t "]
)


@given(st.lists(YAML_WORDS, max_size=60).map("".join))
def test_any_heap_of_yaml_is_read_or_refused(text: str) -> None:
    """Nor does any mixture of YAML's own marks."""
    try:
        parse_yaml(text, "f.yaml").plain()
    except ConfigError as error:
        assert error.where.startswith("f.yaml:")  # noqa: PT017 - both outcomes are right
