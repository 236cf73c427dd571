"""A matrix whose weights are taken from few values, so that training moves the values alone.

As PyTorch's own ``nn.utils.prune`` does it: the parameter is the values, and a hook writes the
matrix anew before each forward pass. The gradient of a value is the sum over the weights that
take it (Han et al. 2016, "Deep Compression", arXiv:1510.00149, section 3.3).
"""

from __future__ import annotations

from typing import Any, NamedTuple

_VALUES, _INDEX, _SIGN = "weight_values", "weight_index", "weight_sign"


class Shared(NamedTuple):
    """W = sign * values[index]: [n], [out, in], and [out, in] or None for all ones."""

    values: Any
    index: Any
    sign: Any | None = None

    @property
    def matrix(self) -> Any:
        """The whole matrix [out, in]."""
        whole = self.values[self.index]
        return whole if self.sign is None else whole * self.sign


def share_weight(module: Any, shared: Shared) -> None:
    """Make the weight of ``module`` take its numbers from ``shared.values``, in place."""
    from torch import nn

    del module.weight
    module.register_parameter(_VALUES, nn.Parameter(shared.values.clone()))
    module.register_buffer(_INDEX, shared.index, persistent=False)
    module.register_buffer(_SIGN, shared.sign, persistent=False)
    module.shared_hook = module.register_forward_pre_hook(lambda one, _: _write(one))
    _write(module)


def unshare_weight(module: Any) -> Any:
    """Make a plain parameter of the weight again; gives the values [n] as they are now."""
    from torch import nn

    found = Shared(getattr(module, _VALUES).detach(), *_places(module))
    module.shared_hook.remove()
    for name in (_VALUES, _INDEX, _SIGN, "shared_hook", "weight"):
        delattr(module, name)
    module.register_parameter("weight", nn.Parameter(found.matrix))
    return found.values


def _write(module: Any) -> None:
    module.weight = Shared(getattr(module, _VALUES), *_places(module)).matrix


def _places(module: Any) -> tuple[Any, Any]:
    return getattr(module, _INDEX), getattr(module, _SIGN)
