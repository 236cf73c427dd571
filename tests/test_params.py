"""The parameters of a trigger: section D of the bad inputs, ids in the names."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from upkeep.errors import ParamError
from upkeep.params import (
    FOR_ALL,
    MAX_CONF_BYTES,
    RatingParams,
    ReplayParams,
    TriggerParams,
    effective_params,
)
from upkeep.trigger_form import NEEDED, PARAMS_OF, DagName, param_schema

TODAY = date(2026, 11, 23)
FLEET = ("docs-assistant", "painter", "summary")


def effective(conf: Any, **more: Any) -> TriggerParams:
    """The effective parameters on a fixed day with a fixed fleet."""
    return effective_params(conf, FLEET, TODAY, date(2026, 1, 1), **more)


NESTED: list[Any] = []
for _ in range(10_000):
    NESTED = [NESTED]

# case: (conf, the parameter that is named, words that the message must hold)
REFUSED: dict[str, tuple[Any, str, str]] = {
    "D1-enum": ({"action": "compres"}, "action", "did you mean compress?"),
    "D1-enum-of-decisions": ({"action": "rollback"}, "action", "is not an action"),
    "D2-text-as-flag": ({"dry_run": "true"}, "dry_run", "must be true or false"),
    "D2-number-as-flag": ({"require_approval": 1}, "require_approval", "must be true or false"),
    "D2-text-as-list": ({"models": "painter"}, "models", "must be a list of names"),
    "D2-number-as-name": ({"models": [7]}, "models", "must be text"),
    "D2-list-as-action": ({"action": ["auto"]}, "action", "is not an action"),
    "D2-true-as-note": ({"note": True}, "note", "must be text"),
    "D2-list-as-conf": ([1, 2], "conf", "is not a JSON object"),
    "D2-text-as-conf": ("day", "conf", "is not a JSON object"),
    "D3-number-as-day": ({"day": 20261122}, "day", "must be text"),
    "D3-float-as-flag": ({"dry_run": 1.0}, "dry_run", "must be true or false"),
    "D4-unknown-key": ({"dryrun": True}, "dryrun", "did you mean dry_run?"),
    "D4-key-of-another-dag": ({"to_version": "3"}, "to_version", "unknown parameter"),
    "D4-key-in-capitals": ({"Day": "2026-11-22"}, "Day", "did you mean day?"),
    "D5-newline-after-day": ({"day": "2026-11-22\n"}, "day", "is not an ISO day"),
    "D5-newline-after-model": ({"models": ["painter\n"]}, "models", "is not in the fleet"),
    "D5-newline-after-action": ({"action": "auto\n"}, "action", "is not an action"),
    "D5-newline-after-key": ({"day\n": "2026-11-22"}, "day\n", "unknown parameter"),
    "D6-nul-in-note": ({"note": "a\0b"}, "note", "unprintable"),
    "D6-nul-in-model": ({"models": ["painter\0"]}, "models", "unprintable"),
    "D6-escape-sequence": ({"note": "\x1b[2J"}, "note", "unprintable"),
    "D6-lone-surrogate": ({"note": "\ud800"}, "note", "unprintable"),
    "D7-large": ({"note": "x" * MAX_CONF_BYTES}, "conf", "larger than 65536 bytes"),
    "D7-20-MB": ({"note": "x" * 20_000_000}, "conf", "larger than 65536 bytes"),
    "D7-large-by-list": ({"models": ["a"] * 50_000}, "conf", "larger than 65536 bytes"),
    "D7-nested": ({"models": NESTED}, "conf", "is not JSON"),
    "D7-nan": ({"note": float("nan")}, "conf", "is not JSON"),
    "D7-long-note": ({"note": "x" * 2001}, "note", "longer than 2000 characters"),
    "D10-future": ({"day": "2026-11-24"}, "day", "choose 2026-11-22 or earlier"),
    "D10-today": ({"day": "2026-11-23"}, "day", "is not over yet"),
    "D10-far-future": ({"day": "9999-12-31"}, "day", "is not over yet"),
    "D10-before-the-data": ({"day": "2025-12-31"}, "day", "choose 2026-01-01 or later"),
    "D11-local": ({"day": "01/02/2026"}, "day", "is not an ISO day"),
    "D11-compact": ({"day": "20261122"}, "day", "is not an ISO day"),
    "D11-week": ({"day": "2026-W47-1"}, "day", "is not an ISO day"),
    "D11-time": ({"day": "2026-11-22T00:00:00Z"}, "day", "is not an ISO day"),
    "D11-other-digits": ({"day": "202\u0666-11-22"}, "day", "is not an ISO day"),
    "D11-no-such-day": ({"day": "2026-02-30"}, "day", "no day of the calendar"),
    "D15-override-without-note": (
        {"override": True, "action": "retrain", "models": ["painter"]},
        "note",
        "needs a reason",
    ),
    "D15-override-with-blank-note": (
        {"override": True, "action": "retrain", "models": ["painter"], "note": " \n"},
        "note",
        "needs a reason",
    ),
    "D15-action-without-note": ({"action": "compress", "models": ["painter"]}, "note", "reason"),
    "D15-override-of-nothing": (
        {"override": True, "note": "why", "models": ["painter"]},
        "action",
        "override needs an action",
    ),
    "D15-force": ({"force": True}, "force", "unknown parameter"),
    "D15-action-for-all": ({"action": "retrain", "note": "why"}, "models", "name the models"),
    "D16-not-in-fleet": ({"models": ["paintr"]}, "models", "did you mean painter?"),
    "D16-far-from-all": ({"models": ["x"]}, "models", "known: docs-assistant, painter, summary"),
    "D16-twice": ({"models": ["painter", "painter"]}, "models", "named twice"),
    "D17-template-as-model": ({"models": ["{{ conn.x.password }}"]}, "models", "not in the fleet"),
    "D17-shell-as-day": ({"day": "$(date)"}, "day", "is not an ISO day"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_with_parameter_value_rule_and_fix(case: str) -> None:
    """What is not allowed is refused in one short line that names the parameter."""
    conf, name, words = REFUSED[case]
    with pytest.raises(ParamError) as caught:
        effective(conf)
    assert caught.value.where == name
    assert words in str(caught.value)
    assert caught.value.fix
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value).removeprefix(name)


ROLLBACK_REFUSED: dict[str, tuple[Any, str, str]] = {
    "D3-float": ({"models": ["painter"], "to_version": 8.0}, "to_version", "must be text"),
    "D3-number": ({"models": ["painter"], "to_version": 8}, "to_version", "must be text"),
    "D3-float-as-text": ({"models": ["painter"], "to_version": "8.0"}, "to_version", "number"),
    "D5-newline": ({"models": ["painter"], "to_version": "8\n"}, "to_version", "number"),
    "D1-zero": ({"models": ["painter"], "to_version": "0"}, "to_version", "number"),
    "D1-alias": ({"models": ["painter"], "to_version": "champion"}, "to_version", "number"),
    "no-model": ({}, "models", "name the models"),
    "two-models": ({"models": ["painter", "summary"]}, "models", "for one model"),
    "D4-day": ({"models": ["painter"], "day": "2026-11-22"}, "day", "unknown parameter"),
}


@pytest.mark.parametrize("case", ROLLBACK_REFUSED, ids=ROLLBACK_REFUSED)
def test_a_rollback_refuses(case: str) -> None:
    """A rollback is of one named model, to a version number or to the one before."""
    conf, name, words = ROLLBACK_REFUSED[case]
    with pytest.raises(ParamError) as caught:
        effective(conf, dag="rollback")
    assert caught.value.where == name
    assert words in str(caught.value)


@pytest.mark.parametrize("how_many", [0, 51, 2.0, "5", True])
def test_a_person_is_asked_about_one_to_fifty_outputs(how_many: Any) -> None:
    """D2, D3: a whole number in its bounds; the bounds themselves are allowed."""
    with pytest.raises(ParamError) as caught:
        effective({"models": ["painter"], "how_many": how_many}, dag="rate_outputs")
    assert caught.value.where == "how_many"
    for fine in (1, 50):
        made = effective({"models": ["painter"], "how_many": fine}, dag="rate_outputs")
        assert isinstance(made, RatingParams)
        assert made.how_many == fine


def test_ratings_are_of_one_named_model() -> None:
    """Nobody is asked about the whole fleet at once."""
    for conf in ({}, {"models": ["painter", "summary"]}):
        with pytest.raises(ParamError):
            effective(conf, dag="rate_outputs")


def test_no_parameters_mean_yesterday_and_the_whole_fleet() -> None:
    """What the schedule gives: the UTC day before, every model, the policy's own action."""
    assert effective({}) == TriggerParams(day=date(2026, 11, 22), models=FLEET)


