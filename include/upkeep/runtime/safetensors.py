"""``safetensors`` folders, run eagerly in PyTorch through transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from upkeep.pretrained import load_model
from upkeep.runtime import Ids, Logits


class Graph:
    """A ``safetensors`` folder in PyTorch, eager, 32-bit floats, on the CPU."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the weights; ``threads`` holds for the whole process, as PyTorch has it."""
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self._model = load_model(folder)[0].eval()
        self._past: Any = None
        kinds = sorted({str(p.dtype).removeprefix("torch.") for p in self._model.parameters()})
        self.precision = f"weights {'+'.join(kinds)}, eager torch {torch.__version__}"

    def logits(self, ids: Ids) -> Logits:
        """Logits of whole rows, without a cache."""
        with self._torch.inference_mode():
            found = self._model(input_ids=self._torch.from_numpy(ids.copy()), use_cache=False)
        return cast("Logits", found.logits.numpy())

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
                input_ids=self._torch.from_numpy(ids),
                past_key_values=self._past,
                use_cache=True,
                logits_to_keep=1,
            )
            self._past = found.past_key_values
            return int(found.logits[0, -1].argmax())
