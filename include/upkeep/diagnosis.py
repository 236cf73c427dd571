"""Which cause explains the day's drifts together. Pure: facts and drifts in, causes out.

Order of thought, first that applies is the cause: the data cannot be trusted; there was no
traffic; quality (by the traffic's mix, or by the model itself); failing requests; slowness (by
load, or by the machine); money. What harms users stands before what costs money, so that a
price that rose for good never hides a new harm. Without harm: too little history, a changed
volume, or none. ``score`` is the share of the drifted measures that a cause explains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from upkeep import measures
from upkeep.measures import Family
from upkeep.records import CauseEvidence, DayFacts, Diagnosis, Drift, DriftResult

HALF = 0.5
VANISHED = 1e-6


def diagnose(facts: DayFacts, drift: Drift) -> Diagnosis:
    """Rank the causes that fit the day, with the evidence for each in words."""
    ranked = tuple(_ranked(facts, drift))
    return Diagnosis(model=facts.model, day=facts.day, cause=ranked[0].cause, ranked=ranked)


def _ranked(facts: DayFacts, drift: Drift) -> Iterator[CauseEvidence]:
    for early in (_data_breakage, _no_traffic):
        found = early(facts)
        if found is not None:
            yield found
            return
    drifted = [r for r in drift.results if r.state == "drifted"]
    harmful = [r for r in drifted if r.direction != "neither"]
    if harmful:
        yield from _explained(drift, harmful)
    elif any(r.measure == "requests" for r in drifted):
        yield _volume(drift, 1.0)
    else:
        yield _quiet(drift, drifted)


def _data_breakage(facts: DayFacts) -> CauseEvidence | None:
    if facts.validation.trusted and facts.current.trusted:
        return None
    failed = "; ".join(f.words for f in facts.validation.failures)
    covered = f"{facts.validation.coverage:.0%} of the day is covered"
    words = f"the data cannot be trusted: {covered}" + (f"; {failed}" if failed else "")
    return CauseEvidence(cause="data_breakage", score=1.0, words=words)


def _no_traffic(facts: DayFacts) -> CauseEvidence | None:
    if facts.current.value("requests") != 0.0:
        return None
    return CauseEvidence(cause="no_traffic", score=1.0, words="0 requests were served that day")


def _quiet(drift: Drift, drifted: Sequence[DriftResult]) -> CauseEvidence:
    """Nothing harmful drifted: still learning, or nothing to explain."""
    young = [r for r in drift.results if is_learning(r) and r.slice is None]
    if young or not drift.results:
        words = _learnt(young) or "nothing was collected yet"
        return CauseEvidence(cause="learning", score=1.0, words=words)
    words = "nothing drifted"
    if drifted:
        words = "only facts changed, nothing got worse: " + _said(drifted)
    return CauseEvidence(cause="none", score=1.0, words=words)


def is_learning(result: DriftResult) -> bool:
    """Whether a result is unknown only because its baseline is still being learnt."""
    return result.state == "unknown" and result.current is not None


def _learnt(young: Sequence[DriftResult]) -> str:
    """What is still being learnt, the measures that have come as far named together."""
    groups: dict[str, list[str]] = {}
    for result in young:
        groups.setdefault(result.words.removeprefix(f"{result.measure}: "), []).append(
            result.measure
        )
    return "; ".join(f"{words} ({', '.join(names)})" for words, names in groups.items())


def _said(results: Sequence[DriftResult]) -> str:
    return "; ".join(r.words for r in results)


# ---------------------------------------------------------------- causes of harm


def _explained(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    found = False
    for explain in (_quality, _upstream, _load, _infrastructure, _price, _workload):
        for evidence in explain(drift, harmful):
            found = True
            yield evidence
    if not found:
        words = "no known cause explains: " + _said(harmful)
        yield CauseEvidence(cause="unknown", score=0.0, words=words)


def _of(results: Sequence[DriftResult], *families: Family) -> list[DriftResult]:
    return [r for r in results if measures.family(r.measure) in families]


def _share(part: Sequence[DriftResult], harmful: Sequence[DriftResult]) -> float:
    return len(part) / len(harmful)


def _moved(result: DriftResult | None) -> bool:
    """Whether a fact left its tolerance, proven or not, either way."""
    if result is None or result.effect is None:
        return False
    if result.state in ("drifted", "improved"):
        return True
    return result.state == "watch" and _size(result) > 1.0


def _size(result: DriftResult) -> float:
    """The effect in tolerances, on the scale that the tolerance is meant on."""
    effect = result.effect or 0.0
    if result.tolerance_kind == "absolute":
        return abs(effect) / result.tolerance
    return abs(_log_change(result)) / math.log1p(result.tolerance)


def _log_change(result: DriftResult) -> float:
    """Logarithm of current / baseline; 0 where there is no ratio, a millionth for a vanished."""
    if result.baseline is None or result.current is None or result.baseline <= 0.0:
        return 0.0
    return math.log(max(result.current / result.baseline, VANISHED))


def _quality(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    fallen = _of(harmful, "quality", "people")
    if not fallen:
        return
    score, said = _share(fallen, harmful), _said(fallen)
    moved = _mix_moves(drift)
    within, split = _within_slices(drift, fallen)
    mix = CauseEvidence(
        cause="traffic_mix",
        score=score,
        words=f"the traffic changed and quality fell with it: {'; '.join(moved)}{split}; {said}",
    )
    unmixed = f"the slices themselves got worse{split}" if moved else "the traffic is as before"
    model = CauseEvidence(cause="model_quality", score=score, words=f"{unmixed}; {said}")
    if not moved:
        yield model
    elif within > HALF:
        yield from (model, mix)
    else:
        yield mix


def _mix_moves(drift: Drift) -> list[str]:
    """How today's inputs differ from the baseline's: shares, new slices, prompt length."""
    said = []
    for result in drift.results:
        parent, slice_ = measures.split(result.measure)
        if parent == measures.SHARE and slice_ is not None and _share_moved(result):
            before = result.baseline or 0.0
            said.append(f"slice {slice_} went from {before:.0%} to {result.current:.0%}")
    length = drift.get("prompt_chars_mean")
    if length is not None and _moved(length):
        said.append(f"prompts went from {length.baseline:.4g} to {length.current:.4g} characters")
    return said


def _share_moved(result: DriftResult) -> bool:
    if result.baseline is None or not result.current:
        return _moved(result)
    return _moved(result) or result.baseline == 0.0


def _within_slices(drift: Drift, fallen: Sequence[DriftResult]) -> tuple[float, str]:
    """The part of the change that known slices show by themselves, and the words for it.

    Sum over slices of baseline share x log(current / baseline), over the overall log change:
    the within-group term of Kitagawa 1955. What is left is the mix's doing.
    """
    whole = next((r for r in fallen if r.slice is None), None)
    if whole is None:
        return 1.0, " (while the whole is inside its tolerance)"
    total, within, known = _log_change(whole), 0.0, 0
    for result in drift.results:
        parent, slice_ = measures.split(result.measure)
        if parent != whole.measure or slice_ is None or result.effect is None:
            continue
        share = drift.get(measures.sliced(measures.SHARE, slice_))
        weight = share.baseline if share is not None and share.baseline is not None else 0.0
        within += weight * _log_change(result)
        known += 1
    if not known or not total:
        return 0.0, ""
    part = max(0.0, within / total)
    return part, f" ({part:.0%} of the change of {whole.measure} is within the known slices)"


def _price(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    price = drift.get("price_usd_per_hour")
    if price is None or price.state != "drifted":
        return
    explained, cost = [price], drift.get("cost_usd_per_1k")
    words = price.words
    if cost is not None and _moved(cost) and (cost.effect or 0.0) > 0.0:
        rest = _log_change(cost) - _log_change(price)
        if rest > max(_log_change(price), _log_of_length(drift)):
            return
        explained += [cost] if cost.state == "drifted" else []
        words = f"{_cost_split(drift, cost, price)}; {price.words}; {cost.words}"
    yield CauseEvidence(cause="price", score=_share(explained, harmful), words=words)


def _cost_split(drift: Drift, cost: DriftResult, price: DriftResult) -> str:
    """The day's cost as price x efficiency x volume: logarithms of the factors add up."""
    by_price = _log_change(price)
    by_efficiency = _log_change(cost) - by_price
    requests = drift.get("requests")
    known = requests is not None and requests.effect is not None
    by_volume = _log_change(requests) if requests is not None and known else 0.0
    total = by_price + by_efficiency + by_volume
    return (
        f"the day's cost changed x{math.exp(total):.2f} = price x{math.exp(by_price):.2f}, "
        f"machine time a request x{math.exp(by_efficiency):.2f}, "
        f"volume x{math.exp(by_volume):.2f}"
    )


