"""Nothing worse becomes champion, and nothing unknown passes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep import gate
from upkeep.gate_quality import MIN_SAMPLES
from upkeep.records import (
    Benchmark,
    Candidate,
    FileHash,
    Folder,
    GateResult,
    GateRow,
    PairedScores,
    PairedTimes,
)
from upkeep.spec import GatePolicy, MeasurePolicy

# records that validation would have refused are made on purpose, and hashed by the gate
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

Kind = Literal["compress", "retrain"]
POLICY = GatePolicy()
TOLERANCES = {
    "latency_p95_ms": MeasurePolicy(direction="lower_is_better", tolerance=0.5),
    "ttft_p95_ms": MeasurePolicy(direction="lower_is_better", tolerance=20.0, kind="absolute"),
    "perplexity": MeasurePolicy(direction="lower_is_better", tolerance=0.1),
}
OLD, SUITE = "a" * 64, "b" * 64
FOLDER = Folder(prefix="m/model", files=(FileHash(path="w", size_bytes=9, sha256="c" * 64),))


def candidate_of(kind: Kind = "compress", folder: Folder = FOLDER) -> Candidate:
    """A candidate of version 1."""
    return Candidate(
        model="m",
        day=date(2026, 3, 17),
        job_key=f"m/2026-03-17/{kind}",
        kind=kind,
        method="made-up",
        parent_version="1",
        format="safetensors",
        folder=folder,
        measurements={},
    )


def scores_of(
    change: float = 0.0,
    *,
    n: int = 200,
    noise: float = 0.03,
    slices: Sequence[tuple[str, int, float]] = (),
    seed: int = 1,
) -> PairedScores:
    """Losses of ``n`` texts whose perplexity changes by the share ``change``, give or take.

    ``slices`` holds (name, samples, change) to have several.
    """
    rng = random.Random(seed)
    parts = slices or (("docs", n, change),)
    names = [name for name, count, _ in parts for _ in range(count)]
    shifts = [math.log1p(shift) for _, count, shift in parts for _ in range(count)]
    weights = [float(rng.randint(10, 60)) for _ in names]
    champion = [w * rng.uniform(1.0, 3.0) for w in weights]
    candidate = [
        max(0.0, c + w * (s + rng.gauss(0, noise)))
        for c, w, s in zip(champion, weights, shifts, strict=True)
    ]
    return PairedScores(
        measure="perplexity",
        direction="lower_is_better",
        sample_ids=tuple(str(i) for i in range(len(names))),
        slices=tuple(names),
        champion=tuple(champion),
        candidate=tuple(candidate),
        weights=tuple(weights),
    )


def times_of(speedup: float = 2.0, rounds: int = 15, noise: float = 0.05) -> PairedTimes:
    """Latencies of rounds in turn; the candidate is ``speedup`` times as fast."""
    rng = random.Random(2)
    champion = [50.0 * rng.lognormvariate(0, 0.3) for _ in range(rounds)]
    candidate = tuple(c / speedup * rng.lognormvariate(0, noise) for c in champion)
    return PairedTimes(quantity="latency_ms", champion_ms=tuple(champion), candidate_ms=candidate)


BY_CHANCE = PairedTimes(
    quantity="latency_ms",
    champion_ms=(8.0, 9.0, 9.0, 9.0, 12.0, 12.0, 13.0, 13.0, 14.0, 15.0),
    candidate_ms=(10.0,) * 10,
)


def first_tokens(added_ms: float = 0.0, rounds: int = 15) -> PairedTimes:
    """Times to the first token of rounds in turn; the candidate takes ``added_ms`` longer."""
    rng = random.Random(5)
    champion = [10.0 + rng.uniform(0, 4) for _ in range(rounds)]
    candidate = tuple(c + added_ms + rng.uniform(-1, 1) for c in champion)
    return PairedTimes(quantity="ttft_ms", champion_ms=tuple(champion), candidate_ms=candidate)


def benchmark_of(
    scores: PairedScores | None = None,
    times: PairedTimes | None = None,
    first: PairedTimes | None = None,
    **changes: Any,
) -> Benchmark:
    """A benchmark whose candidate is fast and as good, unless changed."""
    made = Benchmark(
        model="m",
        day=date(2026, 3, 17),
        job_key="m/2026-03-17/compress-benchmark",
        champion_version="1",
        champion_files_sha256=OLD,
        candidate_files_sha256=FOLDER.files_sha256,
        scores=(scores or scores_of(),),
        times=(times or times_of(), first or first_tokens()),
        champion_size_bytes=1000,
        candidate_size_bytes=900,
        evaluation_set_sha256=SUITE,
        machine={"cpu": "made-up"},
    )
    return made.model_copy(update=changes)


def judge(candidate: Candidate, benchmark: Benchmark, targets: tuple[str, ...] = ()) -> GateResult:
    """The gate under the policy of these tests."""
    return gate.check(candidate, benchmark, POLICY, TOLERANCES, targets)


def row(result: GateResult, name: str) -> GateRow:
    """The row with this name."""
    return next(r for r in result.rows if r.check == name)


def failures(result: GateResult) -> list[str]:
    """The names of the rows that did not pass."""
    return [r.check for r in result.rows if not r.passed]


# ---------------------------------------------------------------- what passes


def test_a_faster_candidate_of_the_same_quality_passes() -> None:
    """Every row passes and holds champion, candidate, effect, interval and margin."""
    benchmark = benchmark_of()
    result = judge(candidate_of(), benchmark)
    assert result.passed
    assert failures(result) == []
    assert [r.check for r in result.rows] == [
        "files differ",
        "files measured",
        "quality perplexity",
        "precision perplexity",
        "quality perplexity[docs]",
        "faster or smaller",
        "ttft_ms tolerable",
    ]
    quality, speed = row(result, "quality perplexity"), row(result, "faster or smaller")
    assert quality.interval is not None
    assert quality.interval.high < quality.margin == 0.03
    assert speed.effect == pytest.approx(2.0, rel=0.05)
    assert speed.champion is not None
    assert speed.candidate is not None
    assert speed.candidate < speed.champion
    assert result.benchmark_sha256 == benchmark.digest()
    assert (result.champion_version, result.champion_files_sha256) == ("1", OLD)


def test_a_retraining_that_mends_the_new_slice_passes() -> None:
    """Half the perplexity on source code, the same on prose: passes, and says where."""
    scores = scores_of(slices=(("docs", 60, 0.0), ("editor", 60, -0.5)))
    result = judge(candidate_of("retrain"), benchmark_of(scores), ("editor",))
    assert result.passed
    better = row(result, "better where it drifted")
    assert better.effect == pytest.approx(-0.5, abs=0.03)
    assert "on editor" in better.words


def test_a_retraining_need_not_be_faster() -> None:
    """A retraining may be slower, inside what the policy calls nobody's business."""
    scores = scores_of(-0.3)
    result = judge(candidate_of("retrain"), benchmark_of(scores, times_of(0.9)))
    assert result.passed


