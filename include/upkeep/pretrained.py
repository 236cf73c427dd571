"""A decoder's safetensors folder as a PyTorch network, and back: nothing else is run or fetched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from upkeep.errors import ArtifactError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
)
"""What goes with the weights wherever they go."""


def load_model(folder: Path) -> tuple[Any, Any]:
    """The safetensors model in ``folder`` and its tokenizer; nothing else is run or fetched.

    Raises:
        ArtifactError: files are missing or do not fit together.

    """
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unusable(folder, str(error)) from error
    wrong = {kind: sorted(map(str, names))[:3] for kind, names in found.items() if names}
    if wrong:
        raise _unusable(folder, f"weights do not fit config.json: {wrong}")
    return model, tokenizer


def save_model(model: Any, tokenizer_from: Path, out: Path) -> None:
    """Write ``model`` as safetensors to ``out``, with the tokenizer files of another folder."""
    model.save_pretrained(out)
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).is_file():
            shutil.copyfile(tokenizer_from / name, out / name)


def _unusable(folder: Path, why: str) -> ArtifactError:
    return ArtifactError(
        str(folder), folder.name, f"cannot be loaded: {why}", "restore the recorded files"
    )