@pytest.mark.parametrize("day", [None, ""])
def test_an_empty_day_is_yesterday(day: str | None) -> None:
    """A form gives null or an empty text for a field that nobody filled."""
    assert effective({"day": day}).day == date(2026, 11, 22)


def test_yesterday_before_the_data_is_refused_too() -> None:
    """The default is checked as any other day."""
    with pytest.raises(ParamError, match="before the first day"):
        effective_params({}, FLEET, TODAY, TODAY)


def test_what_is_given_is_taken() -> None:
    """A person's own order, with its reason."""
    conf = {
        "day": "2026-11-20",
        "models": ["summary", "painter"],
        "action": "compress",
        "dry_run": True,
        "require_approval": True,
        "override": True,
        "note": "price talks tomorrow",
    }
    params = effective(conf)
    assert params.model_dump(mode="json") == {**conf, "to_version": None}


def test_a_rollback_goes_to_the_version_given_or_to_the_one_before() -> None:
    """An empty version means the champion before."""
    conf = {"models": ["painter"], "to_version": "12"}
    assert effective(conf, dag="rollback").to_version == "12"
    assert effective({"models": ["painter"], "to_version": ""}, dag="rollback").to_version is None


@pytest.mark.parametrize(
    "note",
    ["{{ conn.x.password }}", "$(id)", "<script>alert(1)</script>", "a\nb\tc", "é"],
)
def test_d17_texts_are_texts(note: str) -> None:
    """Nothing in a note is a template, a command or markup: it comes out as it went in."""
    assert effective({"note": note}).note == note