def test_a_much_smaller_candidate_passes_without_speed() -> None:
    """Four times smaller and not slower is worth a promotion."""
    times = times_of(1.01, noise=0.01)
    result = judge(candidate_of(), benchmark_of(times=times, candidate_size_bytes=250))
    assert result.passed


# ---------------------------------------------------------------- what does not


def test_the_champions_own_files_are_nothing_to_do() -> None:
    """Identical files (E15): no promotion, said in words."""
    benchmark = benchmark_of(champion_files_sha256=FOLDER.files_sha256)
    result = judge(candidate_of(), benchmark)
    assert failures(result) == ["files differ"]
    assert "nothing to do" in row(result, "files differ").words


@pytest.mark.parametrize(
    "change", [{"candidate_files_sha256": "d" * 64}, {"model": "another-model"}]
)
def test_a_benchmark_of_other_files_does_not_count(change: dict[str, str]) -> None:
    """Measured files must be the candidate's own, of the same model (E18)."""
    result = judge(candidate_of(), benchmark_of(**change))
    assert failures(result) == ["files measured"]


def test_a_worse_candidate_fails() -> None:
    """5 % higher perplexity against a margin of 3 %: refused, with both perplexities."""
    result = judge(candidate_of(), benchmark_of(scores_of(0.05)))
    assert failures(result) == ["quality perplexity", "quality perplexity[docs]"]
    quality = row(result, "quality perplexity")
    assert quality.champion is not None
    assert quality.candidate is not None
    assert quality.candidate / quality.champion == pytest.approx(1.05, abs=0.01)


