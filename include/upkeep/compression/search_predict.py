"""What a trial will give, before it runs: size by arithmetic, speed by a roofline. Pure.

    size  = sum over the weights of elements x bits / 8, for what is kept of them
    speed = champion's / candidate's bytes: one token of one request reads every weight once, so
            that memory is the limit (Williams et al. 2009, "Roofline")

Where the same methods were measured before on this target, the nearest by settings stands over
the arithmetic, which then only scales it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeGuard

from upkeep.compression_methods import METHODS
from upkeep.records import Earlier, Prediction, Step, Trial

BITS = re.compile(r"(?:int|fp|bf|float|w)(\d+)")
SOURCE_BITS = 32.0
GROUP_SCALE_BITS = 16.0  # one 16-bit scale a group
EMBEDDING_BITS = 8.0  # what 4-bit methods leave of embeddings and head


class Profile(NamedTuple):
    """A champion's weights, in elements: of its blocks' MLPs, the rest of its blocks, others."""

    mlp: int
    attention: int
    outer: int
    layers: int
    size_bytes: int

    @property
    def elements(self) -> int:
        """All of them."""
        return self.mlp + self.attention + self.outer


class Left(NamedTuple):
    """What is left of a model after some steps: elements, and bits of each."""

    mlp: float
    attention: float
    outer: float
    inner_bits: float = SOURCE_BITS
    outer_bits: float = SOURCE_BITS

    @property
    def bits(self) -> float:
        """All bits."""
        return (self.mlp + self.attention) * self.inner_bits + self.outer * self.outer_bits


class Known(NamedTuple):
    """What was measured of a route on this target."""

    steps: tuple[Step, ...]
    speedup: float
    size_share: float
    words: str


def profile_of(shapes: Iterable[tuple[str, tuple[int, ...]]], size_bytes: int) -> Profile:
    """From the names and shapes of the weights: blocks are those with a number in their name."""
    counts = {"mlp": 0, "attention": 0, "outer": 0}
    blocks = {0}
    for name, shape in shapes:
        number = re.search(r"\.(\d+)\.", name)
        part = "outer" if number is None else "mlp" if ".mlp." in name else "attention"
        counts[part] += math.prod(shape)
        blocks |= {int(number[1])} if number else set()
    return Profile(**counts, layers=max(blocks) + 1, size_bytes=size_bytes)


def known_of(earlier: Sequence[Earlier], trials: Sequence[Trial], target: str) -> list[Known]:
    """Everything that was measured on this target: earlier days first, then this search."""
    found = [
        Known(e.steps, e.speedup, e.size_share, f"{e.day.isoformat()}")
        for e in earlier
        if e.target == target and e.speedup is not None and e.size_share is not None
    ]
    return found + [
        Known(t.steps, t.measured.speedup, t.measured.size_share, f"trial {t.number}")
        for t in trials
        if t.measured is not None
    ]


def predict(steps: Sequence[Step], profile: Profile, known: Sequence[Known]) -> Prediction:
    """Speed and size of a route; what cannot be known stays None and is said."""
    computed = size_share(steps, profile)
    same = [k for k in known if [s.method for s in k.steps] == [s.method for s in steps]]
    if same:
        near = min(same, key=lambda k: distance(k.steps, steps))
        before = size_share(near.steps, profile)
        factor = computed / before if computed and before else 1.0
        return Prediction(
            speedup=near.speedup / factor,
            size_share=near.size_share * factor,
            words=f"as {near.words}, the nearest measured by settings, times {factor:.3f} in bytes",
        )
    if computed is None:
        return Prediction(words="not known: no arithmetic for these settings, nothing measured")
    return Prediction(
        speedup=1.0 / computed,
        size_share=computed,
        words="bytes of the weights that are kept; a token reads each once",
    )


def distance(ours: Sequence[Step], theirs: Sequence[Step]) -> float:
    """Sum over all settings of the relative difference of numbers, 1 for others that differ."""
    total = 0.0
    for one, other in zip(ours, theirs, strict=True):
        for name in sorted(one.params.keys() | other.params.keys()):
            total += _difference(one.params.get(name), other.params.get(name))
    return total


def _difference(one: object, other: object) -> float:
    if one == other:
        return 0.0
    numbers = [v for v in (one, other) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < 2:  # noqa: PLR2004 - both or none
        return 1.0
    return abs(numbers[0] - numbers[1]) / max(abs(n) for n in numbers)


def size_share(steps: Sequence[Step], profile: Profile) -> float | None:
    """Candidate's / champion's bytes by arithmetic; None where a step's effect is not known."""
    left = Left(float(profile.mlp), float(profile.attention), float(profile.outer))
    for step in steps:
        family = METHODS[step.method].family if step.method in METHODS else ""
        after = EFFECTS[family](step, left, profile.layers) if family in EFFECTS else None
        if after is None:
            return None
        left = after
    return left.bits / (SOURCE_BITS * max(1, profile.elements))


