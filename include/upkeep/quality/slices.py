"""Slices that a sample's prompt says by itself: its length, and the script it is written in.

A topic is not among them: what is on which topic would have to be learnt, and would be another
slice tomorrow. Who logs it names it with the source's ``slice_field``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from upkeep.measures import SliceBy
from upkeep.records import Sample

SHORT, MEDIUM = 100, 1_000  # characters of a prompt; fixed, so that days compare


def derived(sample: Sample, wanted: Sequence[SliceBy]) -> Iterator[str]:
    """The names of the slices that a sample belongs to beside the log's own.

    >>> list(derived(Sample(id="1", slice="a", prompt="Bonjour"), ["length", "script"]))
    ['length:short', 'script:latin']
    """
    if "length" in wanted:
        n = len(sample.prompt)
        yield f"length:{'short' if n < SHORT else 'medium' if n < MEDIUM else 'long'}"
    if "script" in wanted:
        yield f"script:{script(sample.prompt)}"


def script(text: str) -> str:
    """The script of most of a text's letters, by Unicode's names: ``latin``, ``cyrillic``, ``cjk``.

    >>> script("Привет"), script("42")
    ('cyrillic', 'none')
    """
    letters = (unicodedata.name(c, "").partition(" ")[0].lower() for c in text if c.isalpha())
    ranked = Counter(name for name in letters if name)
    return max(sorted(ranked), key=lambda name: ranked[name]) if ranked else "none"
