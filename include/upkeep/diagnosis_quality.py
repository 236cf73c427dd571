"""Whose doing a fall of quality is: the traffic's changed mix, or the model's own. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from upkeep import measures
from upkeep.diagnosis_signs import Explanation, Signs, change, said, sds, size
from upkeep.records import DriftResult

CANNOT_TELL = 0.5
LEAST_SDS = 3.0
LEAST_PART = 0.02


def quality_causes(signs: Signs) -> Iterator[Explanation]:
    """``traffic_mix`` and ``model_quality``, each with its part of the fall.

    The model's part is what the known slices show by themselves (see ``_within``), the mix's is
    the rest. Without a change of the traffic all of it is the model's. Where the prompts are
    other ones and no slice's share is, the topic changed inside the slices: their own fall
    accuses nobody.
    """
    fallen = signs.of("quality")
    if not fallen:
        return
    mixed, unlike = list(_mix_moves(signs)), list(_unlike(signs))
    moves = [*mixed, *unlike]
    if not moves:
        words = f"the traffic is as before; {said(fallen)}"
        yield Explanation("model_quality", {"quality": 1.0}, words, of_model=True)
        return
    within, split = _within(signs, fallen) if mixed else (None, "")
    if within is None:
        mix_part, model_part = 1.0, CANNOT_TELL
    else:
        mix_part, model_part = 1.0 - within, within
    if mix_part > LEAST_PART:
        words = f"the traffic changed and quality fell with it: {'; '.join(moves)}{split}"
        yield Explanation("traffic_mix", {"quality": mix_part}, f"{words}; {said(fallen)}")
    if model_part > LEAST_PART:
        words = f"the slices themselves got worse{split}; {said(fallen)}"
        yield Explanation("model_quality", {"quality": model_part}, words, of_model=True)


def _mix_moves(signs: Signs) -> Iterator[str]:
    """How today's inputs differ from the baseline's: shares, new slices, prompt length."""
    for result in signs.results:
        parent, slice_ = measures.split(result.measure)
        if parent == measures.SHARE and slice_ is not None and _share_moved(result):
            before = result.baseline or 0.0
            yield f"slice {slice_} went from {before:.0%} to {result.current:.0%}"
    length = signs.get("prompt_chars_mean")
    if length is not None and _beyond(length):
        yield f"prompts went from {length.baseline:.4g} to {length.current:.4g} characters"


def _unlike(signs: Signs) -> Iterator[str]:
    """Whether today's prompts differ from the reference more, or less, than they used to.

    By more than the tolerance and the noise of days, and by more than a day of as few prompts
    may by chance.
    """
    found = signs.get("prompt_mmd")
    if found is None or found.effect is None or size(found) <= 1.0:
        return
    span = found.interval
    certain = span is None or span.low > 0.0 or span.high < 0.0
    if certain and (found.state == "drifted" or sds(found) >= LEAST_SDS):
        yield (
            f"prompts are unlike the baseline's (squared MMD {found.current:.2g} from the "
            f"reference, before {found.baseline:.2g})"
        )


def _share_moved(result: DriftResult) -> bool:
    if result.current is None or result.effect is None:
        return False
    is_new = result.baseline == 0.0 and result.current > 0.0
    return is_new or _beyond(result)


def _beyond(result: DriftResult) -> bool:
    """Whether a fact of the traffic left its tolerance by more than noise."""
    if result.effect is None or size(result) <= 1.0:
        return False
    return result.state in ("drifted", "improved", "watch") or sds(result) >= LEAST_SDS


def _within(signs: Signs, fallen: list[DriftResult]) -> tuple[float | None, str]:
    """The part (0 to 1) of the fall that known slices show by themselves, and the words for it.

    Sum over slices of baseline share x log(current / baseline), over the whole's log change:
    the within-group term of Kitagawa 1955. None where no slice has a baseline.
    """
    whole = next((r for r in fallen if r.slice is None), None)
    if whole is None:
        return 1.0, " (while the whole is inside its tolerance)"
    total, within, known = change(whole), 0.0, 0
    for result in signs.results:
        parent, slice_ = measures.split(result.measure)
        if parent != whole.measure or slice_ is None or result.effect is None:
            continue
        share = signs.get(measures.sliced(measures.SHARE, slice_))
        weight = share.baseline if share is not None and share.baseline is not None else 0.0
        within += weight * change(result)
        known += 1
    if not known or not total:
        return None, ""
    part = min(1.0, max(0.0, within / total))
    return part, f" ({part:.0%} of the change of {whole.measure} is within the known slices)"
