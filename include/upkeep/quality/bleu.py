"""BLEU of what production answered against the known references: 0 to 100, higher is better.

BLEU = 100 * BP * exp(mean over n = 1..4 of ln precision_n), BP = min(1, exp(1 - ref/hyp length))

over the whole corpus (Papineni, Roukos, Ward & Zhu 2002), computed by sacrebleu (Post 2018, "A
call for clarity in reporting BLEU scores"), which the signature names with its options. Of
several references an n-gram may match any one, and the length is that of the nearest in length.
Unit: BLEU points. The interval is a percentile bootstrap over the samples (Koehn 2004). A
sample's own score is sentence BLEU over the orders of n-gram that it is long enough for.
"""

from __future__ import annotations

from typing import Any, Final

from upkeep.errors import ParamError
from upkeep.quality import Material, Score, Settings
from upkeep.quality.sacrebleu_sums import corpus_score

NAME: Final = "bleu"
UNIT = "BLEU points"
OFFLINE = ("13a", "char", "intl", "none", "zh")
"""sacrebleu's tokenizers that need no file; it would download one for any other."""


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """BLEU of the logged completions; the model is not asked: production answered already.

    Raises ParamError where fewer than ``min_samples`` samples have a reference.
    """
    settings = material.settings
    return corpus_score(
        NAME, UNIT, bleu_metric(settings), bleu_metric(settings, sentence=True), material
    )


def bleu_metric(settings: Settings, *, sentence: bool = False) -> Any:
    """Sacrebleu's BLEU with these settings, for a corpus or for one sentence.

    Raises ParamError for a tokenizer that would have to be downloaded.
    """
    from sacrebleu.metrics import BLEU

    if settings.tokenize not in OFFLINE:
        raise ParamError(
            "tokenize",
            settings.tokenize,
            f"must be one of {list(OFFLINE)}: sacrebleu downloads a file for any other",
            "choose one of them",
        )
    return BLEU(
        lowercase=settings.lowercase,
        tokenize=settings.tokenize,
        effective_order=sentence,
        force=True,  # silences a warning about texts that look tokenized
    )
