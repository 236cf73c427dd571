"""``safetensors`` folders, run eagerly in PyTorch through transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from upkeep.formats.safetensors import read_header
from upkeep.pretrained import load_model
from upkeep.runtime import Ids, Logits


class Graph:
    """A ``safetensors`` folder in PyTorch, eager, on the CPU (but see :func:`_network`).

    Whatever the files hold, weights and arithmetic are 32-bit floats: :func:`load_model` expands
    shorter ones. Few processors multiply 16-bit floats, and the others do it slowly.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the weights; ``threads`` holds for the whole process, as PyTorch has it."""
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self._model = _network(folder).eval()
        self._device = next(self._model.parameters()).device
        self._past: Any = None
        kinds = sorted({str(p.dtype).removeprefix("torch.") for p in self._model.parameters()})
        stored = f"files {stored_kinds(folder)}, " if stored_kinds(folder) != "F32" else ""
        self.precision = f"{stored}weights {'+'.join(kinds)}, eager torch {torch.__version__}"
        if self._device.type != "cpu":
            self.precision += f" on {self._device.type}"

    def logits(self, ids: Ids) -> Logits:
        """Logits of whole rows, without a cache."""
        with self._torch.inference_mode():
            found = self._model(input_ids=self._ids(ids.copy()), use_cache=False)
            logits = found.logits.float().cpu()
        return cast("Logits", logits.numpy())

    def begin(self, ids: Ids) -> int:
        """Read a prompt into a fresh cache."""
        self._past = None
        return self._advance(ids)

    def step(self, token: int) -> int:
        """Append one id to the cache."""
        return self._advance(np.asarray([[token]], dtype=np.int64))

    def _advance(self, ids: Ids) -> int:
        with self._torch.inference_mode():
            found = self._model(
                input_ids=self._ids(ids),
                past_key_values=self._past,
                use_cache=True,
                logits_to_keep=1,
            )
            self._past = found.past_key_values
            return int(found.logits[0, -1].argmax())

    def _ids(self, ids: Ids) -> Any:
        return self._torch.from_numpy(ids).to(self._device)


def _network(folder: Path) -> Any:
    """The network on the CPU, in 32 bits; one that torchao has quantized, on a GPU if there is one.

    The kernels of torchao's 4-bit weights are for CUDA and bf16. That path has not been run yet.
    """
    import torch

    settings = json.loads((folder / "config.json").read_bytes())
    if "quantization_config" not in settings or not torch.cuda.is_available():
        return load_model(folder)[0]
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="auto",
        device_map="cuda",
    )


def stored_kinds(folder: Path) -> str:
    """Number types of the stored weights that hold at least a hundredth of their bytes."""
    sizes: dict[str, int] = {}
    for file in sorted(folder.glob("*.safetensors")):
        for tensor in read_header(file).values():
            sizes[tensor.kind] = sizes.get(tensor.kind, 0) + tensor.end - tensor.start
    total = sum(sizes.values())
    return "+".join(kind for kind, size in sorted(sizes.items()) if size * 100 >= total)