def test_the_parameters_are_frozen_and_know_no_other_fields() -> None:
    """What was checked stays as it was checked."""
    params = effective({})
    with pytest.raises(ValidationError):
        params.dry_run = True  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TriggerParams(day=TODAY, models=(), extra="x")  # type: ignore[call-arg]


def test_the_limit_of_a_conf_is_of_its_json() -> None:
    """A conf of just under 64 KiB is judged by its values, not by its size."""
    note = "x" * (MAX_CONF_BYTES - len(json.dumps({"note": ""})))
    with pytest.raises(ParamError) as caught:
        effective({"note": note})
    assert caught.value.where == "note"


def test_the_limits_themselves_are_allowed() -> None:
    """The longest note, and the first day that has data."""
    assert len(effective({"note": "x" * 2000}).note) == 2000
    assert effective({"day": "2026-01-01"}).day == date(2026, 1, 1)


def test_a_fleet_of_none_gives_no_models() -> None:
    """A run over an empty fleet is allowed."""
    assert effective_params({}, (), TODAY).models == ()


def test_every_dag_has_fields_and_every_field_belongs_to_a_dag() -> None:
    """The forms and the check never speak of different parameters."""
    assert set(PARAMS_OF) == set(get_args(DagName))
    shapes = (RatingParams, ReplayParams)
    known = {name for shape in shapes for name in shape.model_fields}
    assert {n for names in PARAMS_OF.values() for n in names} == known


