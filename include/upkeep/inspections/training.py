"""Training pipeline: what the model was last trained on, and how, against today's traffic.

What is compared are texts (prompt and reference) by slice and by length, copies among the
training texts, evaluation texts among them, and the loss curve of the last retraining.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from upkeep.group_shares import share_of, shares
from upkeep.inspections import Found, Material, finder
from upkeep.near_duplicates import DuplicateParams, near_duplicates, overlaps
from upkeep.records import Candidate, ReviewFinding, Sample, Uninspected
from upkeep.samples import choose_samples

MOST_TEXTS = 20_000
"""More training texts than this are sampled by the hash of their id, and the review says so."""

SERVED_SHARE = 0.05
TIMES_LESS = 3.0
"""A slice matters from this share of the traffic on, and lacks where it is trained so much less."""

SHORT, MEDIUM = 100, 1_000  # characters
STILL_FALLING_NATS = 0.01
MOST_PASSES = 16.0
"""Repeating the same texts more often gains nothing (Muennighoff et al. 2023, arXiv:2305.16264)."""

MOST_NAMED = 5
OLD_DAYS = 90
USUAL = DuplicateParams()
"""What a retraining takes for the same text, unless it is told otherwise."""

_HELD_OUT = re.compile(r"loss_held_out\[(\d+)\]")
_find = finder("training")


def review(material: Material) -> Sequence[Found]:
    """Leaks, copies, what traffic has and training lacks, and the course of the last retraining."""
    texts, offered = choose_samples(material.training, MOST_TEXTS), len(material.training)
    if not texts:
        words = "no training text is recorded: register the model with --training, or retrain it"
        found: list[Found] = [Uninspected(area="training", what="training data", words=words)]
    else:
        served = material.served
        found = [
            *_leaks(texts, material.evaluation),
            *_copies(texts),
            *_lacking("slice", texts, served, lambda s: s.slice),
            *_lacking("length", texts, served, lambda s: length_of(s.text)),
            _looked_at(material, texts, offered),
        ]
    made = material.facts.retrained
    if made is None:
        words = "no retraining of this model is recorded"
        return [*found, Uninspected(area="training", what="hyperparameters", words=words)]
    return [*found, *course(made, material.job.day)]


# ---------------------------------------------------------------- the texts


def _same(text: str) -> str:
    """Texts with the same key are one text: equal up to white space."""
    return " ".join(text.split())


def _leaks(texts: Sequence[Sample], evaluation: Sequence[Sample]) -> Iterator[ReviewFinding]:
    """Evaluation texts that were trained on: word for word, nearly, or as part of another."""
    judged = {_same(t) for s in evaluation for t in (s.prompt, s.text) if t.strip()}
    whole = [n for n, s in enumerate(texts) if {_same(s.prompt), _same(s.text)} & judged]
    plain, held_out = [s.text for s in texts], [s.text for s in evaluation]
    near = near_duplicates(plain, held_out, USUAL.near_duplicate).judged
    parts = overlaps(plain, held_out, USUAL.evaluation_overlap)
    leaked = sorted({*whole, *near, *parts})
    if not leaked:
        return
    yield _find(
        "leak",
        "warning",
        f"{len(leaked)} of {len(texts)} training texts are, or hold, texts that the model is "
        f"judged on ({len(whole)} of them word for word): {_named([texts[n] for n in leaked])}",
        {
            "leaked": float(len(leaked)),
            "word_for_word": float(len(whole)),
            "training_texts": float(len(texts)),
            "evaluation_texts": float(len(evaluation)),
        },
        "quality that is measured on texts which the model has not learnt by heart: until then "
        "its score is too good",
        action="take these texts out of the training data, and retrain",
    )


def _copies(texts: Sequence[Sample]) -> Iterator[ReviewFinding]:
    """Texts that are there more than once, and nearly."""
    told = [sample for sample in texts if sample.text.strip()]
    first = {_same(sample.text): sample for sample in reversed(told)}
    once = [sample for sample in told if first[_same(sample.text)] is sample]
    twice = [sample for sample in told if first[_same(sample.text)] is not sample]
    if twice:
        yield _find(
            "duplicate",
            "advice",
            f"{len(twice)} of {len(texts)} training texts are copies of another: {_named(twice)}",
            {
                "copies": float(len(twice)),
                "texts": float(len(texts)),
                "share": len(twice) / len(texts),
            },
            f"{len(twice) / len(texts):.2%} less to keep and read; the weights stay as they are, "
            "because a retraining takes each text once",
            action="remove the copies, and look for what writes them: a client that tries again, "
            "or a file that was added twice",
        )
    near = near_duplicates([s.text for s in once], [], USUAL.near_duplicate).earlier
    if near:
        yield _find(
            "near-duplicate",
            "advice",
            f"{len(near)} of {len(once)} different training texts are nearly another one (Jaccard "
            f"index {USUAL.near_duplicate:g} and more): {_named([once[n] for n in near])}",
            {
                "near_copies": float(len(near)),
                "texts": float(len(once)),
                "share": len(near) / len(once),
            },
            f"{len(near) / len(once):.2%} less to keep and read, and a model that repeats its "
            "training texts less often where they are trained on (Lee et al. 2022, "
            "arXiv:2107.06499)",
            action="keep one of each",
        )


def _named(samples: Sequence[Sample]) -> str:
    names = [sample.id for sample in samples[:MOST_NAMED]]
    more = f" and {len(samples) - MOST_NAMED} more" if len(samples) > MOST_NAMED else ""
    return ", ".join(names) + more


# ---------------------------------------------------------------- against the traffic


def length_of(text: str) -> str:
    """The group of lengths that a text belongs to."""
    n = len(text)
    return (
        f"under {SHORT} characters"
        if n < SHORT
        else f"under {MEDIUM:,} characters"
        if n < MEDIUM
        else f"{MEDIUM:,} characters and more"
    )


def _lacking(
    what: str, texts: Sequence[Sample], served: Sequence[Sample], group: Callable[[Sample], str]
) -> Iterator[ReviewFinding]:
    """Groups that traffic has and training has much less of, surely."""
    asked, trained = shares(map(group, served)), shares(map(group, texts))
    for name, share in asked.items():
        had = trained.get(name) or share_of(0, len(texts))
        if share.low < SERVED_SHARE or had.high * TIMES_LESS > share.low:
            continue
        yield _find(
            f"{what}-not-trained-on",
            "advice",
            f"{what} {name!r}: {share.value:.0%} of what is served, {had.value:.1%} of what the "
            "model was last trained on",
            {
                what: name,
                "served_share": share.value,
                "served_share_low": share.low,
                "trained_share": had.value,
                "trained_share_high": had.high,
                "served_texts": float(len(served)),
                "trained_texts": float(len(texts)),
            },
            f"better answers to {share.value:.0%} of the traffic",
            action="retrain on the last days; the gate asks that this slice gets better",
        )


def _looked_at(material: Material, texts: Sequence[Sample], offered: int) -> ReviewFinding:
    made = material.facts.retrained
    of = f" of {offered:,}" if offered > len(texts) else ""
    source = f"the retraining of {made.day}" if made else "the texts it was registered with"
    return _find(
        "looked-at",
        "note",
        f"{len(texts):,}{of} training texts ({source}) against {len(material.served):,} served "
        f"and {len(material.evaluation):,} evaluation texts",
        {
            "training_texts": float(len(texts)),
            "served_texts": float(len(material.served)),
            "evaluation_texts": float(len(material.evaluation)),
        },
        "none by itself",
        because="it says what was looked at",
    )


# ---------------------------------------------------------------- the last retraining


def course(made: Candidate, day: date) -> list[ReviewFinding]:
    """What the loss curve of a retraining says about its settings."""
    curve = _curve(made.measurements)
    found = [
        *_never_helped(made, curve),
        *_still_falling(made, curve),
        *_too_many_passes(made.measurements),
    ]
    return [*found, _last_training(made, curve, day)]


def _curve(measured: Mapping[str, float]) -> dict[int, float]:
    """Held-out loss in nats by step."""
    steps = {_HELD_OUT.fullmatch(name): loss for name, loss in measured.items()}
    return dict(sorted((int(match[1]), loss) for match, loss in steps.items() if match))


def _never_helped(made: Candidate, curve: Mapping[int, float]) -> Iterator[ReviewFinding]:
    if made.measurements.get("kept_step") != 0.0 or len(curve) < 2:  # noqa: PLR2004
        return
    first, *later = curve.values()
    yield _find(
        "training-never-helped",
        "warning",
        f"the last retraining made nothing better: held-out loss {first:.3f} before, "
        f"{min(later):.3f} at best",
        {"loss_before_nats": first, "loss_best_nats": min(later), "steps": float(max(curve))},
        "a retraining that changes something",
        action="lower jobs.retrain.params.lr to a third, and look at the training texts",
    )


def _still_falling(made: Candidate, curve: Mapping[int, float]) -> Iterator[ReviewFinding]:
    """Early stopping never stopped it, and it was still getting better."""
    steps = list(curve)
    if len(steps) < 3 or made.measurements.get("kept_step") != float(steps[-1]):  # noqa: PLR2004
        return
    fell = curve[steps[-2]] - curve[steps[-1]]
    if fell < STILL_FALLING_NATS:
        return
    yield _find(
        "stopped-too-soon",
        "advice",
        f"early stopping never stopped the last retraining: its held-out loss fell by {fell:.3f} "
        f"nats in the last {steps[-1] - steps[-2]} of {steps[-1]} steps",
        {
            "loss_fell_nats": fell,
            "steps": float(steps[-1]),
            "loss_after_nats": curve[steps[-1]],
        },
        f"about {fell:.3f} nats a token lower, {fell:.1%} of the perplexity, for half as many "
        "steps more",
        action=f"set jobs.retrain.params.steps to {2 * steps[-1]}",
    )


def _too_many_passes(measured: Mapping[str, float]) -> Iterator[ReviewFinding]:
    had = sum(n for name, n in measured.items() if name.startswith("tokens["))
    read = measured.get("tokens")
    if not had or read is None or read / had <= MOST_PASSES:
        return
    yield _find(
        "too-many-passes",
        "advice",
        f"the last retraining read its {had:,.0f} tokens {read / had:.0f} times",
        {"tokens": had, "tokens_read": read, "passes": read / had},
        f"{1 - MOST_PASSES * had / read:.0%} of its time; more than {MOST_PASSES:.0f} passes gain "
        "nothing (arXiv:2305.16264)",
        action="train on more days, or for fewer steps",
    )


def _last_training(made: Candidate, curve: Mapping[int, float], day: date) -> ReviewFinding:
    age = (day - made.day).days
    losses = [loss for _, loss in curve.items()]
    told = f", held-out loss {losses[0]:.3f} to {min(losses):.3f} nats a token" if losses else ""
    evidence: dict[str, float | str] = {"age_days": float(age), "day": made.day.isoformat()}
    if losses:
        evidence |= {"loss_before_nats": losses[0], "loss_best_nats": min(losses)}
    return _find(
        "last-retraining",
        "note",
        f"last trained on {made.day} by {made.method!r}, age in days: {age}{told}",
        evidence,
        "none by itself: drift decides when to retrain",
        because="age alone is no harm" if age > OLD_DAYS else "it is young",
    )
