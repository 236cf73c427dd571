"""Names of measures: families and slices."""

from __future__ import annotations

import pytest

from upkeep import measures


@pytest.mark.parametrize(
    ("name", "parent", "slice_"),
    [
        ("perplexity", "perplexity", None),
        ("perplexity[editor]", "perplexity", "editor"),
        ("share[a[b]]", "share", "a[b]"),
        ("share[]", "share", ""),
        ("odd]", "odd]", None),
        ("odd[", "odd[", None),
    ],
)
def test_a_name_is_split_into_measure_and_slice(name: str, parent: str, slice_: str | None) -> None:
    """The first bracket ends the measure; what has no pair of brackets has no slice."""
    assert measures.split(name) == (parent, slice_)
    if slice_ is not None:
        assert measures.sliced(parent, slice_) == name


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("requests", "traffic"),
        ("share[editor]", "traffic"),
        ("latency_p95_ms", "latency"),
        ("cost_usd_per_1k", "cost"),
        ("price_usd_per_hour", "price"),
        ("error_rate", "errors"),
        ("perplexity", "quality"),
        ("rouge_l[editor]", "quality"),
        ("a_measure_of_tomorrow", "quality"),
    ],
)
def test_every_measure_has_a_family_and_the_unknown_is_quality(name: str, family: str) -> None:
    """What is not known to be operational is guarded like quality: the safe side."""
    assert measures.family(name) == family


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("unit:token|precision:weights i8, f32|context:64", "unit:token|context:64"),
        ("f:mean|rouge-score:0.1.2|bs:1000|seed:3|interval:Student", "f:mean"),
        ("precision:weights i8", ""),
        ("unit:token|tokenizer:0a1b", "unit:token|tokenizer:0a1b"),
        ("nrefs:1|case:lc|tok:13a", "nrefs:1|case:lc|tok:13a"),
        ("a|note:not precision:x", "a|note:not precision:x"),
        ("", ""),
    ],
)
def test_a_signature_compares_without_what_is_incidental(signature: str, expected: str) -> None:
    """Precision, versions, and what only the interval depends on."""
    assert measures.comparable(signature) == expected
