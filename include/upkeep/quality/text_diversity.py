"""How different the completions of one day are from each other: what mode collapse takes away.

Each is the mean over groups of 20 completions, dealt at random once (seeded):

- ``distinct_2``: distinct bigrams / bigrams of the group (Li, Galley, Brockett, Gao & Dolan
  2016, "A diversity-promoting objective function for neural conversation models"), 0 to 1; a
  text of one word has none and is not seen, a group of such texts scores 0;
- ``self_bleu``: mean BLEU of each completion against the other 19 (Zhu et al. 2018, "Texygen"),
  0 to 100 BLEU points; lower is better;
- ``text_vendi``: the Vendi score (Friedman & Dieng 2023) over hashed character n-grams, the
  effective number of different outputs of 20, 1 to 20.

Over a whole day all three would follow the day's number of samples: distinct words grow slower
than words (Heaps 1978), the best match of more references is better, and more texts hold more
different ones. A group has one size, so that n drives only the interval's width, and the cost
grows as n. The interval is Student's over the groups, which share no completion. Completions
that fill no group are left out, and so are slices of fewer than 20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from upkeep.errors import ParamError
from upkeep.measures import better
from upkeep.quality import Material, Score, Settings, by_slice, enough
from upkeep.quality.bleu import bleu_metric
from upkeep.quality.groups import GROUP, grouped_score
from upkeep.quality.vendi import kernel_vendi

if TYPE_CHECKING:
    from upkeep.measures import MeasureName

Statistic = Callable[[Sequence[str]], list[float]]
"""A group's texts -> its score, or one score for each text, of which the mean counts."""

UNITS = {
    "distinct_2": "1",
    "self_bleu": "BLEU points",
    "text_vendi": f"effective number of different outputs of {GROUP}",
}
NGRAMS = (3, 5)
FEATURES = 4096


def measure(material: Material, name: str) -> Score:
    """``distinct_2``, ``self_bleu`` or ``text_vendi`` of the logged completions.

    An empty completion is an output like any other. Raises ParamError where there are fewer
    completions than ``min_samples`` or than one group.
    """
    settings, samples = material.settings, material.samples
    enough(name, len(samples), settings, "samples")
    if len(samples) < GROUP:
        raise ParamError(
            f"{name}: samples", len(samples), f"are fewer than a group of {GROUP}", "collect more"
        )
    statistic, how = _STATISTICS[name](settings)
    texts = [sample.completion for sample in samples]
    whole, values = grouped_score(name, "all", texts, statistic, settings)
    return Score(
        measure=name,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit=UNITS[name],
        direction=better(cast("MeasureName", name)),
        signature=f"{how}|group:{GROUP}|groups:Student|seed:{settings.seed}",
        slices=tuple(
            grouped_score(name, part, [texts[at] for at in places], statistic, settings)[0]
            for part, places in by_slice(samples, settings).items()
            if len(places) >= GROUP
        ),
        per_sample={samples[place].id: value for place, value in values.items()},
    )


def _distinct_2(settings: Settings) -> tuple[Statistic, str]:
    metric = bleu_metric(settings)

    def distinct(texts: Sequence[str]) -> list[float]:
        bigrams = [pair for text in texts for pair in pairwise(_words(metric, text))]
        # A group without any bigram says nothing new at all.
        return [len(set(bigrams)) / len(bigrams) if bigrams else 0.0]

    return distinct, f"distinct|order:2|{_case(settings)}|tok:{settings.tokenize}|{_sacrebleu()}"


def _self_bleu(settings: Settings) -> tuple[Statistic, str]:
    metric = bleu_metric(settings, sentence=True)

    def self_bleu(texts: Sequence[str]) -> list[float]:
        empty = [not text.strip() for text in texts]
        found = []
        for place, text in enumerate(texts):
            others = [*texts[:place], *texts[place + 1 :]]
            if empty[place]:  # BLEU of nothing is 0, even against nothing
                found.append(100.0 if sum(empty) > 1 else 0.0)
            else:
                found.append(float(metric.sentence_score(text, others).score))
        return found

    how = f"self-BLEU|refs:{GROUP - 1}|{_case(settings)}|eff:yes|tok:{settings.tokenize}"
    return self_bleu, f"{how}|smooth:exp|{_sacrebleu()}"


def _text_vendi(settings: Settings) -> tuple[Statistic, str]:
    import sklearn
    from sklearn.feature_extraction.text import HashingVectorizer

    # No inverse document frequencies: they would follow the day's own texts.
    hashed = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=NGRAMS,
        n_features=FEATURES,
        lowercase=settings.lowercase,
    )

    def effective(texts: Sequence[str]) -> list[float]:
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        rows = hashed.transform(clean)
        kernel = (rows @ rows.T).toarray()
        empty = kernel.diagonal() == 0.0
        kernel[np.ix_(empty, empty)] = 1.0  # no text is like no text, and like nothing else
        return [kernel_vendi(kernel)]

    how = f"vendi|char_wb:{NGRAMS[0]}-{NGRAMS[1]}|hashed:{FEATURES}|kernel:cosine"
    return effective, f"{how}|{_case(settings)}|scikit-learn:{sklearn.__version__}"


def _words(metric: Any, text: str) -> list[str]:
    """The words that BLEU compares."""
    return str(metric._preprocess_segment(text)).split()  # noqa: SLF001 - case and tokens at once


def _case(settings: Settings) -> str:
    return f"case:{'lc' if settings.lowercase else 'mixed'}"


def _sacrebleu() -> str:
    import sacrebleu

    return f"sacrebleu:{sacrebleu.__version__}"


_STATISTICS: dict[str, Callable[[Settings], tuple[Statistic, str]]] = {
    "distinct_2": _distinct_2,
    "self_bleu": _self_bleu,
    "text_vendi": _text_vendi,
}
