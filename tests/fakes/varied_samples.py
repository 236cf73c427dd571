"""Samples that vary on purpose: several references, letters of all kinds, healthy and collapsed.

They are made up. They prove that a measure reads what it is given and sees what was planted; they
do not prove how large a collapse of a real model is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from upkeep.records import Sample
from upkeep.records.production import SEPARATOR

SENTENCE = "I am sorry, but I cannot help you with that request."
_VOWELS, _CONSONANTS = "aeiou", "bcdfghklmnprstvw"


def referenced(samples: Sequence[Sample], numbers: Sequence[int]) -> list[Sample]:
    """The samples with 1, 2 or 3 references each, in turn as ``numbers`` says."""
    made = []
    for place, sample in enumerate(samples):
        words = sample.reference.split()
        known = [
            sample.reference,
            " ".join([*words[2:], "Not", "so."]),
            " ".join(reversed(words)),
        ]
        number = numbers[place % len(numbers)]
        made.append(sample.model_copy(update={"reference": SEPARATOR.join(known[:number])}))
    return made


def marked(samples: Sequence[Sample]) -> list[Sample]:
    """Completions with capitals, punctuation and a word that is not English."""
    return [
        s.model_copy(update={"completion": s.completion.replace("not", "Not, größer-als") + "!"})
        for s in samples
    ]


def healthy(count: int, seed: int = 0) -> list[Sample]:
    """Sentences of 12 words from a vocabulary of 400, the frequent ones frequent (Zipf)."""
    draw = random.Random(seed)
    letters = random.Random(99)
    words = [
        "".join(letters.choice(_CONSONANTS) + letters.choice(_VOWELS) for _ in range(2 + i % 3))
        for i in range(400)
    ]
    weights = [1 / (rank + 2) for rank in range(400)]
    return [
        Sample(
            id=f"h{i:05d}",
            slice="docs" if i % 2 else "code",
            prompt=f"{i}",
            completion=" ".join(draw.choices(words, weights, k=12)),
        )
        for i in range(count)
    ]


def collapsed(samples: Sequence[Sample], share: float, text: str = SENTENCE) -> list[Sample]:
    """The samples with ``share`` of the completions, spread over all, replaced by one text."""
    draw = random.Random(1)
    hit = set(draw.sample(range(len(samples)), round(share * len(samples))))
    return [
        s.model_copy(update={"completion": text}) if i in hit else s for i, s in enumerate(samples)
    ]