def _quantized(step: Step, left: Left, _: int) -> Left | None:
    """Bits of the blocks, scales included; what is outside them keeps 8 at least."""
    named = step.params.get("bits")
    found = BITS.search(step.method)
    bits = float(named) if _is_number(named) else float(found[1]) if found else None
    if bits is None:
        return None
    inner = bits
    group = step.params.get("group_size", step.params.get("block_size"))
    if _is_number(group) and group > 0:
        inner += GROUP_SCALE_BITS / group
    ratio = step.params.get("ratio")
    if _is_number(ratio) and bits < EMBEDDING_BITS:
        inner = ratio * inner + (1.0 - ratio) * EMBEDDING_BITS
    return left._replace(inner_bits=inner, outer_bits=max(bits, EMBEDDING_BITS))


def _pruned(step: Step, left: Left, layers: int) -> Left | None:
    """Whole layers or a share of the parts are gone; zeros cost a bit each to say where."""
    params = step.params
    share, gone, zeros = params.get("share"), params.get("layers"), params.get("sparsity")
    if step.method == "prune-mlp" and _is_number(share):
        return left._replace(mlp=left.mlp * (1.0 - share))
    if step.method == "prune-heads" and _is_number(share):
        return left._replace(attention=left.attention * (1.0 - share))
    if _is_number(gone):
        return _scaled(left, 1.0 - gone / layers)
    if _is_number(zeros):
        return left._replace(inner_bits=left.inner_bits * (1.0 - zeros) + 1.0)
    return None


def _student(step: Step, left: Left, layers: int) -> Left | None:
    kept = step.params.get("layers")
    if _is_number(kept):
        left = _scaled(left, kept / layers)
    share = step.params.get("mlp_share")
    return left._replace(mlp=left.mlp * share) if _is_number(share) else left


def _low_rank(step: Step, left: Left, _: int) -> Left | None:
    share = step.params.get("parameter_share")
    return _scaled(left, share) if _is_number(share) else None


def _shared(step: Step, left: Left, _: int) -> Left | None:
    """Indices into a codebook, or a share of the values."""
    bits, share = step.params.get("bits", 4), step.params.get("share", 0.25)
    if step.method == "palette":
        return left._replace(inner_bits=float(bits), outer_bits=EMBEDDING_BITS)
    return _scaled(left, share)


def _scaled(left: Left, kept: float) -> Left:
    return left._replace(mlp=left.mlp * kept, attention=left.attention * kept)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


EFFECTS: dict[str, Callable[[Step, Left, int], Left | None]] = {
    "distillation": _student,
    "fusion": lambda _, left, __: left,
    "low_rank": _low_rank,
    "pruning": _pruned,
    "quantization": _quantized,
    "weight_sharing": _shared,
}
"""Family -> what a step of it leaves of the model's bits."""