@pytest.mark.parametrize("dag", get_args(DagName))
def test_the_form_and_the_check_agree(dag: DagName) -> None:
    """Defaults fit their types and are the check's own; every choice is one that it knows."""
    for name, field in param_schema(dag).items():
        assert field["name"] == name
        assert field["help"]
        assert field["title"]
        enum = {"enum": field["enum"]} if field["enum"] else {}
        jsonschema.validate(field["default"], {"type": field["type"], **enum})
        if name not in ("day", "models", "how_many"):
            shape = ReplayParams if dag == "replay" else TriggerParams
            assert field["default"] == shape.model_fields[name].default


@pytest.mark.parametrize("action", param_schema()["action"]["enum"] or [])
def test_every_choice_of_the_form_is_accepted(action: str) -> None:
    """No choice leads to a refusal by itself."""
    assert effective({"action": action, "models": ["painter"], "note": "why"}).action == action


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*PARAMS_OF["daily_cycle"], "x"]), JSON, max_size=4))
def test_any_conf_is_refused_or_safe(conf: dict[str, Any]) -> None:
    """Whatever arrives, no order comes out that was not spelt out, reasoned and of our fleet."""
    try:
        params = effective(conf)
    except ParamError:
        return
    assert params.day < TODAY
    assert set(params.models) <= set(FLEET)
    assert params.action in ("auto", "evaluate_only") or params.note.strip()


@pytest.mark.parametrize("dag", PARAMS_OF)
def test_a_form_can_be_sent_once_what_is_needed_is_filled_in(dag: DagName) -> None:
    """Airflow's form sends nothing while a field that may not be null is empty."""
    empty = {n for n, field in param_schema(dag).items() if field["default"] in (None, "", [])}
    stuck = {name for name in empty if "null" not in param_schema(dag)[name]["type"]}
    assert stuck == set(NEEDED[dag])


def test_the_whole_fleet_is_offered_only_where_it_is_taken() -> None:
    """The daily cycle and a replay take it unasked; an order by hand names its models."""
    offers = {dag: "whole fleet" in param_schema(dag)["models"]["help"] for dag in PARAMS_OF}
    assert offers == {dag: dag in FOR_ALL for dag in PARAMS_OF}


def test_a_null_is_the_fields_default() -> None:
    """What the form sends for an empty field that may be null."""
    assert effective({"note": None, "models": None, "day": None}).models == FLEET


def replay_of(**conf: Any) -> ReplayParams:
    """What a replay is asked."""
    params = effective_params(conf, FLEET, TODAY, dag="replay")
    assert isinstance(params, ReplayParams)
    return params


def test_a_replay_is_of_all_models_and_days_unless_it_is_told() -> None:
    """It decides nothing, so that nobody has to name the fleet."""
    asked = replay_of()
    assert (asked.models, asked.from_day, asked.to_day, asked.policy) == (FLEET, None, None, "")
    told = replay_of(from_day="2026-01-02", to_day="2026-01-02", policy="a: 1\n\tb: 2")
    assert (told.from_day, told.to_day) == (date(2026, 1, 2), date(2026, 1, 2))
    assert told.policy == "a: 1\n\tb: 2"


@pytest.mark.parametrize(
    ("conf", "where"),
    [
        ({"from_day": "2026-1-2"}, "from_day"),
        ({"to_day": "2026-02-30"}, "to_day"),
        ({"from_day": 20260102}, "from_day"),
        ({"from_day": "2026-01-03", "to_day": "2026-01-02"}, "to_day"),
        ({"policy": "x" * 32_769}, "policy"),
        ({"policy": ["a"]}, "policy"),
        ({"policy": "a\x00"}, "policy"),
        ({"day": "2026-01-02"}, "day"),
        ({"action": "retrain"}, "action"),
        ({"models": ["nobody"]}, "models"),
    ],
)
def test_what_a_replay_may_not_be_asked(conf: dict[str, Any], where: str) -> None:
    """Each is refused by the name of its parameter."""
    with pytest.raises(ParamError) as caught:
        replay_of(**conf)
    assert caught.value.where == where
