"""What goes wrong in a day's outputs: the bad ones, grouped, named, and counted.

Signs that need no comparison come first, and an output belongs to the first that fits:

- ``empty``: nothing but white space;
- ``repetition``: over half of its 4-grams of words occurred in it before (``rep-4`` of Welleck
  et al. 2020, "Neural text generation with unlikelihood training"), in 12 words and more;
- ``too long``: longer than the third quartile by three interquartile ranges (Tukey 1977, far
  out), and twice the median;
- ``off topic``: shares no word with its own prompt or reference, where most outputs do;
- for images see :mod:`upkeep.quality.image_failures`.

Of the rest the worst fifth by their own scores (mean rank over the measures that score a sample)
is clustered by k-means over TF-IDF of words, the number of clusters chosen by the silhouette
(Rousseeuw 1987), and a cluster is named by its highest-weighing words. A cluster is kept only if
its outputs are like each other; the rest of the worst fifth has nothing in common and is no mode.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from upkeep import measures
from upkeep.records import FailureMode, Sample

if TYPE_CHECKING:
    from upkeep.quality import Material, Score

EXAMPLES = 5
REPEATED_SHARE, FEWEST_WORDS, GRAM = 0.5, 12, 4
FAR_OUT, TIMES_MEDIAN = 3.0, 2.0
ON_TOPIC_SHARE = 0.8  # of the outputs must share a word with theirs, or no sharing says nothing
WORST_SHARE, FEWEST_WORST = 0.2, 12
MOST_CLUSTERS = 6
LEAST_SILHOUETTE = 0.1
LEAST_LIKENESS = 0.1  # mean cosine of a cluster's outputs with each other
NAMING_WORDS = 3
MOST_COMMON, MOST_WORDS = 0.5, 5_000  # a word that half of the day has names nothing
_WORD = re.compile(r"[^\W_]{2,}")

Found = dict[str, tuple[str, list[Sample]]]  # name -> (words, outputs)


def failure_modes(material: Material, scores: Sequence[Score]) -> tuple[FailureMode, ...]:
    """The kinds of bad outputs of the day, the most frequent first; none where all is well."""
    samples = list(material.samples)
    if not samples:
        return ()
    if material.pictures is not None:
        from upkeep.quality.image_failures import image_failures

        return modes(image_failures(material), len(samples))
    found = text_signs(samples)
    named = {sample.id for _, group in found.values() for sample in group}
    worst = worst_of([s for s in samples if s.id not in named], scores)
    return modes({**found, **clusters(worst, samples)}, len(samples))


def modes(found: Found, total: int) -> tuple[FailureMode, ...]:
    """Groups as records, the largest first; examples are the first ids."""
    ranked = sorted(found.items(), key=lambda item: (-len(item[1][1]), item[0]))
    return tuple(
        FailureMode(
            name=name,
            words=words,
            n=len(group),
            share=len(group) / total,
            sample_ids=tuple(sorted(s.id for s in group)[:EXAMPLES]),
        )
        for name, (words, group) in ranked
        if group
    )


# ---------------------------------------------------------------- signs


def text_signs(samples: Sequence[Sample]) -> Found:
    """The outputs that a sign names, each under the first that fits."""
    too_long = _length_limit([len(s.completion.split()) for s in samples])
    signs: Mapping[str, tuple[str, Callable[[Sample], bool]]] = {
        "empty": ("nothing but white space", lambda s: not s.completion.strip()),
        "repetition": (f"over half of its {GRAM}-grams occurred before", _repeats),
        "too long": (f"over {too_long:.0f} words", lambda s: len(s.completion.split()) > too_long),
    }
    off_topic = _off_topic(samples)
    found: Found = {name: (words, []) for name, (words, _) in signs.items()}
    found["off topic"] = ("shares no word with its prompt or reference", [])
    for sample in samples:
        name = next((name for name, (_, fits) in signs.items() if fits(sample)), None)
        if name is None and sample.id in off_topic:
            name = "off topic"
        if name is not None:
            found[name][1].append(sample)
    return {name: group for name, group in found.items() if group[1]}


def repeated_share(text: str) -> float:
    """``rep-4``: the share of the text's 4-grams of words that occurred in it before, 0 to 1.

    >>> repeated_share("a b c d a b c d a b c d")
    0.5555555555555556
    """
    words = text.split()
    grams = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def _repeats(sample: Sample) -> bool:
    enough = len(sample.completion.split()) >= FEWEST_WORDS
    return enough and repeated_share(sample.completion) > REPEATED_SHARE


def _length_limit(lengths: Sequence[int]) -> float:
    if len(lengths) < 2:  # noqa: PLR2004 - one has no spread
        return float("inf")
    low, middle, high = statistics.quantiles(lengths, n=4)
    return max(high + FAR_OUT * (high - low), TIMES_MEDIAN * middle)


def _off_topic(samples: Sequence[Sample]) -> set[str]:
    """Ids of outputs without a word of their prompt or reference, where that is unusual."""
    saying = [s for s in samples if _words(s.completion)]
    alone = {s.id for s in saying if _words(s.completion).isdisjoint(_words(_topic(s)))}
    return alone if len(alone) <= (1.0 - ON_TOPIC_SHARE) * len(saying) else set()


def _topic(sample: Sample) -> str:
    return f"{sample.prompt} {sample.reference}"


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


# ---------------------------------------------------------------- clusters of the worst


def worst_of(samples: Sequence[Sample], scores: Iterable[Score]) -> list[Sample]:
    """The worst fifth by mean rank over the measures that score a sample; none of a few."""
    ranks: dict[str, list[float]] = {}
    for score in scores:
        sign = -1.0 if score.measure in measures.LOWER_IS_BETTER else 1.0
        known = [s.id for s in samples if s.id in score.per_sample]
        ordered = sorted((sign * score.per_sample[i], i) for i in known)
        for place, (_, identifier) in enumerate(ordered):
            ranks.setdefault(identifier, []).append(place / len(ordered))
    scored = [s for s in samples if s.id in ranks]
    most = int(WORST_SHARE * len(scored))
    if most < FEWEST_WORST:
        return []
    ranked = sorted(scored, key=lambda s: (statistics.fmean(ranks[s.id]), s.id))
    return ranked[:most]


def clusters(samples: Sequence[Sample], day: Sequence[Sample]) -> Found:
    """Outputs that are like each other, named by words that they share and the day seldom has."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(samples) < FEWEST_WORST:
        return {}
    vectorizer = TfidfVectorizer(
        token_pattern=_WORD.pattern, min_df=2, max_df=MOST_COMMON, max_features=MOST_WORDS
    )
    try:
        vectorizer.fit([s.completion for s in day])
    except ValueError:  # no word that two outputs share and not nearly all have
        return {}
    vectors = vectorizer.transform([s.completion for s in samples])
    names = vectorizer.get_feature_names_out()
    found: Found = {}
    for group in _groups(vectors):
        centre = vectors[group].mean(axis=0).A1
        # The mean cosine of the members with each other, without each with itself.
        n = len(group)
        likeness = (n * float(centre @ centre) - 1.0) / (n - 1) if n > 1 else 0.0
        top = [str(names[i]) for i in centre.argsort()[::-1][:NAMING_WORDS] if centre[i] > 0.0]
        if likeness >= LEAST_LIKENESS and top:
            about = ", ".join(top)
            words = f"among the worst scores, about: {about}"
            found[f"about {about}"] = (words, [samples[i] for i in group])
    return found


def _groups(vectors: Any) -> Iterator[list[int]]:
    """Positions by cluster, of the number of clusters with the best silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best, labels = LEAST_SILHOUETTE, None
    for k in range(2, min(MOST_CLUSTERS, vectors.shape[0] - 1) + 1):
        tried = KMeans(k, n_init=4, random_state=0).fit_predict(vectors)
        if len(set(tried)) > 1 and (score := silhouette_score(vectors, tried)) > best:
            best, labels = score, tried
    if labels is None:
        yield list(range(vectors.shape[0]))
        return
    for label in sorted(set(labels)):
        yield [i for i, other in enumerate(labels) if other == label]
