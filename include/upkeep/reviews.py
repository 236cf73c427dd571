"""Which outputs people are asked about, and what they answered: the store's side of both doors.

What is offered is recorded first (``<day>/r1/offered.json``) and told to MLflow then, so that
MLflow being down delays the questions and loses nothing. Answers of Airflow's form lie in the
store (``<day>/r1/ratings/``); those given in MLflow are read there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from upkeep.errors import ParamError, TrackingError
from upkeep.pictures import is_image_name
from upkeep.records import Answers, Criterion, Excluded, Offered, Rating, Sample, sha256_hex
from upkeep.samples import choose_samples, read_samples, samples_key
from upkeep.spec import Reviews as ReviewsSpec
from upkeep.store import Store, adopt_or_put, get_record, record_key

NAMELESS = "default"  # the author of everything on an MLflow server without authentication


class Door(Protocol):
    """Where answers are read that do not lie in the store: ``tracking_reviews.Reviews``."""

    def answers(
        self, model: str, days: tuple[date, date], criteria: Sequence[Criterion]
    ) -> tuple[list[Rating], list[Excluded]]:
        """The ratings of outputs of these days, and what is none."""


class Collected(NamedTuple):
    """The answers about a window of days, what does not count, and what is missing, in words."""

    ratings: list[Rating]
    excluded: list[Excluded]
    flags: list[str]


def choose(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most ``most`` outputs, the same ones every time: only where the model answered."""
    return choose_samples([sample for sample in samples if sample.completion], most)


def offered(store: Store, model: str, day: date) -> Offered | None:
    """What people are asked about a day's outputs, or None."""
    return get_record(store, record_key(model, day, "offered"), Offered)


def offer(store: Store, model: str, day: date, spec: ReviewsSpec) -> list[Sample]:
    """Decide once what people are asked about; those outputs, for MLflow's queue."""
    known = offered(store, model, day)
    samples = read_samples(store, samples_key(model, day))
    if known is None:
        chosen = choose(samples, spec.samples_per_day)
        ids = tuple(dict.fromkeys(sample.id for sample in chosen))
        made = Offered(model=model, day=day, sample_ids=ids, criteria=spec.criteria)
        known = adopt_or_put(store, record_key(model, day, "offered"), made)
    by_id = {sample.id: sample for sample in samples}
    return [by_id[name] for name in known.sample_ids if name in by_id]


def question(store: Store, model: str, day: date, sample_id: str) -> Sample:
    """An output that was offered.

    Raises:
        ParamError: it was not offered, or its text is gone.

    """
    known = offered(store, model, day)
    found = {sample.id: sample for sample in read_samples(store, samples_key(model, day))}
    if known is None or sample_id not in known.sample_ids or sample_id not in found:
        raise ParamError("sample_id", sample_id, f"is no output of {model} on {day} that was "
                         "offered to reviewers", "choose one of offered.json")  # fmt: skip
    return found[sample_id]


def to_rate(store: Store, model: str, day: date, most: int) -> Offered:
    """At most ``most`` of a day's offered outputs, for Airflow's form.

    Raises:
        ParamError: nothing was offered that day, or it is images, which that form cannot show.

    """
    known = offered(store, model, day)
    if known is None or not known.sample_ids:
        rule = f"no output of {model} was offered to reviewers on this day"
        fix = "choose a day that daily_cycle reported, of a model with `reviews:` in its file"
        raise ParamError("day", day.isoformat(), rule, fix)
    ids = known.sample_ids[:most]
    if any(is_image_name(question(store, model, day, name).completion) for name in ids):
        rule = "makes images, and Airflow's form shows none"
        raise ParamError("models", model, rule, f"rate in MLflow: the queue 'upkeep {model}'")
    return known.model_copy(update={"sample_ids": ids})


def rate(
    store: Store, offer_: Offered, sample_id: str, run: str, ratings: Iterable[Rating]
) -> Answers:
    """Record a form's answers about one output once; ``run`` names who asked.

    A retry finds what is recorded, and gives that.
    """
    name = sha256_hex(f"{run}\0{sample_id}".encode("utf-8", "replace"))
    key = record_key(offer_.model, offer_.day, f"ratings/{name}")
    made = Answers(model=offer_.model, day=offer_.day, ratings=tuple(ratings))
    return adopt_or_put(store, key, made)


def collect_answers(store: Store, door: Door, model: str, day: date, window_days: int) -> Collected:
    """Everything that people answered about the outputs of the ``window_days`` up to ``day``.

    Of several answers of one person to one question the last one counts. While MLflow is down
    there are those of the store, and a flag says what is missing.

    Raises:
        CorruptRecord: a record of the store is not what was written.

    """
    days = [day - timedelta(days=n) for n in reversed(range(window_days))]
    asked = {d: found for d in days if (found := offered(store, model, d))}
    criteria = sorted({c for found in asked.values() for c in found.criteria})
    ratings = [rating for d in asked for rating in _stored(store, model, d)]
    excluded: list[Excluded] = []
    flags: list[str] = []
    if asked:
        try:
            told, excluded = door.answers(model, (days[0], day), criteria)
            ratings += told
            flags += _nameless(told)
        except TrackingError as error:
            flags.append(f"people's answers in MLflow could not be read: {error}")
    kept, dropped = _let_in(ratings, asked)
    return Collected(kept, [*excluded, *dropped], flags)


def _nameless(told: Iterable[Rating]) -> list[str]:
    """Words where MLflow asks nobody's name: whoever answers there is one and the same rater."""
    n = sum(rating.rater == NAMELESS for rating in told)
    words = (
        f"{n} ratings of MLflow's user {NAMELESS!r} count as one person's: this MLflow asks for "
        "no name; start it with --app-name basic-auth, or rate in Airflow"
    )
    return [words] if n else []


def _stored(store: Store, model: str, day: date) -> list[Rating]:
    keys = store.list(f"{model}/{day.isoformat()}/r1/ratings")
    found = [get_record(store, key, Answers) for key in keys]
    return [rating for answers in found if answers for rating in answers.ratings]


def _let_in(
    ratings: Iterable[Rating], asked: Mapping[date, Offered]
) -> tuple[list[Rating], list[Excluded]]:
    """The last answer of each person to each question that was asked; the others, counted."""
    reasons: Counter[str] = Counter()
    last: dict[tuple[date, str, str, str], Rating] = {}
    for rating in sorted(ratings, key=_order):
        found = asked.get(rating.day)
        if found is None or rating.sample_id not in found.sample_ids:
            reasons["about an output that was not offered"] += 1
            continue
        place = (rating.day, rating.sample_id, rating.criterion, rating.rater)
        reasons["replaced by the same person's later answer"] += place in last
        last[place] = rating
    dropped = [Excluded(what="ratings", n=n, reason=why) for why, n in sorted(reasons.items()) if n]
    return [last[place] for place in sorted(last)], dropped


def _order(rating: Rating) -> tuple[datetime, str, str, int]:
    return rating.at, rating.door, rating.sample_id, rating.value
