"""Which outputs people are asked about, and what they answered: the store's side of both doors.

What is offered is recorded first (``<day>/r1/offered.json``) and told to MLflow then, so that
MLflow being down delays the questions and loses nothing. Answers of Airflow's form lie in the
store (``<day>/r1/ratings/``); those given in MLflow are read there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
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
    """Everything that was answered about a window of days, as it was answered.

    ``offered`` are the outputs that people were asked about, ``excluded`` what MLflow holds that
    is no rating, ``flags`` what is missing, in words. Which answers count is
    ``judgement_answers``' business.
    """

    ratings: list[Rating]
    offered: frozenset[tuple[date, str]]
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


def collect_answers(store: Store, door: Door, model: str, days: Sequence[date]) -> Collected:
    """Everything that people answered about the outputs of ``days``, the earliest first.

    While MLflow is down there is what the store has, and a flag says what is missing.

    Raises:
        CorruptRecord: a record of the store is not what was written.

    """
    asked = {d: found for d in days if (found := offered(store, model, d))}
    criteria = sorted({c for found in asked.values() for c in found.criteria})
    ratings = [rating for d in asked for rating in _stored(store, model, d)]
    excluded: list[Excluded] = []
    flags: list[str] = []
    if asked:
        try:
            told, excluded = door.answers(model, (days[0], days[-1]), criteria)
            ratings += told
            flags += _nameless(told)
        except TrackingError as error:
            flags.append(f"people's answers in MLflow could not be read: {error}")
    outputs = frozenset((d, name) for d, found in asked.items() for name in found.sample_ids)
    return Collected(ratings, outputs, excluded, flags)


def _nameless(told: Iterable[Rating]) -> list[str]:
    """Words where MLflow asks for no name: who answered there is nobody."""
    n = sum(rating.rater == NAMELESS for rating in told)
    words = (
        f"{n} ratings of MLflow's user {NAMELESS!r} do not count: this MLflow asks for no name; "
        "start it with --app-name basic-auth, or rate in Airflow"
    )
    return [words] if n else []


def _stored(store: Store, model: str, day: date) -> list[Rating]:
    keys = store.list(f"{model}/{day.isoformat()}/r1/ratings")
    found = [get_record(store, key, Answers) for key in keys]
    return [rating for answers in found if answers for rating in answers.ratings]
