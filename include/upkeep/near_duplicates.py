"""Texts that are nearly the same, and training texts that hold what is judged.

A text is its set of shingles, runs of 5 words (Broder 1997, "On the resemblance and containment
of documents"); two are near duplicates where the Jaccard index of their sets, |A & B| / |A | B|,
reaches a threshold. Candidates are found by MinHash signatures of 128 values in 32 bands of 4
(Indyk & Motwani 1998): of pairs at an index of 0.8, one in 10 million is missed; each is then
compared exactly. Hashes are multiply-shift (Dietzfelbinger et al. 1997) with fixed numbers, so
the same texts give the same answer on every machine.

Overlap with what is judged: shared runs of 13 words, as GPT-3 was cleaned (Brown et al. 2020,
arXiv:2005.14165, appendix C).

Prompts of one product share their template. Shingles that stand in more than a twentieth of the
texts (and in more than 10) say nothing and are left out, unless a text has no others.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from upkeep.job_params import JobParams

SHINGLE_WORDS = 5
OVERLAP_WORDS = 13
VALUES, BANDS = 128, 32
TEMPLATE_SHARE, TEMPLATE_TEXTS = 0.05, 10
SEED = 1997

# Where words are not divided by spaces, each character counts as one.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

Shingles = frozenset[int]


class DuplicateParams(JobParams):
    """What counts as the same text.

    ``near_duplicate`` is the Jaccard index from which on the later of two texts is left out, and
    every text that is so near to a judged one. ``evaluation_overlap`` is the share of a judged
    text's runs of 13 words from which on a training text that holds them is left out.
    """

    near_duplicate: Annotated[float, Field(ge=0.5, le=1.0)] = 0.8
    evaluation_overlap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5


class Near(NamedTuple):
    """Places of the texts that are near a judged one, and near an earlier one that stays."""

    judged: list[int]
    earlier: list[int]


def near_duplicates(texts: Sequence[str], judged: Sequence[str], threshold: float) -> Near:
    """Which of ``texts`` are near duplicates; one that is left out leaves out no other."""
    every = _without_template([_shingles(text, SHINGLE_WORDS) for text in (*judged, *texts)])
    bands = _bands(every)
    seen: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    near = Near([], [])
    for place, mine in enumerate(every):
        text = place - len(judged)
        candidates = dict.fromkeys(one for band in bands[place] for one in seen[band])
        alike = [o for o in candidates if _jaccard(mine, every[o]) >= threshold]
        if text >= 0 and alike:
            (near.judged if min(alike) < len(judged) else near.earlier).append(text)
            continue
        for band in bands[place]:
            seen[band].append(place)
    return near


def overlaps(texts: Sequence[str], judged: Sequence[str], share: float) -> list[int]:
    """Places in ``texts`` that hold at least ``share`` of a judged text's runs of 13 words.

    A judged text of fewer words has none: it is compared as a whole, elsewhere.
    """
    distinct = list(dict.fromkeys(judged))
    held = _without_template([_shingles(text, OVERLAP_WORDS, whole=False) for text in distinct])
    where: dict[int, list[int]] = defaultdict(list)
    for place, shingles in enumerate(held):
        for shingle in shingles:
            where[shingle].append(place)
    found = []
    for place, text in enumerate(texts):
        mine = _shingles(text, OVERLAP_WORDS, whole=False) & where.keys()
        shared = Counter(one for shingle in mine for one in where[shingle])
        if any(n >= share * len(held[one]) for one, n in shared.items()):
            found.append(place)
    return found


def _shingles(text: str, words: int, *, whole: bool = True) -> Shingles:
    """Hashes of the runs of so many words; a shorter text is one run, or none."""
    found = _WORD.findall(text.casefold())
    if len(found) < words:
        found, words = ([" ".join(found)], 1) if found and whole else ([], words)
    runs = ("\0".join(found[n : n + words]) for n in range(len(found) - words + 1))
    return frozenset(_hash(run) for run in runs)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _without_template(every: Sequence[Shingles]) -> list[Shingles]:
    texts = Counter(shingle for shingles in every for shingle in shingles)
    most = max(TEMPLATE_TEXTS, TEMPLATE_SHARE * len(every))
    common = {shingle for shingle, n in texts.items() if n > most}
    return [shingles - common or shingles for shingles in every]


def _bands(every: Iterable[Shingles]) -> list[list[tuple[int, bytes]]]:
    """The bands of each text's signature; texts that share none are not compared."""
    import numpy as np

    random = np.random.default_rng(SEED)
    times, plus = random.integers(1, 2**64, size=(2, VALUES), dtype=np.uint64)
    rows = VALUES // BANDS
    return [list(_cut(_signature(s, times | np.uint64(1), plus), rows)) for s in every]


def _signature(shingles: Shingles, times: Any, plus: Any) -> Any:
    """MinHash: of each of the hash functions the smallest value over the set; none if empty."""
    import numpy as np

    if not shingles:
        return np.empty(0, dtype=np.uint32)
    values = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
    return ((values[:, None] * times + plus) >> np.uint64(32)).astype(np.uint32).min(axis=0)


def _cut(signature: Any, rows: int) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(signature), rows):
        yield start, signature[start : start + rows].tobytes()


def _jaccard(left: Shingles, right: Shingles) -> float:
    return len(left & right) / len(left | right)
