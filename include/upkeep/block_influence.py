"""How much each block of a decoder does, seen from what goes in and what comes out.

Block influence (Men et al. 2024, "ShortGPT", arXiv:2403.03853, equation 1):

    BI_i = 1 - mean over tokens of cos(x_i, x_{i+1})

with x_i the hidden state [d] that enters block i and x_{i+1} the one that leaves it, before any
final norm. 0: the block changes no direction; about 1: what leaves has nothing of what entered.

Similarity of input and output: linear CKA (Kornblith et al. 2019, arXiv:1905.00414), in the form
whose HSIC has no bias at any number of tokens (Song et al. 2012; Nguyen et al. 2021,
arXiv:2010.15327). 1: the same representation up to rotation and scale; about 0: unrelated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from upkeep.errors import ArtifactError

CKA_TOKENS = 1_024
"""CKA compares every token with every other: this many tokens, evenly spread, are enough."""

LEAST_TOKENS = 4
"""Of fewer tokens the HSIC without bias is not defined."""


class BlockInfluence(NamedTuple):
    """One block, by its place: its influence (1) and the CKA of its input and output (1)."""

    place: int
    influence: float
    cka: float


def blocks_of(model: Any) -> Any:
    """The decoder's list of blocks: the one module list that is as long as the config says.

    Raises:
        ArtifactError: there is none, or several.

    """
    import torch

    depth = int(getattr(model.config, "num_hidden_layers", 0))
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth]
    if depth < 1 or len(lists) != 1:
        rule = f"has {len(lists)} lists of {depth} blocks, one is needed"
        raise ArtifactError("config.json", type(model).__name__, rule, "give a decoder")
    return lists[0]


def block_influence(model: Any, rows: Sequence[Sequence[int]]) -> list[BlockInfluence]:
    """Influence and CKA of every block over rows of token ids, in order; the model is in eval mode.

    Every row is read alone, so that no padding is among the tokens.

    Raises:
        ArtifactError: the model has no one list of blocks.
        ValueError: there are fewer than four tokens.

    """
    import torch

    tokens = sum(map(len, rows))
    if tokens < LEAST_TOKENS:
        raise ValueError(f"{tokens} tokens, at least {LEAST_TOKENS} are needed")
    seen = _Seen(len(blocks_of(model)), every=-(-tokens // CKA_TOKENS))
    with torch.inference_mode(), _watched(model, seen):
        for row in rows:
            model(input_ids=torch.tensor([list(row)]), use_cache=False)
    return [
        BlockInfluence(i, 1.0 - cosines / tokens, _cka(*seen.kept(i)))
        for i, cosines in enumerate(seen.cosines)
    ]


@contextmanager
def skipped(model: Any, indices: Iterable[int]) -> Iterator[None]:
    """While it lasts, these blocks hand on what they get."""
    blocks = blocks_of(model)
    handles: list[Any] = []

    def pass_on(_: Any, args: Any, kwargs: Any, output: Any) -> Any:
        entered = _hidden(args, kwargs)
        return (entered, *output[1:]) if isinstance(output, tuple) else entered

    try:
        handles.extend(blocks[i].register_forward_hook(pass_on, with_kwargs=True) for i in indices)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hidden(args: Any, kwargs: Any) -> Any:
    return args[0] if args else kwargs["hidden_states"]


class _Seen:
    """Sums over all tokens; of every so many tokens one is kept for CKA."""

    def __init__(self, depth: int, every: int) -> None:
        self.cosines = [0.0] * depth
        self._tokens = [0] * depth
        self._every = every
        self._pairs: list[list[tuple[Any, Any]]] = [[] for _ in range(depth)]

    def add(self, index: int, entered: Any, left: Any) -> None:
        import torch

        x, y = (h.reshape(-1, h.shape[-1]).double() for h in (entered, left))
        found = torch.nn.functional.cosine_similarity(x, y, dim=-1)
        self.cosines[index] += float(found.sum())
        first = -self._tokens[index] % self._every
        self._tokens[index] += len(x)
        self._pairs[index].append(
            (x[first :: self._every].float(), y[first :: self._every].float())
        )

    def kept(self, index: int) -> tuple[Any, Any]:
        import torch

        x, y = (torch.cat(side).double() for side in zip(*self._pairs[index], strict=True))
        return x, y


@contextmanager
def _watched(model: Any, seen: _Seen) -> Iterator[None]:
    def watch(index: int) -> Any:
        def hook(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            left = output[0] if isinstance(output, tuple) else output
            seen.add(index, _hidden(args, kwargs), left)

        return hook

    handles = [
        block.register_forward_hook(watch(i), with_kwargs=True)
        for i, block in enumerate(blocks_of(model))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cka(x: Any, y: Any) -> float:
    """Linear CKA of x and y [tokens, d] without bias; 0 where one of them does not vary."""
    k, m = x @ x.T, y @ y.T
    scale = (_hsic(k, k) * _hsic(m, m)) ** 0.5
    return _hsic(k, m) / scale if scale > 0.0 else 0.0


def _hsic(k: Any, m: Any) -> float:
    """HSIC without bias of two kernels [n, n]: equation 5 of Song et al. 2012 (JMLR 13)."""
    n = len(k)
    k, m = (g - g.diag().diag() for g in (k, m))
    ones_k, ones_m = k.sum(0), m.sum(0)
    trace = float((k * m).sum())
    means = float(ones_k.sum() * ones_m.sum()) / ((n - 1) * (n - 2))
    return (trace + means - 2.0 * float(ones_k @ ones_m) / (n - 2)) / (n * (n - 3))
