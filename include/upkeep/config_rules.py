"""What a model's file must keep to beyond its shape: names that exist, no gaps, no secrets.

Each check yields every ConfigError that it finds. The rule behind them: nothing that is
missing or malformed may ever turn into a job or a promotion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import get_args

from pydantic import ValidationError

from upkeep import measures
from upkeep.config_fields import errors_of, place, suggestion
from upkeep.config_jobs import check_compress
from upkeep.config_places import check_serving, check_sources, check_tools
from upkeep.errors import ConfigError
from upkeep.records import Cause, Direction, Resources
from upkeep.spec import MeasurePolicy, ModelSpec, Objective, Rule
from upkeep.yaml_strict import Loc, Node

# Names that are folders of the store, device names of Windows, or files of fleet/.
RESERVED_NAMES = frozenset(
    {
        "leases",
        "models",
        "replays",
        "quarantine",
        "fleet",
        "defaults",
        "budget",
        "con",
        "prn",
        "aux",
        "nul",
    }
    | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)

# Every measure that a request log gives, and which way is better (None: as the policy says).
OPERATIONAL: Mapping[str, Direction | None] = {
    "requests": None,
    "error_rate": "lower_is_better",
    "latency_p95_ms": "lower_is_better",
    "ttft_p95_ms": "lower_is_better",
    "cost_usd_per_1k": "lower_is_better",
    "price_usd_per_hour": "lower_is_better",
    "tokens_out_per_s": "higher_is_better",
    "prompt_chars_mean": None,
    "prompt_mmd": None,
    "tokens_in_mean": None,
    "tokens_out_mean": None,
    "ms_per_token_out": "lower_is_better",
    "generation_error_rate": "lower_is_better",
    "api_error_rate": "lower_is_better",
    "gpu_share": None,
    "cpu_share": None,
    "gpu_memory_share_high": "lower_is_better",
    "host_memory_share_high": "lower_is_better",
    "network_bytes_per_s": None,
    "gpu_memory_growth_per_1k": "lower_is_better",
    "host_memory_growth_per_1k": "lower_is_better",
}
# What a quality measure needs of the model's file.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "clip_score": ("clip",),
    "fid": ("references", "features"),
    "image_vendi": ("features",),
    "inception_score": ("features",),
    "kid": ("references", "features"),
}
# Days that cannot be judged: whatever the policy says, no job may come of them.
CAUSES_WITHOUT_JOB: Mapping[Cause, tuple[str, ...]] = {
    "data_breakage": ("hold", "investigate"),
    "learning": ("keep", "hold", "investigate"),
    "no_traffic": ("keep", "hold", "investigate"),
    "unknown": ("hold", "investigate"),
}

_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:password|passwd|pwd|secret|credentials?|(?:api|access|private|secret|account)"
    r"[_-]?key|(?:auth|access|api|bearer|session|refresh)[_-]?token)(?:$|[_-])|^token$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bsk-[\w-]{20,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\beyJ[\w-]{10,}\.[\w-]+\.|AccountKey=|://[^/\s:@]+:[^/\s:@]+@",
)


def check_secrets(root: Node) -> Iterator[ConfigError]:
    """No key that asks for a secret, no value that looks like one; the value is never shown."""
    for loc, node in root.walk():
        last = loc[-1] if loc else ""
        by_key = isinstance(last, str) and _SECRET_KEY.search(last)
        by_value = isinstance(node.content, str) and _SECRET_VALUE.search(node.content)
        if by_key or by_value:
            rule = "secrets never stand in these files"
            fix = "remove it, make the secret invalid, use an Airflow connection"
            yield ConfigError(place(root, loc), "(hidden)", rule, fix)


def check_name(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """The name is not one that something else is called."""
    if spec.name in RESERVED_NAMES:
        yield ConfigError(place(root, ("name",)), spec.name, "is a reserved name", "rename it")


def check_lax_fields(root: Node, __: ModelSpec, ___: Mapping[str, str]) -> Iterator[ConfigError]:
    """Fields that pydantic would convert: a day is written as a day, a resource as a number."""
    prices = root.nearest(("prices",)).content
    for index, price in enumerate(prices if isinstance(prices, list) else []):
        since = price.child("since")
        if since is not None and not isinstance(since.content, date):
            where = place(root, ("prices", index, "since"))
            yield ConfigError(where, since.content, "is not a day", "write YYYY-MM-DD, no quotes")
    resources = root.nearest(("jobs", "resources"))
    try:
        written = resources.plain() if root.nearest(("jobs",)).child("resources") else {}
        Resources.model_validate(written, strict=True)
    except ValidationError as error:
        for found in errors_of(error, resources, Resources):
            line, _, name = found.where.rpartition(":")
            where = f"{line}:jobs.resources.{name}"
            yield ConfigError(where, found.value, found.rule, found.fix)


def check_prices(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """Prices stand in the order of their days, one a day, and each prices something."""
    for index, price in enumerate(spec.prices):
        rates = (price.usd_per_hour, price.usd_per_1k_tokens_in, price.usd_per_1k_tokens_out)
        where = place(root, ("prices", index))
        if rates == (None, None, None):
            yield ConfigError(where, str(price.since), "prices nothing", "add usd_per_hour:")
        if price.machines and price.usd_per_hour is None:
            rule, fix = "has machines and no price of them", "add usd_per_hour:"
            yield ConfigError(where, price.machines, rule, fix)
    for index, (earlier, later) in enumerate(pairwise(spec.prices), start=1):
        if later.since <= earlier.since:
            rule = f"is not after the price before it ({earlier.since})"
            where = place(root, ("prices", index, "since"))
            yield ConfigError(where, str(later.since), rule, "sort the prices by day, one a day")


def check_limits(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """Pairs of numbers that bound each other."""
    baseline, quality = spec.policy.baseline, spec.quality
    pairs: tuple[tuple[Loc, int, str, int], ...] = (
        (("policy", "baseline", "min_days"), baseline.min_days, "days", baseline.days),
        (("quality", "min_samples"), quality.min_samples, "max_samples", quality.max_samples),
    )
    for loc, low, name, high in pairs:
        if low > high:
            rule = f"is more than {name} ({high})"
            yield ConfigError(place(root, loc), low, rule, f"write at most {high}")
    for index, measure in enumerate(quality.measures):
        if measure in quality.measures[:index]:
            where = place(root, ("quality", "measures", index))
            yield ConfigError(where, measure, "is named twice", "remove one of them")


def check_quality(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """The measures exist for what the model makes, and have what they need (C18)."""
    quality = spec.quality
    valid = measures.of_modality(quality.modality)
    for index, name in enumerate(quality.measures):
        where = place(root, ("quality", "measures", index))
        if name not in valid:
            rule = f"is not a measure of {quality.modality}s"
            yield ConfigError(where, name, rule, f"allowed: {', '.join(valid)}")
        for need in NEEDS.get(name, ()):
            if getattr(quality, need) is None:
                yield ConfigError(where, name, f"needs quality.{need}", f"add {need}: to quality")


def known_measures(spec: ModelSpec) -> dict[str, Direction | None]:
    """The measures that this model's days have, with the direction that is better."""
    computed: dict[str, Direction] = {n: measures.better(n) for n in spec.quality.measures}
    rated = spec.reviews.criteria if spec.reviews else ()
    people: dict[str, Direction] = {f"{measures.HUMAN}_{c}": "higher_is_better" for c in rated}
    return {**OPERATIONAL, **computed, **people}


