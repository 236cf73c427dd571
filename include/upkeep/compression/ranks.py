"""Which rank each matrix gets, from its spectrum and a budget. Matrices left out stay whole."""

from __future__ import annotations

from collections.abc import Mapping

from upkeep.compression.spectrum import Spectrum


def by_error(spectra: Mapping[str, Spectrum], error: float) -> dict[str, int]:
    """The lowest rank within the relative ``error``, where that makes the matrix smaller."""
    found = {}
    for name, spectrum in spectra.items():
        enough = [rank for rank, lost in enumerate(spectrum.errors().tolist()) if lost <= error]
        rank = max(1, enough[0])
        if rank <= spectrum.paying:
            found[name] = rank
    return found


def by_share(spectra: Mapping[str, Spectrum], share: float) -> dict[str, int]:
    """Ranks with at most ``share`` of the weights, each next one where it mends the most a weight.

    What rank r of a matrix mends is its part of the matrix' energy, s_r^2 / sum s^2. Empty where
    even rank 1 everywhere is too much.
    """
    gains = {name: one.gains().tolist() for name, one in spectra.items()}
    budget = share * sum(one.size for one in spectra.values())
    bars = sorted({gain for many in gains.values() for gain in many}, reverse=True)
    low, high = 0, len(bars)  # bars[:low] is affordable, bars[: high + 1] is not
    while low < high:
        middle = (low + high + 1) // 2
        if _cost(spectra, _ranks(gains, bars[middle - 1])) <= budget:
            low = middle
        else:
            high = middle - 1
    ranks = _ranks(gains, bars[low - 1]) if low else dict.fromkeys(gains, 1)
    if _cost(spectra, ranks) > budget:
        return {}
    return {name: rank for name, rank in ranks.items() if rank <= spectra[name].paying}


def least_error(spectra: Mapping[str, Spectrum]) -> float:
    """The smallest error at which one matrix becomes smaller; 1 where none ever does."""
    paying = [float(one.errors()[one.paying]) for one in spectra.values() if one.paying]
    return min(paying, default=1.0)


def _ranks(gains: Mapping[str, list[float]], bar: float) -> dict[str, int]:
    return {name: max(1, sum(gain >= bar for gain in many)) for name, many in gains.items()}


def _cost(spectra: Mapping[str, Spectrum], ranks: Mapping[str, int]) -> int:
    return sum(min(rank * spectra[name].step, spectra[name].size) for name, rank in ranks.items())
