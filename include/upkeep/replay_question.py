"""What is asked of a replay, from what a person gave: models, days, a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from upkeep.config import BUDGET, load_budget, load_policy
from upkeep.errors import ParamError
from upkeep.replay_records import ReplayQuestion
from upkeep.spec import Policy
from upkeep.spec_payback import Budget


def questions(
    models: Sequence[str],
    known: Sequence[str],
    policy_of: Callable[[str], Policy | None],
    first: date | None = None,
    last: date | None = None,
    budget: Budget | None = None,
) -> list[ReplayQuestion]:
    """One question a model, sorted by name; no model is every known one.

    Raises:
        ParamError: a model is not in the store, or the last day is before the first.

    """
    for model in models:
        if model not in known:
            near = get_close_matches(model, known, n=3)
            fix = f"did you mean {' or '.join(near)}?" if near else "see: upkeep decisions"
            raise ParamError("model", model, "has no decided day in the store", fix)
    if first is not None and last is not None and last < first:
        rule = f"is before the first day, {first}"
        raise ParamError("to", last.isoformat(), rule, "give the earlier day first")
    return [
        ReplayQuestion(
            model=model,
            first=first,
            last=last,
            policy=policy.model_dump(mode="json") if (policy := policy_of(model)) else None,
            budget=budget.model_dump(mode="json") if budget else None,
        )
        for model in sorted(set(models or known))
    ]


def policy_from(path: Path | None) -> Callable[[str], Policy | None]:
    """The policy of a model's name: a file's for every model, or each its own of a fleet's folder.

    None is the recorded one.

    Raises:
        ConfigError: the file cannot be read, or is not a policy.
        ParamError: on calling: the folder has no file of the model's name.

    """
    if path is None:
        return lambda _: None
    if path.is_dir():
        return lambda model: load_policy(_file_of(path, model))
    policy = load_policy(path)
    return lambda _: policy


def budget_from(path: Path | None, policy: Path | None) -> Budget | None:
    """A file's budget, else that of the folder that policies are from; None is the recorded one.

    Raises:
        ConfigError: the file cannot be read, or is not a budget.

    """
    if path is None and policy is not None and (policy / BUDGET).is_file():
        path = policy / BUDGET
    return None if path is None else load_budget(path)


def _file_of(folder: Path, model: str) -> Path:
    for suffix in (".yaml", ".yml"):
        if (folder / f"{model}{suffix}").is_file():
            return folder / f"{model}{suffix}"
    rule = f"has no {model}.yaml, so that the policy of {model} is not known"
    raise ParamError("policy", str(folder), rule, "name the models that it has")
