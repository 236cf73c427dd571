"""A planted leak, planted copies and a slice that nobody trained on are found."""

from __future__ import annotations

import pytest
from fakes.reviewed_model import DAY, Case, samples_of

from upkeep.inspections import training
from upkeep.records import Candidate, Folder, ReviewFinding, Sample, Uninspected


def found(case: Case) -> dict[str, ReviewFinding]:
    made = training.review(case.material())
    return {each.rule: each for each in made if isinstance(each, ReviewFinding)}


def retraining(measurements: dict[str, float], age_days: int = 4) -> Candidate:
    return Candidate(
        model="docs-assistant",
        day=DAY.replace(day=DAY.day - age_days),
        job_key="k",
        kind="retrain",
        method="full",
        parent_version="1",
        format="safetensors",
        folder=Folder(prefix="p", files=()),
        measurements=measurements,
    )


def curve(*losses: float, kept: int, **more: float) -> dict[str, float]:
    """A loss curve with a look every 50 steps; ``kept`` is the look whose weights were kept."""
    looks = {f"loss_held_out[{50 * n}]": loss for n, loss in enumerate(losses)}
    return {**looks, "kept_step": 50.0 * kept, "steps": 50.0 * (len(losses) - 1), **more}


def test_clean_texts_are_no_finding_above_a_note() -> None:
    """What was looked at is told; what was not is not taken for sound."""
    made = training.review(Case().material())
    assert {f.severity for f in made if isinstance(f, ReviewFinding)} == {"note"}
    unknown = [u for u in made if isinstance(u, Uninspected)]
    assert [u.what for u in unknown] == ["hyperparameters"]


def planted_leak(case: Case, how: str) -> Sample:
    held_out = case.evaluation[5]
    if how == "prompt":
        return samples_of(1, 9)[0].model_copy(update={"prompt": held_out.prompt})
    if how == "spaced":
        spaced = held_out.prompt.replace(" ", "\n ")
        return samples_of(1, 9)[0].model_copy(update={"prompt": spaced, "reference": ""})
    if how == "within another":
        other = samples_of(1, 9)[0]
        return other.model_copy(update={"reference": f"{other.reference} {held_out.text} the end"})
    return held_out.model_copy(update={"id": "z", "prompt": held_out.prompt.replace("w", "w", 1)})


@pytest.mark.parametrize("how", ["prompt", "spaced", "within another", "whole"])
def test_a_planted_leak_is_a_warning(how: str) -> None:
    """Word for word, with other white space, or inside a longer text; it is named."""
    case = Case()
    leak = planted_leak(case, how).model_copy(update={"id": "the-leak"})
    case.training.append(leak)
    warning = found(case)["leak"]
    assert warning.severity == "warning"
    assert warning.evidence["leaked"] == 1.0
    assert warning.evidence["word_for_word"] == (0.0 if how == "within another" else 1.0)
    assert "the-leak" in warning.what


def test_a_planted_copy_is_found() -> None:
    """White space makes no other text of it."""
    case = Case()
    first = case.training[7]
    again = first.model_copy(update={"id": "again", "prompt": f" {first.prompt}\n"})
    case.training.append(again)
    made = found(case)
    assert (made["duplicate"].evidence["copies"], made["duplicate"].severity) == (1.0, "advice")
    assert "again" in made["duplicate"].what
    assert "near-duplicate" not in made


def test_a_planted_near_copy_is_found() -> None:
    """One word of 24 is another: of its 20 runs of five words 19 are the same."""
    case = Case()
    first = case.training[7]
    case.training.append(
        first.model_copy(update={"id": "nearly", "reference": f"{first.reference}x"})
    )
    made = found(case)
    assert made["near-duplicate"].evidence["near_copies"] == 1.0
    assert "nearly" in made["near-duplicate"].what
    assert "duplicate" not in made


def test_a_slice_and_a_length_that_nobody_trained_on_are_found() -> None:
    """Half of the traffic is of a new slice and much longer."""
    case = Case()
    long = samples_of(60, 5, ("editor",))
    case.served += [s.model_copy(update={"reference": s.reference * 20}) for s in long]
    made = found(case)
    assert made["slice-not-trained-on"].evidence["slice"] == "editor"
    assert made["slice-not-trained-on"].evidence["served_share"] == pytest.approx(0.5)
    assert made["length-not-trained-on"].evidence["trained_share"] == 0.0


def test_a_rare_slice_is_left_to_chance() -> None:
    """One request in 61 is too few to say that its share is above a twentieth."""
    case = Case()
    case.served += samples_of(1, 5, ("editor",))
    assert "slice-not-trained-on" not in found(case)


def test_without_training_texts_that_is_said() -> None:
    """Nothing is known, which is no praise."""
    made = training.review(Case(training=[]).material())
    assert [type(each) for each in made] == [Uninspected, Uninspected]


@pytest.mark.parametrize(
    ("measured", "rules"),
    [
        (curve(4.0, 3.9, 3.8, kept=2), {"stopped-too-soon": "advice"}),
        (curve(4.0, 3.9, 3.899, kept=2), {}),
        (curve(4.0, 3.9, 3.95, kept=1), {}),
        (curve(4.0, 4.1, 4.2, kept=0), {"training-never-helped": "warning"}),
        (curve(4.0, 3.9, 3.899, kept=2, **{"tokens[a]": 100.0, "tokens": 1700.0}),
         {"too-many-passes": "advice"}),
        (curve(4.0, 3.9, 3.899, kept=2, **{"tokens[a]": 100.0, "tokens": 1600.0}), {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_the_loss_curve_of_the_last_retraining_is_judged(
    measured: dict[str, float], rules: dict[str, str]
) -> None:
    """Stopped while it fell, never better than before, the same texts too often."""
    made = training.course(retraining(measured), DAY)
    assert {f.rule: f.severity for f in made if f.severity != "note"} == rules
    assert made[-1].rule == "last-retraining"
    assert made[-1].evidence["age_days"] == 4.0
