"""chrF of what production answered against the known references: 0 to 100, higher is better.

chrF = 100 * (1 + b^2) * P * R / (b^2 * P + R), b = 2

with P and R the mean precision and recall of character n-grams, n = 1..6, spaces left out
(Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"; b = 2 from Popović
2016), computed by sacrebleu over the sums of all samples' counts. Of several references the one
with the best score counts. It sees words that are right but for their ending, and needs no
tokenizer. Unit: chrF points. The interval is a percentile bootstrap over the samples (Koehn
2004). A sample's own score is its sentence chrF.
"""

from __future__ import annotations

from typing import Final

from upkeep.quality import Material, Score
from upkeep.quality.sacrebleu_sums import corpus_score

NAME: Final = "chrf"


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """chrF2 of the logged completions; the model is not asked: production answered already.

    Raises ParamError where fewer than ``min_samples`` samples have a reference.
    """
    from sacrebleu.metrics import CHRF

    metric = CHRF(lowercase=material.settings.lowercase)
    return corpus_score(NAME, "chrF points", metric, metric, material)