def test_what_is_inside_the_margin_but_not_surely_fails() -> None:
    """An effect of 2 % with an upper end over 3 % is refused: the interval decides."""
    result = judge(candidate_of(), benchmark_of(scores_of(0.02, noise=0.1, seed=2)))
    quality = row(result, "quality perplexity")
    assert not quality.passed
    assert quality.effect is not None
    assert quality.effect < 0.03


def test_an_interval_as_wide_as_the_margin_cannot_tell() -> None:
    """An upper end under the margin is not enough when +-4 % is the precision."""
    scores = scores_of(-0.03, noise=0.30, seed=2)
    result = judge(candidate_of(), benchmark_of(scores))
    assert row(result, "quality perplexity").passed
    assert not row(result, "precision perplexity").passed
    assert "200 samples cannot tell" in row(result, "precision perplexity").words
    assert not result.passed


def test_a_wide_interval_that_shows_improvement_can_tell() -> None:
    """A retraining that halves one slice has a wide interval, wholly on the better side."""
    scores = scores_of(slices=(("docs", 40, 0.0), ("editor", 40, -0.8)))
    result = judge(candidate_of("retrain"), benchmark_of(scores))
    precision = row(result, "precision perplexity")
    assert precision.interval is not None
    assert precision.interval.half_width > 0.03
    assert precision.passed


def test_a_slice_that_got_worse_fails_although_the_whole_is_better() -> None:
    """Better on source code, 10 % worse on prose: refused, naming prose."""
    scores = scores_of(slices=(("docs", 60, 0.10), ("editor", 60, -0.6)))
    result = judge(candidate_of("retrain"), benchmark_of(scores), ("editor",))
    assert failures(result) == ["quality perplexity[docs]"]


def test_a_slice_too_noisy_to_tell_fails() -> None:
    """40 wild samples of a slice: its own row refuses, in words."""
    scores = scores_of(slices=(("docs", 2000, 0.0), ("rare", 40, -0.02)), noise=0.01)
    rng = random.Random(3)
    wild = tuple(
        c + w * rng.gauss(0, 0.4) if s == "rare" else c
        for c, w, s in zip(scores.candidate, scores.weights, scores.slices, strict=True)
    )
    scores = scores.model_copy(update={"candidate": wild})
    result = judge(candidate_of(), benchmark_of(scores))
    assert failures(result) == ["quality perplexity[rare]"]


def test_small_slices_are_judged_within_the_whole_and_said_so() -> None:
    """A slice under 30 samples has no row of its own; the whole's words name it."""
    scores = scores_of(slices=(("docs", 200, 0.0), ("rare", 12, 0.0)))
    result = judge(candidate_of(), benchmark_of(scores))
    assert "quality perplexity[rare]" not in [r.check for r in result.rows]
    assert "rare (12)" in row(result, "quality perplexity").words


def test_a_retraining_that_changes_nothing_fails() -> None:
    """Not worse is not enough where the traffic drifted."""
    result = judge(candidate_of("retrain"), benchmark_of(scores_of(0.0)))
    assert failures(result) == ["better where it drifted"]