def _base_measure(name: str, known: Mapping[str, Direction | None]) -> str | None:
    """``perplexity`` for ``perplexity[code]``; None where no such measure exists."""
    base, slice_ = measures.split(name)
    if not slice_:
        return base if slice_ is None and base in known else None
    return base if base == measures.SHARE or (base in known and base not in OPERATIONAL) else None


def check_measures(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """Measures and objectives exist for this model, and are judged in a way that can work."""
    known = known_measures(spec)
    for kind, names in (("measures", spec.policy.measures), ("objectives", spec.policy.objectives)):
        for name in names:
            if _base_measure(name, known) is None:
                where = place(root, ("policy", kind, name))
                rule = "is not a measure of this model"
                if name in get_args(measures.MeasureName):
                    rule += " (quality.measures does not compute it)"
                yield ConfigError(where, name, rule, suggestion(name, known))
    for name, policy in spec.policy.measures.items():
        yield from _judgement(root, name, policy, known)
    for name, objective in spec.policy.objectives.items():
        yield from _objective(root, name, objective)


def _objective(root: Node, name: str, objective: Objective) -> Iterator[ConfigError]:
    """An objective limits something, and what it allows is not empty."""
    where = place(root, ("policy", "objectives", name))
    if not objective.model_dump(exclude_none=True):
        fix = "add max:, min:, max_ratio_to_baseline: or min_ratio_to_baseline:"
        yield ConfigError(where, {}, "has no limit", fix)
    low, high = objective.min, objective.max
    if low is not None and high is not None and low >= high:
        rule = f"min is not under max ({high:g}): every day would miss it"
        yield ConfigError(where, low, rule, "write a min under the max")


def _judgement(
    root: Node, name: str, policy: MeasurePolicy, known: Mapping[str, Direction | None]
) -> Iterator[ConfigError]:
    base = _base_measure(name, known) or ""
    better = known.get(base)
    if better and policy.direction not in (better, "neither"):
        where = place(root, ("policy", "measures", name, "direction"))
        yield ConfigError(where, policy.direction, f"{name} is {better}", f"write {better}")
    is_share = base in ("error_rate", measures.SHARE)
    relative = policy.kind == "relative" and policy.direction != "neither"
    if policy.tolerance > 1 and (relative or is_share):
        where = place(root, ("policy", "measures", name, "tolerance"))
        rule = "must be > 0 and <= 1: it is a share, not per cent"
        yield ConfigError(where, policy.tolerance, rule, f"write {policy.tolerance / 100:g}?")


def check_payback(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """Payback is asked only of what it can be computed of."""
    retrain = spec.policy.payback.retrain
    if retrain.max_payback_days is not None and retrain.usd_per_degraded_request is None:
        where = place(root, ("policy", "payback", "retrain", "max_payback_days"))
        rule = "cannot be known: what a degraded request costs is not stated"
        fix = "add usd_per_degraded_request:, or ask for payback of compress only"
        yield ConfigError(where, retrain.max_payback_days, rule, fix)


def check_rules(root: Node, spec: ModelSpec, _: Mapping[str, str]) -> Iterator[ConfigError]:
    """Every cause has a rule that always fits, and no rule stands where it is never reached."""
    settled: set[str] = set()
    for index, rule in enumerate(spec.policy.rules):
        loc: Loc = ("policy", "rules", index)
        if rule.cause in settled:
            text = f"is never reached: an earlier rule for {rule.cause} always fits"
            yield ConfigError(place(root, loc), rule.cause, text, "remove it, or move it up")
        yield from _one_rule(root, loc, rule, spec)
        if rule.always:
            settled.add(rule.cause)
    for cause in get_args(Cause):
        if cause not in settled:
            text = "has no rule that always fits; an unknown is never a pass"
            fix = f"add - {{cause: {cause}, action: investigate}} as the last rule for it"
            yield ConfigError(place(root, ("policy", "rules")), cause, text, fix)


def _one_rule(root: Node, loc: Loc, rule: Rule, spec: ModelSpec) -> Iterator[ConfigError]:
    objective = rule.over_objective
    if objective is not None and objective not in spec.policy.objectives:
        where = place(root, (*loc, "over_objective"))
        fix = suggestion(objective, spec.policy.objectives)
        yield ConfigError(where, objective, "is not one of policy.objectives", fix)
    allowed = CAUSES_WITHOUT_JOB.get(rule.cause)
    if allowed and rule.action not in allowed:
        text = f"{rule.cause} cannot lead to {rule.action}: the day cannot be judged"
        fix = f"write {' or '.join(allowed)}"
        yield ConfigError(place(root, (*loc, "action")), rule.action, text, fix)


Check = Callable[[Node, ModelSpec, Mapping[str, str]], Iterator[ConfigError]]
CHECKS: tuple[Check, ...] = (
    check_name,
    check_lax_fields,
    check_prices,
    check_limits,
    check_quality,
    check_measures,
    check_payback,
    check_rules,
    check_compress,
    check_sources,
    check_tools,
    check_serving,
)
