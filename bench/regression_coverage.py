"""How often the 95% intervals of regression figures hold the true figure, on simulated sets.

    python bench/regression_coverage.py [--sets 1000] [--sizes 50 300 3000]

True figures are those of 500,000 rows. The last column is the share of fresh targets within 90% split
conformal intervals from as many rows, a mean over the sets.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from whet.prediction_intervals import conformal_half_width
from whet.regression_intervals import regression_intervals
from whet.regression_metrics import FIGURES, regression_metrics

Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def normal(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = rng.normal(size=n)
    return 0.8 * true + 0.6 * rng.normal(size=n), true


def weak(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = rng.normal(size=n)
    return 0.2 * true + 0.98 * rng.normal(size=n), true


def bounded(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = np.clip(np.round(2.6 + 1.6 * rng.normal(size=n), 1), 0, 5)
    return np.clip(0.8 * true + 0.5 + 0.7 * rng.normal(size=n), 0, 5), true


def stars(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = rng.choice(5, size=n, p=[0.1, 0.05, 0.1, 0.25, 0.5]) + 1.0
    return 0.7 * true + 1 + 0.6 * rng.normal(size=n), true


def heavy(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = rng.standard_t(4, size=n)
    return 0.7 * true + 0.5 * rng.standard_t(4, size=n), true


def skewed(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    true = np.exp(0.8 * rng.normal(size=n))
    return true * np.exp(0.4 * rng.normal(size=n)), true


POPULATIONS: dict[str, Draw] = {
    "normal, correlation 0.8": normal,
    "normal, correlation 0.2": weak,
    "0 to 5 in tenths, as STS-B": bounded,
    "one to five stars": stars,
    "Student's t with 4 degrees": heavy,
    "lognormal": skewed,
}


def truth(draw: Draw, n: int = 500_000) -> dict[str, Any]:
    return regression_metrics(*draw(n, np.random.default_rng(1)))


def coverage(draw: Draw, known: dict[str, Any], n: int, n_sets: int, seed: int = 0) -> dict[str, float]:
    """Share of the sets whose interval holds the true figure; conformal: of fresh targets, level 0.9."""
    rng = np.random.default_rng([seed, n])
    held: dict[str, list[float]] = {name: [] for name in (*FIGURES, "conformal")}
    for _ in range(n_sets):
        predicted, true = draw(n, rng)
        found = regression_intervals(predicted, true)
        for name in FIGURES:
            held[name].append(found[name][0] <= known[name] <= found[name][1])
        half_width = conformal_half_width(predicted, true)
        fresh, fresh_true = draw(1000, rng)
        held["conformal"].append(float((np.abs(fresh - fresh_true) <= half_width).mean()))
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 300, 3000])
    options = parser.parse_args()
    names = (*FIGURES, "conformal")
    print(f"| population | rows | {' | '.join(names)} |\n| {' | '.join(['---'] * (len(names) + 2))} |")
    for population, draw in POPULATIONS.items():
        known = truth(draw)
        for n in options.sizes:
            shares = coverage(draw, known, n, options.sets)
            print(
                f"| {population} | {n:,} | {' | '.join(f'{100 * shares[x]:.1f}' for x in names)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