def _slowed(drift: Drift, harmful: Sequence[DriftResult]) -> list[DriftResult]:
    """What drifted by slowness: latency, and the cost unless the price explains it."""
    slow = _of(harmful, "latency")
    return slow + _cost_of_time(drift, harmful) if slow else slow


def _cost_of_time(drift: Drift, harmful: Sequence[DriftResult]) -> list[DriftResult]:
    price = drift.get("price_usd_per_hour")
    by_price = price is not None and price.state == "drifted"
    return [] if by_price else _of(harmful, "cost")


def _log_of_length(drift: Drift) -> float:
    """The most that longer prompts can explain of a request's time, as a logarithm.

    Reading a prompt costs at most the square of its length (attention: Vaswani et al. 2017,
    table 1). 0 where prompts did not grow beyond their tolerance.
    """
    length = drift.get("prompt_chars_mean")
    grown = length is not None and _moved(length) and (length.effect or 0.0) > 0.0
    return 2.0 * _log_change(length) if grown and length is not None else 0.0


def _by_length(drift: Drift, slow: Sequence[DriftResult]) -> bool:
    """Whether longer prompts explain all that got slower or dearer."""
    most = _log_of_length(drift)
    return most > 0.0 and all(abs(_log_change(r)) <= most for r in slow)


