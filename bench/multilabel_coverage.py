"""How often the 95% intervals of multi-label figures hold the true figure: simulated sets, known populations.

    python bench/multilabel_coverage.py [--sets 400] [--sizes 50 300 3000] [--only NAME]

A population is a share of each label, a margin and a threshold. Labels of one text hang together, and so do
their scores (correlation 0.3 both); probabilities are calibrated label by label. Its true figures are those
of 300,000 texts. Figures of a label ("a label's ...") are pooled over the labels that have the interval.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from whet.multilabel_intervals import multilabel_intervals
from whet.multilabel_metrics import multilabel_metrics

FIGURES = (
    *(
        f"{average}_{name}"
        for average in ("micro", "macro", "samples")
        for name in ("precision", "recall", "f1")
    ),
    *("subset_accuracy", "hamming_loss", "micro_pr_auc", "macro_pr_auc", "bce"),
)
OF_A_LABEL = ("precision", "recall", "f1", "pr_auc")
TOGETHER = 0.3
GOEMOTIONS = (  # shares of the 28 labels in its training texts
    0.0951, 0.0536, 0.0361, 0.0569, 0.0677, 0.0250, 0.0315, 0.0505, 0.0148, 0.0292, 0.0466, 0.0183, 0.0070,
    0.0196, 0.0137, 0.0613, 0.0018, 0.0334, 0.0481, 0.0038, 0.0364, 0.0026, 0.0256, 0.0035, 0.0126, 0.0305,
    0.0244, 0.3276,
)  # fmt: skip


@dataclass(frozen=True)
class Population:
    shares: tuple[float, ...]
    margin: float
    threshold: float

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(len(self.shares)))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probabilities, decisions and targets, (n, n_labels) each."""
        shares = np.array(self.shares)
        true = self._together(n, rng) > scipy.stats.norm.ppf(1 - shares)
        score = self._together(n, rng) + self.margin * true
        log_odds = self.margin * score - self.margin**2 / 2 + np.log(shares / (1 - shares))
        probabilities = 1 / (1 + np.exp(-log_odds))
        return probabilities, probabilities >= self.threshold, true

    def _together(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Normal numbers (n, n_labels), correlated within a row."""
        own = rng.normal(size=(n, len(self.shares)))
        return np.sqrt(TOGETHER) * rng.normal(size=(n, 1)) + np.sqrt(1 - TOGETHER) * own


POPULATIONS = {
    "six labels, 30 to 5": Population((0.3, 0.25, 0.2, 0.12, 0.08, 0.05), 2.0, 0.4),
    "five even labels of 40, nearly right": Population((0.4,) * 5, 3.5, 0.5),
    "three labels, 50, 30 and 10, often wrong": Population((0.5, 0.3, 0.1), 1.5, 0.4),
    "28 labels, as skewed as GoEmotions": Population(GOEMOTIONS, 2.5, 0.35),
}


def truth(population: Population, n: int = 300_000) -> dict[str, Any]:
    """The figures of a set so large that its error does not count."""
    return multilabel_metrics(*population.draw(n, np.random.default_rng(1)), population.labels)


def coverage(
    population: Population, known: dict[str, Any], n: int, n_sets: int, seed: int = 0
) -> dict[str, float]:
    """Share of the intervals that hold the true figure."""
    rng = np.random.default_rng([seed, n])
    held: dict[str, list[bool]] = {name: [] for name in (*FIGURES, *(f"a label's {x}" for x in OF_A_LABEL))}
    for i in range(n_sets):
        found = multilabel_intervals(*population.draw(n, rng), population.labels, seed=i)
        pairs = [(name, found[name], known[name]) for name in FIGURES]
        for row, row_known in zip(found["per_class"], known["per_class"], strict=True):
            pairs += [(f"a label's {name}", row[name], row_known[name]) for name in OF_A_LABEL]
        for name, ends, value in pairs:
            if ends is not None:
                held[name].append(ends[0] <= value <= ends[1])
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 300, 3000])
    parser.add_argument("--only", nargs="+", choices=POPULATIONS)
    options = parser.parse_args()
    chosen = {name: POPULATIONS[name] for name in options.only or POPULATIONS}
    columns = [f"{name}, {n:,} rows" for name in chosen for n in options.sizes]
    shares = []
    for population in chosen.values():
        known = truth(population)
        shares += [coverage(population, known, n, options.sets) for n in options.sizes]
    print(f"| figure | {' | '.join(columns)} |\n| {' | '.join(['---'] * (len(columns) + 1))} |")
    for name in shares[0]:
        print(f"| {name} | {' | '.join(f'{100 * share[name]:.1f}' for share in shares)} |")


if __name__ == "__main__":
    main()
