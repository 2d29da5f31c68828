"""Precision, recall and F1 of entities, strictly: type and borders must be right. With 95% intervals.

The intervals see the sentences, or the documents where they are known, as drawn at random: entities of one
document are not as many independent ones. A ratio of sums over such units has a variance of its own, which
says how many independent entities it is worth, and Wilson's interval is that of a share of so many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from whet.entities import Ids, Spans
from whet.intervals import LEVEL, Interval, wilson
from whet.metrics import Counts, Floats


@final
@dataclass(frozen=True, eq=False)
class EntityCounts:
    """Entities by the unit they were drawn in, a sentence or a document, and by type."""

    types: tuple[str, ...]  # sorted; those that are true or found somewhere
    hits: Counts  # (n_units, n_types), true and found
    true: Counts  # (n_units, n_types)
    found: Counts  # (n_units, n_types)


def count_entities(true: Spans, found: Spans, documents: ArrayLike | None = None) -> EntityCounts:
    """Count strictly: an entity is a hit where both have its sentence, first word, last word and type.

    documents (n_sentences,) integers, the unit of each sentence; None: each is its own. ValueError: spans of
    different numbers of sentences."""
    if true.n_sentences != found.n_sentences:
        raise ValueError(
            f"{true.n_sentences} sentences with true tags but {found.n_sentences} with found ones"
        )
    units = np.arange(true.n_sentences)
    if documents is not None:
        units = np.unique(np.asarray(documents), return_inverse=True)[1]
    used = {spans.types[i] for spans in (true, found) for i in np.unique(spans.type_ids)}
    types = tuple(sorted(used))
    true_types, found_types = _type_ids(true, types), _type_ids(found, types)
    # Entities of one tagging never overlap, so at most one begins at a word.
    longest = int(max(np.max(true.stops, initial=0), np.max(found.stops, initial=0)))
    _, in_true, in_found = np.intersect1d(
        true.sentences * longest + true.firsts,
        found.sentences * longest + found.firsts,
        assume_unique=True,
        return_indices=True,
    )
    same = (true_types[in_true] == found_types[in_found]) & (true.stops[in_true] == found.stops[in_found])
    hits = in_true[same]
    shape = (int(units.max(initial=-1)) + 1, len(types))

    def table(sentences: Ids, kinds: Ids) -> Counts:
        cells = np.bincount(units[sentences] * len(types) + kinds, minlength=shape[0] * shape[1])
        return cells.astype(np.int64, copy=False).reshape(shape)

    return EntityCounts(
        types,
        table(true.sentences[hits], true_types[hits]),
        table(true.sentences, true_types),
        table(found.sentences, found_types),
    )


def entity_metrics(counts: EntityCounts) -> dict[str, Any]:
    """precision, recall and f1 of all entities (micro), their means over the types (macro_...), and per_type.

    Undefined ratios (0 / 0) are 0. The figures are seqeval's with mode="strict", scheme=IOB2 and
    zero_division=0, the true and found tags being repaired; a type that is nowhere is in no mean."""
    hits, true, found = (part.sum(axis=0) for part in (counts.hits, counts.true, counts.found))
    micro, each = _figures(hits.sum(), true.sum(), found.sum()), _figures(hits, true, found)
    return {
        **{name: float(value) for name, value in micro.items()},
        **{f"macro_{name}": float(values.mean()) if len(values) else 0.0 for name, values in each.items()},
        "per_type": [
            {
                "type": kind,
                **{name: float(values[i]) for name, values in each.items()},
                "support": int(true[i]),
                "found": int(found[i]),
            }
            for i, kind in enumerate(counts.types)
        ],
    }


def entity_intervals(counts: EntityCounts) -> dict[str, Any]:
    """95% intervals [low, high] under the names of `entity_metrics`, None where undefined.

    Macro figures: the types' intervals put together, each end's distances from the figures as standard errors
    (Zou and Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27,
    2008), with the correlation between types that the units show. A type without the ratio adds nothing."""
    both = counts.true + counts.found
    shares = {  # the units' hits, and what they are a share of
        "precision": (counts.hits, counts.found),
        "recall": (counts.hits, counts.true),
        "f1": (counts.hits, both - counts.hits),  # F1 = 2 J / (1 + J), as in intervals.f1_interval
    }
    of = {"precision": counts.found, "recall": counts.true, "f1": both}
    intervals: dict[str, Any] = {}
    per_type: list[dict[str, Any]] = [{"type": name} for name in counts.types]
    for name, (hits, total) in shares.items():
        carried = _carried if name == "f1" else _as_it_is
        intervals[name] = carried(share_interval(hits.sum(axis=1), total.sum(axis=1)))
        ends = [carried(share_interval(hits[:, i], total[:, i])) for i in range(len(counts.types))]
        for row, interval in zip(per_type, ends, strict=True):
            row[name] = interval
        doubled = 2 * hits if name == "f1" else hits
        intervals[f"macro_{name}"] = _macro(doubled, of[name], ends)
    return {**intervals, "per_type": per_type}


def share_interval(hits: ArrayLike, of: ArrayLike) -> Interval | None:
    """Interval of sum(hits) / sum(of), both (n_units,), units drawn at random; None of 0 / 0.

    Wilson's with as many independent trials as the ratio's variance is worth (Kish's design effect, at least
    1), fewer for few units: Korn and Graubard, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data", Survey Methodology 24, 1998."""
    counted = np.asarray(of, np.float64)
    kept = counted > 0
    counted, hit = counted[kept], np.asarray(hits, np.float64)[kept]
    n, n_units = float(counted.sum()), len(counted)
    if n == 0:
        return None
    share = float(hit.sum()) / n
    effect = 1.0
    if 0 < share < 1 and n_units > 1:
        spread = n_units / (n_units - 1) * float(((hit - share * counted) ** 2).sum())
        effect = max(effect, spread / (n * share * (1 - share)))
    middle = (1 + LEVEL) / 2
    t_entities, t_units = scipy.special.stdtrit([max(n - 1, 1), max(n_units - 1, 1)], middle)
    trials = n / effect * float(t_entities / t_units) ** 2
    return wilson(share * trials, trials)


