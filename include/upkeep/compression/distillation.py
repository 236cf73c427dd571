"""A smaller student taught by the champion: ``distill-logits``, ``distill-sequences``.

The student is the champion with fewer layers, a narrower MLP or both, its weights those that it
keeps (Sanh et al. 2019, "DistilBERT", arXiv:1910.01108), its tokenizer the champion's. Logits:
hard_share * cross entropy + (1 - hard_share) * T^2 * KL(champion || student) at temperature T
(Hinton et al. 2015, arXiv:1503.02531). Sequences: cross entropy on what the champion writes
after production's prompts (Kim & Rush 2016, arXiv:1606.07947).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from upkeep.compression.healing import judge
from upkeep.compression.importance import highest
from upkeep.compression.outcome import outcome, parameters
from upkeep.compression.shrinking import keep_layers, layer_count
from upkeep.compression.structured import PruneMlp, influences, prune_mlp
from upkeep.compression.taught import taught_by
from upkeep.compression.texts import TextParams, Texts, encode, need_texts, pack_texts, texts_of
from upkeep.compression.writing import Manner, write_on
from upkeep.errors import ParamError
from upkeep.fit_task import NEXT_TOKEN
from upkeep.fitting import Fit, FitParams, fit
from upkeep.job_params import read_params
from upkeep.pretrained import load_model, save_model
from upkeep.records import Sample


class Student(FitParams, TextParams):
    """What the student keeps of the champion: ``layers`` of them, ``mlp_share`` of the neurons.

    ``choice`` of the layers: those of the most influence (see ``prune-layers``), or evenly from
    the first to the last.
    """

    layers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    mlp_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    multiple_of: Annotated[int, Field(ge=1, le=1024)] = 8
    choice: Literal["influence", "even"] = "influence"

    @model_validator(mode="after")
    def _smaller(self) -> Student:
        if self.layers is None and self.mlp_share is None:
            raise ValueError("give layers, mlp_share or both: the student must be smaller")
        return self


class Logits(Student):
    """``temperature`` T softens both distributions; ``hard_share`` of the loss is the texts'."""

    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 2.0
    hard_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5


class Sequences(Student):
    """The champion writes ``new_tokens`` after each of at most ``prompts`` prompts.

    At ``temperature`` 1 it draws from its own distribution, of which the student so learns the
    whole; 0 takes the likeliest token, as the paper does: the student then writes like the
    champion but finds other texts less likely, and perplexity shows it.
    """

    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 64
    prompts: Annotated[int, Field(ge=1, le=10_000_000)] = 512
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0


SETTINGS: dict[str, type[Logits | Sequences]] = {
    "distill-logits": Logits,
    "distill-sequences": Sequences,
}


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Write a student of ``champion`` to ``out``; see ``Compress``.

    Raises:
        ParamError: unknown params, no texts, or a student that is not smaller.
        ArtifactError: the network is not built as a Llama is.
        JobFailed: training diverged.

    """
    settings = read_params(SETTINGS[method], method, params)
    started = time.perf_counter()
    teacher, tokenizer = load_model(champion)
    texts = need_texts(texts_of(teacher, tokenizer, samples, settings), method)
    student, said = make_student(teacher, texts, settings, method)
    if isinstance(settings, Sequences):
        texts = champion_texts(teacher, tokenizer, texts, settings)

    task = NEXT_TOKEN
    if isinstance(settings, Logits):
        task = taught_by(teacher, settings.temperature, settings.hard_share)

    def train(model: Any) -> Fit:
        return fit(model, texts.blocks, texts.held_out, settings, task=task)

    losses, notes = judge(student, champion, texts, settings, train)
    save_model(student, champion, out)
    numbers, sizes = outcome(champion, out, started)
    measured = {**numbers, **parameters(teacher, student), **losses}
    return measured, (f"{method}: {said}", *sizes, *notes)


def make_student(teacher: Any, texts: Texts, settings: Student, method: str) -> tuple[Any, str]:
    """The champion's chosen layers and neurons as a network of its own, not trained yet.

    Raises:
        ParamError: it would not be smaller.

    """
    student, said = teacher, []
    if settings.layers is not None:
        count = layer_count(teacher)
        if settings.layers >= count:
            rule = f"must be less than the champion's {count} layers"
            raise ParamError(f"{method}.layers", settings.layers, rule, "keep fewer")
        kept = choose_layers(teacher, texts, settings.layers, settings.choice)
        student = keep_layers(teacher, kept)
        said.append(f"layers {kept} of {count} stay")
    if settings.mlp_share is not None:
        chosen = PruneMlp(share=1.0 - settings.mlp_share, multiple_of=settings.multiple_of)
        student, words = prune_mlp(student, texts, chosen)
        said.append(words)
    return student, "; ".join(said)


def choose_layers(teacher: Any, texts: Texts, keep: int, choice: str) -> list[int]:
    """Which layers stay, in their order."""
    if choice == "influence":
        return highest(influences(teacher, texts), keep)
    last = layer_count(teacher) - 1
    return [round(place * last / max(1, keep - 1)) for place in range(keep)]


def champion_texts(teacher: Any, tokenizer: Any, texts: Texts, settings: Sequences) -> Texts:
    """The texts with what the champion writes in the place of what is trained on.

    Raises:
        ParamError: no sample has a prompt.

    """
    asked = [s.prompt for s in texts.work if s.prompt.strip()][: settings.prompts]
    if not asked:
        rule = "have no prompt that the champion could go on from"
        raise ParamError("training", len(texts.work), rule, "take distill-logits")
    manner = Manner(settings.new_tokens, settings.temperature, settings.seed)
    rows = write_on(teacher, encode(tokenizer, asked), manner)
    return replace(texts, blocks=pack_texts(teacher, rows, settings))
