"""A short fine-tune after a compression, and what it is judged against.

A candidate that was trained further looks better than its champion for that alone. So a method
that heals also trains the champion by the same steps on the same blocks, the control, and its
quality loss is what it lost against that control.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.compression.texts import Texts, loss_nats, need_texts
from upkeep.fitting import Fit, FitParams, fit, use_threads
from upkeep.pretrained import load_model

Train = Callable[[Any], Fit]


class Heal(FitParams):
    """The loop's settings; few steps at a low rate, because most is known already."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 3e-4


def judge(
    model: Any,
    champion: Path,
    texts: Texts | None,
    training: FitParams | None,
    train: Train | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Heal ``model`` in place if ``training`` is given, and measure it on the held-out blocks.

    ``train`` does the training where it is not plain :func:`upkeep.fitting.fit` on the texts.
    Measurements are in nats a token: ``loss_held_out_nats`` of the candidate,
    ``champion_loss_held_out_nats``, with training ``unhealed_loss_held_out_nats`` and
    ``control_loss_held_out_nats``, and ``quality_loss_nats``, the difference to the control, or
    to the champion where nothing was trained.

    Raises:
        ParamError: training without texts.
        JobFailed: the loss is not finite any more.

    """
    if training is None:
        return _unhealed(model, champion, texts)
    found = need_texts(texts, "healing")
    use_threads(training.threads)
    unhealed = loss_nats(model, found.held_out)
    fitted = (train or plain_training(found, training))(model)
    healed = loss_nats(model, found.held_out)
    original = load_model(champion)[0]
    before = loss_nats(original, found.held_out)
    plain_training(found, _same_steps(training, fitted))(original)
    control = loss_nats(original, found.held_out)
    said = (
        f"held-out loss {unhealed:.4f} -> {healed:.4f} nats a token in {fitted.steps} steps; the "
        f"champion after the same steps {control:.4f} (before {before:.4f}): "
        f"{healed - control:+.4f} lost"
    )
    return {
        "loss_held_out_nats": healed,
        "champion_loss_held_out_nats": before,
        "unhealed_loss_held_out_nats": unhealed,
        "control_loss_held_out_nats": control,
        "quality_loss_nats": healed - control,
        "trained_steps": float(fitted.steps),
    }, (said,)


def plain_training(texts: Texts, settings: FitParams) -> Train:
    """The training of ``settings`` on the texts; the best held-out weights are kept."""

    def train(model: Any) -> Fit:
        return fit(model, texts.blocks, texts.held_out, settings)

    return train


def _same_steps(settings: FitParams, fitted: Fit) -> FitParams:
    """The control's settings: as many steps where the clock ended the training, else the same."""
    if settings.minutes is None:
        return settings
    return settings.model_copy(update={"minutes": None, "steps": fitted.steps})


def _unhealed(
    model: Any, champion: Path, texts: Texts | None
) -> tuple[dict[str, float], tuple[str, ...]]:
    if texts is None:
        return {}, ("no training texts: its loss was not looked at here",)
    after = loss_nats(model, texts.held_out)
    before = loss_nats(load_model(champion)[0], texts.held_out)
    return {
        "loss_held_out_nats": after,
        "champion_loss_held_out_nats": before,
        "quality_loss_nats": after - before,
    }, (f"held-out loss {before:.4f} -> {after:.4f} nats a token, nothing trained",)
