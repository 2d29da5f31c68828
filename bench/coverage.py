"""How often the 95% intervals hold the true figure: simulated labelled sets from known populations.

    python bench/coverage.py [--sets 1000] [--sizes 50 300 3000] [--of figures|ece]

A population is a share of each label and a margin: logits are normal numbers, the true label's shifted by
the margin. Its true figures are those of 2,000,000 texts. The scale of the logits does not change answers.
With even labels probabilities are true where it is the margin, so for the calibration error (ece) there are
populations of half and twice that scale.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from whet.calibration import confidence_bins, error_interval
from whet.intervals import classification_intervals
from whet.metrics import classification_metrics

FIGURES = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "roc_auc", "nll")


@dataclass(frozen=True)
class Population:
    shares: tuple[float, ...]
    margin: float
    scale: float = 1.5

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(len(self.shares)))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, n_labels) and true labels (n,)."""
        true = rng.choice(len(self.shares), n, p=self.shares)
        logits = rng.normal(size=(n, len(self.shares)))
        logits[np.arange(n), true] += self.margin
        raised = np.exp(self.scale * (logits - logits.max(axis=1, keepdims=True)))
        return raised / raised.sum(axis=1, keepdims=True), true


POPULATIONS = {
    "two even labels, accuracy 0.86": Population((0.5, 0.5), 1.5),
    "two even labels, accuracy 0.95": Population((0.5, 0.5), 2.4),
    "two labels, 80 to 20": Population((0.8, 0.2), 1.6),
    "three labels, 50 to 30 to 20": Population((0.5, 0.3, 0.2), 1.6),
    "six labels, 30 to 5": Population((0.3, 0.25, 0.2, 0.12, 0.08, 0.05), 2.0),
}


ECE_POPULATIONS = {
    "two labels, true": Population((0.5, 0.5), 1.5, 1.5),
    "two labels, a little overconfident": Population((0.5, 0.5), 2.4, 2.8),
    "two labels, overconfident": Population((0.5, 0.5), 1.5, 3.0),
    "two labels, underconfident": Population((0.5, 0.5), 1.5, 0.75),
    "six labels, true": Population((1 / 6,) * 6, 2.0, 2.0),
    "six labels, overconfident": Population((1 / 6,) * 6, 2.0, 4.0),
    "six labels, underconfident": Population((1 / 6,) * 6, 2.0, 1.0),
}


def truth(population: Population, n: int = 2_000_000) -> dict[str, Any]:
    """The figures of a set so large that its error does not count."""
    chances, true = population.draw(n, np.random.default_rng(1))
    return classification_metrics(chances, true, population.labels)


def coverage(
    population: Population, known: dict[str, Any], n: int, n_sets: int, seed: int = 0
) -> dict[str, float]:
    """Share of the sets whose interval holds the true figure."""
    rng = np.random.default_rng([seed, n])
    held = dict.fromkeys(FIGURES, 0)
    of = dict.fromkeys(FIGURES, 0)
    for i in range(n_sets):
        found = classification_intervals(*population.draw(n, rng), population.labels, seed=i)
        for name in FIGURES:
            if found[name] is not None:
                of[name] += 1
                held[name] += found[name][0] <= known[name] <= found[name][1]
    return {name: held[name] / of[name] for name in FIGURES}


def true_error(population: Population, n: int = 2_000_000) -> float:
    """The calibration error of a set so large that its noise does not count."""
    chances, true = population.draw(n, np.random.default_rng(1))
    return confidence_bins(chances.max(axis=1), chances.argmax(axis=1) == true).error


def error_coverage(population: Population, known: float, n: int, n_sets: int) -> tuple[float, float, float]:
    """Share of the sets whose interval holds the true calibration error; mean error found, mean width."""
    rng = np.random.default_rng([0, n])
    rows = []
    for i in range(n_sets):
        chances, true = population.draw(n, rng)
        bins = confidence_bins(chances.max(axis=1), chances.argmax(axis=1) == true)
        low, high = error_interval(bins, seed=i)
        rows.append((low <= known <= high, bins.error, high - low))
    held, error, width = np.mean(rows, axis=0).tolist()
    return held, error, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 300, 3000])
    parser.add_argument("--of", choices=("figures", "ece"), default="figures")
    options = parser.parse_args()
    if options.of == "ece":
        print_errors(options.sizes, options.sets)
        return
    print(f"| population | rows | {' | '.join(FIGURES)} |\n| {' | '.join(['---'] * (len(FIGURES) + 2))} |")
    for name, population in POPULATIONS.items():
        known = truth(population)
        for n in options.sizes:
            shares = coverage(population, known, n, options.sets)
            print(f"| {name} | {n:,} | {' | '.join(f'{100 * shares[x]:.1f}' for x in FIGURES)} |", flush=True)


def print_errors(sizes: list[int], n_sets: int) -> None:
    print("| population | true ECE | rows | mean ECE found | interval holds, % | mean width |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, population in ECE_POPULATIONS.items():
        known = true_error(population)
        for n in sizes:
            held, error, width = error_coverage(population, known, n, n_sets)
            print(
                f"| {name} | {known:.3f} | {n:,} | {error:.3f} | {100 * held:.1f} | {width:.3f} |", flush=True
            )


if __name__ == "__main__":
    main()
