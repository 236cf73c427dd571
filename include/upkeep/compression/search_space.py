"""What a search may try, and what it tries next: optuna's TPE over routes and their settings.

Several objectives, all to be small: quality loss, candidate's / champion's time, candidate's /
champion's size (MOTPE: Ozaki et al. 2020, "Multiobjective tree-structured Parzen estimator").
The sampler is made anew for each trial, seeded by the trial's number and fed with the trials
before it: a search that is resumed asks for what it would have asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from upkeep.compression_methods import METHODS
from upkeep.records import Step, Trial, canonical_json, sha256_hex
from upkeep.search_params import Route

Choice = str | int | float
ROUTE = "route"
REDRAWS = 200
TPE_REDRAWS = 5  # where the sampler insists on what was tried, the rest are drawn at random
STARTUP_TRIALS = 6


class Suggestion(NamedTuple):
    """What is to be tried: ``chosen`` are the sampler's own values, by the space's names."""

    route: str
    steps: tuple[Step, ...]
    chosen: dict[str, Choice]


class Space:
    """The routes by label, and what their settings may be."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Two routes of the same methods are told apart by their number."""
        self.routes: dict[str, Route] = {}
        for route in routes:
            label = " > ".join(step.method for step in route.steps)
            again = sum(known.split(" #")[0] == label for known in self.routes)
            self.routes[f"{label} #{again + 1}" if again else label] = route

    def first(self, label: str) -> Suggestion:
        """The route with the first of each list, and the middle of each range."""
        return self._decoded(label, {name: d[0] for name, d in self._open(label)})

    def ask(self, seed: int, number: int, redraw: int, known: Sequence[Trial]) -> Suggestion:
        """What the sampler would try as trial ``number``, for the ``redraw``-th time."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        digest = sha256_hex(canonical_json([seed, number, redraw]))
        own = int(digest[:8], 16)
        at_random = redraw >= TPE_REDRAWS
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.RandomSampler(seed=own)
            if at_random
            else optuna.samplers.TPESampler(seed=own, n_startup_trials=STARTUP_TRIALS)
        )
        study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler)
        if not at_random:
            study.add_trials([self._finished(trial) for trial in known])
        asked = study.ask()
        label = asked.suggest_categorical(ROUTE, list(self.routes))
        chosen = {name: _suggested(asked, name, d[1]) for name, d in self._open(label)}
        return self._decoded(label, chosen)

    def _open(self, label: str) -> Iterator[tuple[str, tuple[Choice, Any]]]:
        """The settings of a route that are to be chosen: name, (first value, distribution)."""
        for place, step in enumerate(self.routes[label].steps, 1):
            for name, value in sorted(step.params.items()):
                found = _distribution(value)
                if found is not None:
                    yield f"{label} [{place}] {name}", found

    def _decoded(self, label: str, chosen: Mapping[str, Choice]) -> Suggestion:
        steps = []
        for place, step in enumerate(self.routes[label].steps, 1):
            params = dict(step.params)
            for name in params:
                value = chosen.get(f"{label} [{place}] {name}")
                if value is not None:
                    params[name] = json.loads(value) if isinstance(value, str) else value
            steps.append(Step(method=step.method, params=params))
        return Suggestion(label, tuple(steps), {ROUTE: label, **chosen})

    def _finished(self, trial: Trial) -> Any:
        """The trial as the sampler reads it; one that was not measured has no values."""
        import optuna

        known = {ROUTE: optuna.distributions.CategoricalDistribution(list(self.routes))}
        known |= {name: found[1] for name, found in self._open(trial.route)}
        measured = trial.measured
        values = None
        if measured is not None:
            values = [measured.quality_loss, 1.0 / measured.speedup, measured.size_share]
        states = optuna.trial.TrialState
        return optuna.trial.create_trial(
            state=states.FAIL if values is None else states.COMPLETE,
            values=values,
            params=dict(trial.suggested),
            distributions={name: known[name] for name in trial.suggested},
        )


def families(steps: Sequence[Step]) -> str:
    """The kinds of methods of a route, in order: what is refused on a target is refused as this."""
    return "+".join(METHODS[step.method].family for step in steps if step.method in METHODS)


def _distribution(value: Any) -> tuple[Choice, Any] | None:
    """What a setting may be, with the value that is tried first; None for a fixed one."""
    import optuna

    if isinstance(value, Mapping) and "low" in value:
        low, high, log = value["low"], value["high"], bool(value.get("log"))
        middle = (low * high) ** 0.5 if log else (low + high) / 2
        if isinstance(low, int) and isinstance(high, int):
            return round(middle), optuna.distributions.IntDistribution(low, high, log=log)
        return middle, optuna.distributions.FloatDistribution(low, high, log=log)
    listed = value["choice"] if isinstance(value, Mapping) and set(value) == {"choice"} else value
    if not isinstance(listed, list):
        return None
    encoded = [canonical_json(each).decode() for each in listed]
    return encoded[0], optuna.distributions.CategoricalDistribution(encoded)


def _suggested(asked: Any, name: str, distribution: Any) -> Choice:
    import optuna

    found: Choice
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        found = asked.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, optuna.distributions.IntDistribution):
        found = asked.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    else:
        found = asked.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    return found
