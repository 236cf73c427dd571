"""Which production texts a retraining learns from: by slice, and by what people said. Pure.

An output's rating is the mean over the criteria of the mean of its raters, 1 (bad) to 5 (good);
criteria with fewer raters than ``reviews.min_raters`` do not count. The rule:

- rated at most ``bad_rating``: what the model answered is no target. Where production knows the
  right answer (``reference``), that one is learnt: it was not what people looked at. Where it
  does not, the sample is left out.
- rated at least ``good_rating``: preferred. It is taken first where ``max_per_slice`` has no room
  for all, and where no reference is known its completion is the target (learning from answers
  that were accepted: Dong et al. 2023, RAFT, arXiv:2304.06767).
- everything else: as if nobody had said anything.

The evaluation set is never chosen by ratings: it stays what production asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import fmean
from typing import NamedTuple

from upkeep.judgement_answers import Admitted, Output
from upkeep.pictures import is_image_name
from upkeep.records import Sample, sha256_hex
from upkeep.records.production import SEPARATOR
from upkeep.records.training import TrainingSelection
from upkeep.spec import RetrainJob

Dated = tuple[date, Sample]
"""A sample and the day that it was collected."""


class Chosen(NamedTuple):
    """The samples to learn from in the order given, how many were left out, and why in words."""

    samples: list[Sample]
    counts: dict[str, int]
    words: tuple[str, ...]

    def record(
        self, model: str, day: date, original: int, redacted: Mapping[str, int]
    ) -> TrainingSelection:
        """All of it as the record that the job reads."""
        return TrainingSelection(
            model=model,
            day=day,
            counts={**self.counts, "original": original},
            redacted=dict(redacted),
            words=self.words,
        )


def ratings_of(admitted: Admitted, min_raters: int) -> dict[Output, float]:
    """What people gave each output, 1 to 5; none where too few said anything."""
    by_criterion: dict[Output, list[float]] = defaultdict(list)
    for criterion in sorted({rating.criterion for rating in admitted.kept}):
        for output, row in admitted.counts(criterion).items():
            if sum(row) >= min_raters:
                mean = sum(value * n for value, n in enumerate(row, start=1)) / sum(row)
                by_criterion[output].append(mean)
    return {output: fmean(means) for output, means in sorted(by_criterion.items())}


def choose_training(
    offered: Sequence[Dated],
    ratings: Mapping[Output, float],
    job: RetrainJob,
    drifted: Sequence[str],
) -> Chosen:
    """The samples that a retraining learns from; ``drifted`` are the slices of the day's drift."""
    counts: Counter[str] = Counter(production=len(offered))
    only = frozenset(drifted) if job.slices == "drifted" else frozenset()
    kept: list[tuple[Sample, bool]] = []
    for day, sample in offered:
        rating = ratings.get((day, sample.id))
        if only and sample.slice not in only:
            counts["other_slices"] += 1
        elif rating is not None and rating <= job.bad_rating and not sample.references:
            counts["rated_bad_left_out"] += 1
        else:
            good = rating is not None and rating >= job.good_rating
            kept.append((_with_target(sample, counts) if good else sample, good))
            counts["rated_good"] += good
            counts["rated_bad_reference_learnt"] += rating is not None and rating <= job.bad_rating
    chosen = _under_cap(kept, job.max_per_slice)
    counts["over_max_per_slice"] = len(kept) - len(chosen)
    return Chosen(chosen, {k: n for k, n in sorted(counts.items()) if n}, _words(job, only))


def _with_target(sample: Sample, counts: Counter[str]) -> Sample:
    """A well rated sample: its completion is the target where no reference is known."""
    if sample.references or not sample.completion or is_image_name(sample.completion):
        return sample
    counts["completions_learnt"] += 1
    return sample.model_copy(update={"reference": sample.completion.replace(SEPARATOR, " ")})


def _under_cap(kept: Sequence[tuple[Sample, bool]], most: int | None) -> list[Sample]:
    """At most so many of each slice: well rated first, then by the hash of the id."""
    if most is None:
        return [sample for sample, _ in kept]

    def place(number: int) -> tuple[bool, str]:
        sample, good = kept[number]
        return not good, sha256_hex(sample.id.encode("utf-8", "replace"))

    slices: dict[str, list[int]] = defaultdict(list)
    for number, (sample, _) in enumerate(kept):
        slices[sample.slice].append(number)
    taken = {n for numbers in slices.values() for n in sorted(numbers, key=place)[:most]}
    return [sample for number, (sample, _) in enumerate(kept) if number in taken]


def _words(job: RetrainJob, only: frozenset[str]) -> tuple[str, ...]:
    if job.slices != "drifted":
        return ()
    if not only:
        return ("no slice drifted: production texts of all slices are learnt",)
    return (f"of production only the drifted slices are learnt: {', '.join(sorted(only))}",)
