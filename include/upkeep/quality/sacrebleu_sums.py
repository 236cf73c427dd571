"""What BLEU and chrF share: sacrebleu's counts of each sample, which add up to a corpus score.

The counts are taken once, a thousand samples at a time, and the n-grams forgotten again. The
corpus score and every resample of its bootstrap are sacrebleu's own formula over their sums
(Koehn 2004, "Statistical significance tests for machine translation evaluation").
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from upkeep.measures import better
from upkeep.quality import Material, Score, Settings, by_slice, finite, with_reference
from upkeep.quality.intervals import percentile_interval, resampled_sums
from upkeep.records import Sample, SliceScore

if TYPE_CHECKING:
    from upkeep.measures import MeasureName

CHUNK = 1000


def corpus_score(
    name: MeasureName, unit: str, corpus: Any, sentence: Any, material: Material
) -> Score:
    """Score the completions against all their references with sacrebleu's ``corpus`` metric.

    ``sentence`` is the metric that scores one sample alone. The signature is sacrebleu's, with
    its number of references (``nrefs:var`` where it varies), and the bootstrap's. Raises
    ParamError where fewer than ``min_samples`` samples have a reference.
    """
    settings = material.settings
    known = with_reference(name, material.samples, settings)
    counts = np.concatenate(
        [_counts(corpus, known[at : at + CHUNK]) for at in range(0, len(known), CHUNK)]
    )
    whole = _slice(name, "all", corpus, counts, settings)
    return Score(
        measure=name,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit=unit,
        direction=better(name),
        signature=f"{_signature(corpus, known)}|bs:{settings.resamples}|seed:{settings.seed}",
        slices=tuple(
            _slice(name, part, corpus, counts[places], settings)
            for part, places in by_slice(known, settings).items()
        ),
        per_sample={
            sample.id: _score(sentence, row)
            for sample, row in zip(known, counts.tolist(), strict=True)
        },
    )


def _streams(samples: Sequence[Sample]) -> list[tuple[str | None, ...]]:
    """Reference j of every sample, for each j; None where a sample has fewer."""
    return list(zip_longest(*(sample.references for sample in samples)))


def _counts(metric: Any, samples: Sequence[Sample]) -> NDArray[np.int64]:
    """The statistics of each sample, shape [n, k], as sacrebleu's own bootstrap takes them."""
    found = metric._extract_corpus_statistics(  # noqa: SLF001 - sums have no public door
        [s.completion for s in samples], _streams(samples)
    )
    return np.array(found, dtype=np.int64)


def _score(metric: Any, sums: Sequence[float]) -> float:
    whole = [int(value) for value in sums]
    return float(metric._compute_score_from_stats(whole).score)  # noqa: SLF001 - as above


def _slice(
    name: str, where: str, metric: Any, counts: NDArray[np.int64], settings: Settings
) -> SliceScore:
    n = len(counts)
    score = finite(name, where, _score(metric, counts.sum(axis=0).tolist()))
    if n == 1:
        return SliceScore(name=where, score=score, interval=None, n=n)
    scores = np.array([_score(metric, row) for row in resampled_sums(counts, settings).tolist()])
    return SliceScore(name=where, score=score, interval=percentile_interval(scores, settings), n=n)


def _signature(metric: Any, samples: Sequence[Sample]) -> str:
    """sacrebleu's, after it has seen every number of references that there is."""
    numbers = {len(sample.references): sample for sample in samples}
    seen = list(numbers.values())
    metric.corpus_score([s.completion for s in seen], _streams(seen))
    return str(metric.get_signature())