def test_a_target_slice_without_samples_fails() -> None:
    """A retraining for a slice that the evaluation set does not hold proves nothing."""
    result = judge(candidate_of("retrain"), benchmark_of(scores_of(-0.3)), ("editor",))
    assert failures(result) == ["better where it drifted"]
    assert "no sample of editor" in row(result, "better where it drifted").words


@pytest.mark.parametrize("kind", ["compress", "retrain"])
def test_a_first_token_that_would_be_a_drift_tomorrow_fails_today(kind: Kind) -> None:
    """Twice as fast in all and 25 ms slower to the first token, where 20 ms are tolerated."""
    benchmark = benchmark_of(scores_of(-0.3), first=first_tokens(25.0))
    result = judge(candidate_of(kind), benchmark)
    assert failures(result) == ["ttft_ms tolerable"]
    late = row(result, "ttft_ms tolerable")
    assert late.effect == pytest.approx(25.0, abs=1.0)
    assert "must stay under 20 ms, the tolerance of ttft_p95_ms" in late.words


def test_a_slowdown_that_may_be_over_the_tolerance_fails() -> None:
    """19.7 ms more in the median of noisy rounds: the interval's upper end decides."""
    result = judge(candidate_of(), benchmark_of(first=first_tokens(19.7)))
    late = row(result, "ttft_ms tolerable")
    assert late.effect is not None
    assert late.effect < 20.0
    assert not late.passed


def test_a_retraining_twice_as_slow_fails() -> None:
    """Half as fast against a tolerance of 50 %: better texts do not pay for that."""
    result = judge(candidate_of("retrain"), benchmark_of(scores_of(-0.3), times_of(0.5)))
    assert failures(result) == ["latency_ms tolerable"]
    assert row(result, "latency_ms tolerable").effect == pytest.approx(1.0, abs=0.1)


def test_a_quantity_that_no_policy_watches_has_no_row() -> None:
    """Tolerances are the model's own: without one for the first token, nobody asks for it."""
    watched = {"latency_p95_ms": TOLERANCES["latency_p95_ms"]}
    made = benchmark_of(first=first_tokens(500.0))
    result = gate.check(candidate_of(), made, POLICY, watched)
    assert "ttft_ms tolerable" not in [r.check for r in result.rows]
    assert result.passed


@pytest.mark.parametrize(
    ("times", "size"),
    [
        (times_of(1.0), 900),  # the same speed, the same size
        (times_of(1.03, noise=0.001), 900),  # surely faster, but under min_speedup
        (times_of(2.0, rounds=5), 900),  # too few rounds for any interval
        (BY_CHANCE, 900),  # 1.2 times as fast in the median, 0.9 at the lower end
        (times_of(0.8, noise=0.01), 100),  # ten times smaller, and slower
        (times_of(1.01, noise=0.01), 700),  # not small enough
        (times_of(2.0), 0),  # a size of nothing
    ],
)
def test_a_compression_without_gain_fails(times: PairedTimes, size: int) -> None:
    """Neither surely faster nor much smaller and not slower: refused."""
    benchmark = benchmark_of(times=times, candidate_size_bytes=size)
    assert failures(judge(candidate_of(), benchmark)) == ["faster or smaller"]


def under_load(
    latency: float, per_token: float, *, alone: float = 2.0, in_flight: int = 8
) -> Benchmark:
    """A benchmark with several requests in flight; the numbers are speed-ups."""
    times = (
        times_of(alone, noise=0.01),
        first_tokens(),
        times_of(latency, noise=0.01).model_copy(update={"quantity": "concurrent_latency_ms"}),
        times_of(per_token, noise=0.01).model_copy(update={"quantity": "concurrent_ms_per_token"}),
    )
    return benchmark_of(times=times[0]).model_copy(
        update={"times": times, "concurrency": in_flight}
    )