def _workload(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    slow = [*_of(harmful, "latency"), *_cost_of_time(drift, harmful)]
    length = drift.get("prompt_chars_mean")
    if length is not None and slow and _by_length(drift, slow):
        words = f"each request asks for more: {length.words}; {_said(slow)}"
        yield CauseEvidence(cause="workload", score=_share(slow, harmful), words=words)


def _load(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    slow, requests = _slowed(drift, harmful), drift.get("requests")
    if slow and requests is not None and _moved(requests) and (requests.effect or 0.0) > 0.0:
        yield _volume(drift, _share(slow, harmful), _said(slow))


def _volume(drift: Drift, score: float, said: str = "") -> CauseEvidence:
    requests = drift.get("requests")
    words = requests.words if requests is not None else "requests are not known"
    words = f"the volume changed: {words}" + (f"; {said}" if said else "")
    return CauseEvidence(cause="traffic_volume", score=score, words=words)


def _infrastructure(drift: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    slow, requests = _slowed(drift, harmful), drift.get("requests")
    loaded = requests is not None and _moved(requests) and (requests.effect or 0.0) > 0.0
    if not slow or loaded or _by_length(drift, slow):
        return
    length = drift.get("prompt_chars_mean")
    also = " (prompts changed their length too)" if length is not None and _moved(length) else ""
    words = f"slower without more traffic{also}: {_said(slow)}"
    yield CauseEvidence(cause="infrastructure", score=_share(slow, harmful), words=words)


def _upstream(_: Drift, harmful: Sequence[DriftResult]) -> Iterator[CauseEvidence]:
    failing = _of(harmful, "errors")
    if failing:
        score = _share(failing, harmful)
        words = f"more requests fail: {_said(failing)}"
        yield CauseEvidence(cause="upstream_errors", score=score, words=words)