def _macro(hits: Counts, of: Counts, ends: Sequence[Interval | None]) -> Interval | None:
    """Interval of the mean over types of sum(hits) / sum(of), both (n_units, n_types), 0 / 0 being 0."""
    if not ends:
        return None
    total = of.sum(axis=0)
    figures = hits.sum(axis=0) / np.maximum(total, 1)
    shares = hits - figures * of  # of each unit in each type's error
    products = shares.T @ shares
    deviations = np.sqrt(np.diagonal(products))
    scale = np.outer(deviations, deviations)
    correlations = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(correlations, 1.0)
    limits = np.array([end or (0.0, 0.0) for end in ends])
    mean = float(figures.mean())
    distances = np.abs(limits - figures[:, None]).T  # (2, n_types)
    low, high = (float(np.sqrt(max(d @ correlations @ d, 0.0))) / len(ends) for d in distances)
    return [max(mean - low, 0.0), min(mean + high, 1.0)]


def _as_it_is(interval: Interval | None) -> Interval | None:
    return interval


def _carried(interval: Interval | None) -> Interval | None:
    return None if interval is None else [2 * end / (1 + end) for end in interval]


def _figures(hits: ArrayLike, true: ArrayLike, found: ArrayLike) -> dict[str, Floats]:
    """precision, recall and f1 of counts of any one shape, in that shape; 0 / 0 is 0."""
    hit, support, given = (np.asarray(part, np.float64) for part in (hits, true, found))
    return {
        "precision": hit / np.maximum(given, 1),
        "recall": hit / np.maximum(support, 1),
        "f1": 2 * hit / np.maximum(support + given, 1),
    }


def _type_ids(spans: Spans, types: Sequence[str]) -> Ids:
    place = {name: i for i, name in enumerate(types)}
    return np.array([place.get(name, -1) for name in spans.types], np.int64)[spans.type_ids]