@pytest.mark.parametrize(
    ("benchmark", "policy", "failed"),
    [
        (under_load(1.2, 1.2), {}, []),
        # Faster alone, and much slower where eight are served: refused by the tolerance of 50 %.
        (under_load(0.5, 0.5), {}, ["concurrent_latency_ms tolerable"]),
        (under_load(0.9, 0.9), {}, []),
        # Speed is asked at the production concurrency, where there is none.
        (under_load(1.0, 1.0), {"speed_at": "concurrency"}, ["faster or smaller"]),
        (under_load(1.2, 1.0, alone=0.9), {"speed_at": "concurrency"}, []),
        (under_load(1.2, 1.0, alone=0.4), {"speed_at": "concurrency"}, ["latency_ms tolerable"]),
        # Not faster alone, and each token cheaper: by the goals that the policy has.
        (under_load(1.0, 1.4, alone=1.0), {}, []),
        (under_load(1.0, 1.4, alone=1.0), {"goals": ("speed", "size")}, ["faster or smaller"]),
        (under_load(1.4, 1.4), {"goals": ("size",)}, ["faster or smaller"]),
    ],
)
def test_the_policy_says_which_gain_counts_and_where(
    benchmark: Benchmark, policy: dict[str, Any], failed: list[str]
) -> None:
    """Speed at batch 1 or in production's concurrency, size, cost; never much slower elsewhere."""
    result = gate.check(candidate_of(), benchmark, GatePolicy(**policy), TOLERANCES)
    assert failures(result) == failed


def test_a_concurrency_that_was_not_measured_is_never_a_pass() -> None:
    """Eight in flight are stated, and only one was measured."""
    made = benchmark_of().model_copy(update={"concurrency": 8})
    asked = GatePolicy(speed_at="concurrency")
    result = gate.check(candidate_of(), made, asked, TOLERANCES)
    assert failures(result) == ["faster or smaller"]
    alone = gate.check(candidate_of(), made, POLICY, TOLERANCES)
    assert failures(alone) == ["faster or smaller", "concurrent_latency_ms tolerable"]


def test_the_size_that_is_worth_a_promotion_is_the_policys() -> None:
    """Three times smaller is enough for 1.5, and not for 4."""
    made = benchmark_of(times=times_of(1.0, noise=0.001), candidate_size_bytes=333)
    made = made.model_copy(update={"times": (times_of(1.01, noise=0.001), first_tokens())})
    asked = GatePolicy(min_size_ratio=4.0)
    assert failures(gate.check(candidate_of(), made, asked, TOLERANCES)) == ["faster or smaller"]
    assert gate.check(candidate_of(), made, POLICY, TOLERANCES).passed


@pytest.mark.parametrize(
    ("measurements", "passed"),
    [
        ({"champion_loss_held_out_nats": 3.0, "control_loss_held_out_nats": 2.99}, True),
        ({"champion_loss_held_out_nats": 3.0, "control_loss_held_out_nats": 2.9}, False),
        ({"control_gain_nats": 0.1}, False),
        # A control that training made worse excuses nothing.
        ({"control_gain_nats": -5.0}, True),
    ],
)
def test_a_compression_that_trained_is_held_against_equal_training(
    measurements: dict[str, float], *, passed: bool
) -> None:
    """As good as the champion, and 0.1 nats behind what the champion would be: refused."""
    made = candidate_of().model_copy(update={"measurements": measurements})
    result = judge(made, benchmark_of())
    against = row(result, "quality against equal training")
    assert (against.passed, result.passed) == (passed, passed)
    if not passed:
        assert against.effect == pytest.approx(math.exp(0.1) - 1.0, abs=0.01)


def test_a_candidate_that_is_none_is_refused_with_its_reason() -> None:
    """Its other rows show how near it was."""
    none = candidate_of().model_copy(update={"no_candidate": "no candidate, because: 1.2 of 1.4"})
    result = judge(none, benchmark_of())
    assert failures(result) == ["target met"]
    assert row(result, "target met").words == "target met: no candidate, because: 1.2 of 1.4"


