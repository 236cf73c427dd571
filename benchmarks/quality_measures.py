"""Each quality measure against the library that it stands on, called directly.

    python -m benchmarks.quality_measures [--rounds 3] [--samples 1000 100000] [--measures bleu ..]

The library gives one number. Upkeep gives the same number (checked), an interval of 1,000
resamples, two slices with theirs, and the score of each sample. Each run is a process of its
own, the two sides in turn; seconds are from after the imports and the making of the samples until
the score is there, peak memory is the process's ``ru_maxrss`` with its samples. The first pair
warms the page cache and does not count. The goal is 1.1 times the library.

A measure is compared by a :class:`Case`; an image measure adds one whose ``material`` has
pictures.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

VOCABULARY = 5_000
WORDS = 25
WRONG = 0.3
"""Share of a reference's words that the completion has wrong."""

Texts = list[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """How one measure is called on both sides.

    ``material`` makes Upkeep's input of n samples. ``library`` imports what it needs, makes the
    same n, and gives a call without arguments that computes the score.
    """

    material: Callable[[int], Any]
    library: Callable[[int], Callable[[], float]]


def texts(n: int) -> Texts:
    """(completion, reference) of n samples: words by Zipf's law, some of them wrong."""
    draw = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=3 + i % 7)) for i in range(VOCABULARY)]
    weights = [1 / (rank + 3) for rank in range(VOCABULARY)]
    many = iter(draw.choices(words, weights, k=2 * n * WORDS))
    made = []
    for _ in range(n):
        right = [next(many) for _ in range(WORDS)]
        other = [next(many) for _ in range(WORDS)]
        said = [b if draw.random() < WRONG else a for a, b in zip(right, other, strict=True)]
        made.append((" ".join(said) + ".", " ".join(right) + "."))
    return made


def text_material(n: int) -> Any:
    """The texts as a day's samples, in two slices."""
    from upkeep.quality import Material, Settings
    from upkeep.records import Sample

    samples = [
        Sample(id=f"s{i}", slice="ab"[i % 2], prompt="", completion=completion, reference=reference)
        for i, (completion, reference) in enumerate(texts(n))
    ]
    return Material(samples, Settings(), _no_model)


def _no_model() -> NoReturn:
    raise SystemExit("no measure of this benchmark asks the model")


def sacrebleu_corpus(metric: str, n: int) -> Callable[[], float]:
    """Sacrebleu's ``corpus_score``, no bootstrap."""
    from sacrebleu import metrics

    said, right = zip(*texts(n), strict=True)
    return lambda: float(getattr(metrics, metric)().corpus_score(said, [right]).score)


def rouge_mean(variant: str, n: int) -> Callable[[], float]:
    """The mean f of rouge-score's ``score``."""
    from rouge_score.rouge_scorer import RougeScorer

    pairs, scorer = texts(n), RougeScorer([variant])
    return lambda: statistics.fmean(scorer.score(b, a)[variant].fmeasure for a, b in pairs)


def groups_of(n: int) -> Iterator[list[str]]:
    """The completions in the groups that Upkeep deals."""
    from upkeep.quality.groups import dealt

    said = [completion for completion, _ in texts(n)]
    return ([said[place] for place in group] for group in dealt(n, seed=0))


def nltk_distinct(n: int) -> Callable[[], float]:
    """Distinct nltk bigrams of sacrebleu's words, by group."""
    import nltk
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    groups, words = list(groups_of(n)), Tokenizer13a()

    def distinct() -> float:
        found = []
        for group in groups:
            pairs = [pair for text in group for pair in nltk.bigrams(words(text).split())]
            found.append(len(set(pairs)) / len(pairs))
        return statistics.fmean(found)

    return distinct


def sacrebleu_self(n: int) -> Callable[[], float]:
    """Sacrebleu's ``sentence_score`` of each completion against the others of its group."""
    from sacrebleu.metrics import BLEU

    groups, metric = list(groups_of(n)), BLEU(effective_order=True)
    return lambda: statistics.fmean(
        metric.sentence_score(text, [*group[:i], *group[i + 1 :]]).score
        for group in groups
        for i, text in enumerate(group)
    )


CASES: dict[str, Case] = {
    "bleu": Case(text_material, partial(sacrebleu_corpus, "BLEU")),
    "chrf": Case(text_material, partial(sacrebleu_corpus, "CHRF")),
    "rouge_1": Case(text_material, partial(rouge_mean, "rouge1")),
    "rouge_2": Case(text_material, partial(rouge_mean, "rouge2")),
    "rouge_l": Case(text_material, partial(rouge_mean, "rougeL")),
    "rouge_lsum": Case(text_material, partial(rouge_mean, "rougeLsum")),
    "distinct_2": Case(text_material, nltk_distinct),
    "self_bleu": Case(text_material, sacrebleu_self),
}


def upkeep_call(name: str, n: int) -> Callable[[], float]:
    """Upkeep's measure; its library is imported by a small call, outside the clock."""
    from upkeep.quality import measure

    found, small, material = measure(name), CASES[name].material(100), CASES[name].material(n)
    found(small, name)
    return lambda: found(material, name).score


def library_call(name: str, n: int) -> Callable[[], float]:
    """The library alone."""
    return CASES[name].library(n)


SIDES = {"upkeep": upkeep_call, "library": library_call}


def one_run(side: str, name: str, n: int) -> dict[str, float]:
    """Score, seconds and peak memory (MB) of one process."""
    command = [sys.executable, "-m", "benchmarks.quality_measures", "--side", side, name, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(name: str, n: int, rounds: int) -> None:
    """Print both sides' medians and the median of the pairs' ratios."""
    runs = [tuple(one_run(side, name, n) for side in SIDES) for _ in range(rounds + 1)][1:]
    if any(abs(a["score"] - b["score"]) > 1e-9 * max(1.0, abs(b["score"])) for a, b in runs):
        raise SystemExit(f"{name}: the sides do not agree: {runs}")
    ours, theirs = (
        {key: statistics.median(run[key] for run in side) for key in side[0]}
        for side in zip(*runs, strict=True)
    )
    ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in runs)
    memory = statistics.median(a["rss_mb"] / b["rss_mb"] for a, b in runs)
    print(
        f"{name:11} {n:>7,} samples  upkeep {n / ours['seconds']:9,.0f}/s {ours['rss_mb']:5.0f} MB"
        f"  library {n / theirs['seconds']:9,.0f}/s {theirs['rss_mb']:5.0f} MB"
        f"  time x{ratio:.2f}  memory x{memory:.2f}",
        flush=True,
    )


def main() -> None:
    """Compare each measure at each size; ``--side`` is one run of one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--measures", nargs="*", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "MEASURE", "SAMPLES"))
    asked = parser.parse_args()
    if asked.side:
        side, name, n = asked.side
        call = SIDES[side](name, int(n))
        start = time.perf_counter()
        score = call()
        seconds = time.perf_counter() - start
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"score": score, "seconds": seconds, "rss_mb": rss_mb}))
        return
    for name in asked.measures:
        for n in asked.samples:
            compare(name, n, asked.rounds)


if __name__ == "__main__":
    main()
