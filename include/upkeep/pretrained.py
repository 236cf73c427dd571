"""A decoder's safetensors folder as a PyTorch network, and back: nothing else is run or fetched.

A folder holds plain weights, or some in a smaller form that config.json declares
(:mod:`upkeep.formats.packed`): packed ones are expanded while loading, and a matrix of low rank
stays two thin ones, an ``nn.Sequential`` of ``narrow`` [rank, in] and ``wide`` [out, rank].
"""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upkeep.errors import ArtifactError
from upkeep.formats.packed import KEY, LOW_RANK, MODEL_TYPE, Declared, declared, parts_of
from upkeep.formats.safetensors import files, packed_shapes, signature
from upkeep.packed_weights import Packed, expand, size_bytes

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
)
"""What goes with the weights wherever they go."""

HALVES = {"F16": "float16", "BF16": "bfloat16"}


def load_model(folder: Path) -> tuple[Any, Any]:
    """The safetensors model in ``folder``, in 32-bit floats, and its tokenizer.

    Raises:
        ArtifactError: files are missing or do not fit together.

    """
    from tokenizers import Tokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        found = declared(folder)
        model, wrong = _plain(folder) if found is None else _rebuilt(folder, found)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise _unusable(folder, str(error)) from error
    if wrong:
        raise _unusable(folder, f"weights do not fit config.json: {wrong}")
    return model, tokenizer


def save_model(
    model: Any, tokenizer_from: Path, out: Path, packed: Mapping[str, Packed] | None = None
) -> None:
    """Write ``model`` as safetensors to ``out``, with the tokenizer files of another folder.

    The weights named in ``packed`` are stored in that form where that is smaller. Where the
    other folder's weights have 16 bits, 32-bit ones are written with 16 too: no candidate is
    larger by its number type.
    """
    import torch

    half = _half(tokenizer_from)
    whole = model.state_dict()
    packed = {
        name: weight
        for name, weight in (packed or {}).items()
        if size_bytes(weight) < whole[name].numel() * whole[name].element_size()
    }
    tied = {name for name, of in model.all_tied_weights_keys.items() if of in packed}
    state = {k: v for k, v in whole.items() if k not in packed and k not in tied}
    for name, weight in packed.items():
        state |= {f"{name}.{suffix}": part for suffix, part in weight.parts.items()}
    if half is not None:
        to = getattr(torch, half)
        state = {k: v.to(to) if v.dtype == torch.float32 else v for k, v in state.items()}
    model.save_pretrained(out, state_dict=state)
    copy_tokenizer(tokenizer_from, out)
    _declare(out / "config.json", low_rank_of(model), packed, half)


def copy_tokenizer(source: Path, out: Path) -> None:
    """Copy the tokenizer's files of ``source`` that there are to ``out``."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def low_rank_pair(linear: Any, rank: int) -> Any:
    """A pair [rank, in], [out, rank] to stand in for ``linear``; its weights are not set."""
    from torch import nn

    narrow = nn.Linear(linear.in_features, rank, bias=False)
    wide = nn.Linear(rank, linear.out_features, bias=linear.bias is not None)
    return nn.Sequential(OrderedDict(zip(LOW_RANK, (narrow, wide), strict=True)))


def low_rank_of(model: Any) -> dict[str, int]:
    """Rank of each matrix of ``model`` that is kept as a pair, by the module's name."""
    return {
        name: module.narrow.out_features
        for name, module in model.named_modules()
        if tuple(child for child, _ in module.named_children()) == LOW_RANK
    }


def _plain(folder: Path) -> tuple[Any, dict[str, list[str]]]:
    import torch
    from transformers import AutoModelForCausalLM

    model, found = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    return model, {kind: sorted(map(str, names))[:3] for kind, names in found.items() if names}


def _rebuilt(folder: Path, found: Declared) -> tuple[Any, dict[str, list[str]]]:
    """The network of config.json, its pairs put in, its packed weights expanded."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, GenerationConfig

    packed_shapes(folder, found)
    settings = json.loads((folder / "config.json").read_bytes())
    del settings[KEY], settings["model_type"]
    config = CONFIG_MAPPING[found.model_type].from_dict(settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    for name, rank in found.low_rank.items():
        model.set_submodule(name, low_rank_pair(model.get_submodule(name), rank))
    loaded = model.load_state_dict(_state(folder, found), strict=False)
    model.tie_weights()
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    missing = sorted(set(loaded.missing_keys) - set(model.all_tied_weights_keys))
    wrong = {"missing_keys": missing[:3], "unexpected_keys": sorted(loaded.unexpected_keys)[:3]}
    return model.eval(), {kind: names for kind, names in wrong.items() if names}


def _state(folder: Path, found: Declared) -> dict[str, Any]:
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for file in files(folder):
        state |= load_file(file)
    for name, form in found.packed.items():
        parts = {suffix: state.pop(full) for suffix, full in parts_of(name, form)}
        state[name] = expand(Packed(form, parts))
    return state


def _declare(
    config: Path, low_rank: Mapping[str, int], packed: Mapping[str, Packed], half: str | None
) -> None:
    settings = json.loads(config.read_bytes())
    if half is not None:
        settings["dtype"] = half
    if low_rank or packed:
        forms = {name: weight.form for name, weight in packed.items()}
        said = Declared(model_type=settings["model_type"], low_rank=dict(low_rank), packed=forms)
        settings |= {"model_type": MODEL_TYPE, KEY: said.model_dump(mode="json")}
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _half(folder: Path) -> str | None:
    """The 16-bit type that all real weights of ``folder`` have; None where they have not."""
    kinds = {kind for kind, _ in signature(folder).values()}
    return HALVES.get(kinds.pop()) if len(kinds) == 1 else None


def _unusable(folder: Path, why: str) -> ArtifactError:
    return ArtifactError(
        str(folder), folder.name, f"cannot be loaded: {why}", "restore the recorded files"
    )