def test_the_cost_is_forecast_from_the_days_price_and_the_measured_ratio() -> None:
    """Twice as fast at one request at a time: half of 0.08 USD per 1,000 generations."""
    result = gate.check(candidate_of(), benchmark_of(), POLICY, TOLERANCES, usd_per_1k=0.08)
    cost = row(result, "cost forecast")
    assert (cost.champion, cost.passed) == (0.08, True)
    assert cost.candidate == pytest.approx(0.04, rel=0.05)
    assert cost.effect == pytest.approx(-0.5, abs=0.05)
    assert "cost forecast" not in [r.check for r in judge(candidate_of(), benchmark_of()).rows]


def test_higher_is_better_counts_the_other_way() -> None:
    """BLEU 5 % lower is worse and refused, 5 % higher is better and passes."""

    def bleu(change: float) -> PairedScores:
        rng = random.Random(4)
        champion = tuple(rng.uniform(20, 60) for _ in range(100))
        return scores_of(n=100).model_copy(
            update={
                "measure": "bleu",
                "direction": "higher_is_better",
                "champion": champion,
                "candidate": tuple(c * (1 + change) for c in champion),
            }
        )

    worse = judge(candidate_of(), benchmark_of(bleu(-0.05)))
    assert "quality bleu" in failures(worse)
    assert judge(candidate_of(), benchmark_of(bleu(0.05))).passed


# ---------------------------------------------------------------- an unknown is never a pass


def spoil(scores: PairedScores, **columns: Any) -> PairedScores:
    """Scores with columns that validation would never have let through."""
    return PairedScores.model_construct(**{**dict(scores), **columns})


BAD_SCORES: list[Callable[[PairedScores], Any]] = [
    lambda s: spoil(s, candidate=(*s.candidate[:-1], math.nan)),
    lambda s: spoil(s, champion=(*s.champion[:-1], math.inf)),
    lambda s: spoil(s, candidate=(*s.candidate[:-1], None)),
    lambda s: spoil(s, candidate=("good",) * len(s.candidate)),
    lambda s: spoil(s, candidate=s.candidate[:-1]),
    lambda s: spoil(s, weights=(0.0,) * len(s.weights)),
    lambda s: spoil(s, weights=(-1.0, *s.weights[1:])),
    lambda s: spoil(s, sample_ids=("same",) * len(s.sample_ids)),
    lambda s: spoil(s, direction="neither"),
    lambda s: spoil(s, candidate=(1e300, *s.candidate[1:])),
    lambda s: spoil(s, candidate=None),
    lambda s: spoil(s, slices=None),
    lambda s: scores_of(n=MIN_SAMPLES - 1, noise=0.0),
    lambda s: scores_of(n=1),
    lambda s: spoil(s, sample_ids=(), slices=(), champion=(), candidate=(), weights=()),
    lambda s: None,
    lambda s: PairedScores.model_construct(measure="perplexity"),
]


@pytest.mark.parametrize("spoiled", BAD_SCORES)
@pytest.mark.parametrize("kind", ["compress", "retrain"])
def test_scores_that_are_no_scores_fail_in_words(
    spoiled: Callable[[PairedScores], Any], kind: Kind
) -> None:
    """NaN, infinite, missing, unequal, empty, doubled or too few: a failed row, no exception."""
    bad = spoiled(scores_of(-0.3, noise=0.001))
    result = judge(candidate_of(kind), benchmark_of().model_copy(update={"scores": (bad,)}))
    assert not result.passed
    failed = [r for r in result.rows if not r.passed]
    assert any("quality" in r.check for r in failed)
    assert all(r.words for r in failed)


@pytest.mark.parametrize("scores", [(), None])
def test_without_scores_nothing_passes(scores: Any) -> None:
    """A benchmark that measured no quality is refused."""
    benchmark = benchmark_of().model_copy(update={"scores": scores})
    assert "quality" in failures(judge(candidate_of(), benchmark))


@pytest.mark.parametrize(
    "times",
    [
        (),
        None,
        (times_of().model_copy(update={"quantity": "memory_bytes"}),),
        (times_of().model_copy(update={"candidate_ms": (math.nan,) * 15}),),
        (times_of().model_copy(update={"candidate_ms": (0.0,) * 15}),),
        (times_of().model_copy(update={"candidate_ms": (1.0,) * 14}),),
        (times_of().model_copy(update={"candidate_ms": ()}),),
        (times_of().model_copy(update={"candidate_ms": None}),),
    ],
)
def test_times_that_are_no_times_fail(times: Any) -> None:
    """Missing, NaN, zero or unpaired latencies: a failed row in words, no exception."""
    benchmark = benchmark_of().model_copy(update={"times": times})
    result = judge(candidate_of(), benchmark)
    assert failures(result) == ["faster or smaller", "ttft_ms tolerable"]
    assert "cannot be computed" in row(result, "faster or smaller").words
    assert "cannot be computed" in row(result, "ttft_ms tolerable").words


ANYTHING = (
    st.none()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, "1", True])
)
COLUMN = st.lists(ANYTHING, max_size=40).map(tuple) | st.lists(
    st.floats(0.1, 100.0), min_size=12, max_size=12
).map(tuple)


@settings(max_examples=250, deadline=None)
@given(
    champion=COLUMN,
    candidate=COLUMN,
    weights=COLUMN,
    before=COLUMN,
    after=COLUMN,
    sizes=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    kind=st.sampled_from(["compress", "retrain"]),
)
def test_whatever_the_numbers_only_finite_ones_inside_pass(
    *,
    champion: tuple[Any, ...],
    candidate: tuple[Any, ...],
    weights: tuple[Any, ...],
    before: tuple[Any, ...],
    after: tuple[Any, ...],
    sizes: tuple[int, int],
    kind: Kind,
) -> None:
    """R3: no exception, and passed only if every number is finite and every interval inside."""
    n = len(champion)
    scores = spoil(
        scores_of(n=1),
        sample_ids=tuple(str(i) for i in range(n)),
        slices=("docs",) * n,
        champion=champion,
        candidate=candidate,
        weights=weights,
    )
    times = PairedTimes.model_construct(
        quantity="latency_ms", champion_ms=before, candidate_ms=after
    )
    benchmark = benchmark_of().model_copy(
        update={
            "scores": (scores,),
            "times": (times,),
            "champion_size_bytes": sizes[0],
            "candidate_size_bytes": sizes[1],
        }
    )
    result = judge(candidate_of(kind), benchmark)
    GateResult.parse(result.canonical_bytes())
    if result.passed:
        numbers = [*champion, *candidate, *weights]
        assert all(isinstance(x, float) and math.isfinite(x) for x in numbers)
        quality = row(result, "quality perplexity").interval
        assert quality is not None
        assert quality.high < POLICY.quality_margin


@settings(max_examples=60, deadline=None)
@given(change=st.floats(-0.3, 0.3), noise=st.floats(0.0, 0.2), seed=st.integers(0, 99))
def test_a_candidate_passes_only_with_its_interval_inside(
    change: float, noise: float, seed: int
) -> None:
    """For real-looking numbers: passed means upper end under the margin and able to tell."""
    benchmark = benchmark_of(scores_of(change, n=60, noise=noise, seed=seed))
    result = judge(candidate_of(), benchmark)
    interval = row(result, "quality perplexity").interval
    assert interval is not None
    inside = interval.high < 0.03 and (interval.half_width < 0.03 or interval.high < 0.0)
    assert result.passed is inside


def test_a_candidate_at_the_margin_is_seldom_let_through() -> None:
    """Truly 3 % worse: at most one in 20 of 200 benchmarks passes (nominal 2.5 %)."""
    passed = sum(
        judge(candidate_of(), benchmark_of(scores_of(0.03, n=60, seed=seed))).passed
        for seed in range(200)
    )
    assert passed <= 10
