"""Size and power of `whet compare` over texts and seeds, beside two ways that it does not take.

    python bench/seeds_size.py [--sets 1000] [--sizes 100 1000] [--seeds 3 5]

A text has a difficulty that all models share, one that a way of training has, and one of each model's own;
a seed has a level of its own and leans to some labels. Size: both ways of training are alike, and 5% is
aimed at. Power: the second is better by about 3 points of accuracy.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from whet.over_seeds import Figure, figure, seeds_test
from whet.paired import LEVEL, METRICS

RESAMPLES = 200


@dataclass(frozen=True)
class Population:
    shares: tuple[float, ...]  # of the labels
    margin: float  # of the true label's score, in standard deviations of a model's own noise
    seed_spread: float  # standard deviation of a seed's level and of its leanings
    difficulty: float = 0.7  # of a text, for all models
    taste: float = 0.5  # of a way of training for a text

    def draw(
        self, n: int, n_seeds: tuple[int, int], rng: np.random.Generator, shift: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """true (n,), and the answers of each side (n_seeds, n); the second's margin is wider by shift."""
        n_labels = len(self.shares)
        true = rng.choice(n_labels, n, p=self.shares)
        shared = self.difficulty * rng.normal(size=(n, n_labels))
        answers = []
        for k, more in zip(n_seeds, (0.0, shift), strict=True):
            scores = rng.normal(size=(k, n, n_labels)) + shared
            scores += self.taste * rng.normal(size=(n, n_labels))
            scores += self.seed_spread * rng.normal(size=(k, 1, n_labels))
            level = self.margin + more + self.seed_spread * rng.normal(size=(k, 1))
            scores[:, np.arange(n), true] += level
            answers.append(scores.argmax(axis=2))
        return true, answers[0], answers[1]


POPULATIONS = {
    "80 to 20": Population((0.8, 0.2), 2.2, 0.0),
    "80 to 20, seeds a little apart": Population((0.8, 0.2), 2.2, 0.08),
    "80 to 20, seeds far apart": Population((0.8, 0.2), 2.2, 0.3),
    "two even labels, accuracy 0.98": Population((0.5, 0.5), 4.0, 0.3, difficulty=1.0, taste=0.3),
    "six labels, 30 to 5": Population((0.3, 0.25, 0.2, 0.12, 0.08, 0.05), 2.7, 0.1),
}


def texts_alone(first: Figure, second: Figure) -> float:
    """p of a paired test over texts, each with the mean over seeds, as if there were no other seeds."""
    sides = [Figure(side.by_seed, side.influence, 0.0, 0.0) for side in (first, second)]
    return seeds_test(sides[0], sides[1], LEVEL).p


def bootstrap(true: np.ndarray, sides: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> float:
    """p of accuracy by percentiles, texts and the seeds of each side drawn anew."""
    n = len(true)
    weights = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    means = []
    for answers in sides:
        by_seed = weights @ (answers == true).T  # (RESAMPLES, n_seeds)
        chosen = rng.integers(by_seed.shape[1], size=by_seed.shape)
        means.append(np.take_along_axis(by_seed, chosen, axis=1).mean(axis=1))
    below = float((means[1] - means[0] < 0).mean() + (means[1] == means[0]).mean() / 2)
    return 2 * min(below, 1 - below)


def p_values(
    population: Population, n: int, n_seeds: int, n_sets: int, shift: float
) -> Iterator[dict[str, float]]:
    rng = np.random.default_rng([n, n_seeds, round(100 * shift)])
    for _ in range(n_sets):
        true, *sides = population.draw(n, (n_seeds, n_seeds), rng, shift)
        found = {}
        for metric in METRICS:
            first, second = (figure(true, side, len(population.shares), metric) for side in sides)
            varies = first.influence.any() or second.influence.any()
            found[metric] = seeds_test(first, second, LEVEL).p if varies else 1.0
            if metric == "accuracy":
                found["texts alone"] = texts_alone(first, second) if varies else 1.0
        found["bootstrap"] = bootstrap(true, (sides[0], sides[1]), rng)
        yield found


def seed_deviation(population: Population) -> float:
    """Standard deviation of the accuracy over seeds, on texts without end: of 40 seeds on 20,000 texts."""
    true, answers, _ = population.draw(20_000, (40, 1), np.random.default_rng(3))
    return float((answers == true).mean(axis=1).std(ddof=1))


def shift_of(population: Population, points: float) -> float:
    """The wider margin that makes a way of training better by so many points of accuracy."""
    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        still = Population(population.shares, population.margin, 0.0, population.difficulty, population.taste)
        true, first, second = still.draw(50_000, (1, 1), np.random.default_rng(4), middle)
        gain = 100 * ((second == true).mean() - (first == true).mean())
        low, high = (middle, high) if gain < points else (low, middle)
    return (low + high) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    options = parser.parse_args()
    names = (*METRICS, "texts alone", "bootstrap")
    print(f"| population | seeds' sd | rows | seeds | {' | '.join(names)} | power | texts alone |")
    print(f"|{' --- |' * (len(names) + 6)}")
    for title, population in POPULATIONS.items():
        deviation = 100 * seed_deviation(population)
        shift = 0.0 if "0.98" in title else shift_of(population, 3.0)
        for n in options.sizes:
            for n_seeds in options.seeds:
                sets = list(p_values(population, n, n_seeds, options.sets, 0.0))
                size = [100 * np.mean([found[name] < LEVEL for found in sets]) for name in names]
                power = "- | -"
                if shift:
                    better = list(p_values(population, n, n_seeds, options.sets // 2, shift))
                    shares = [
                        100 * np.mean([one[x] < LEVEL for one in better]) for x in ("accuracy", "texts alone")
                    ]
                    power = " | ".join(f"{share:.0f}" for share in shares)
                cells = " | ".join(f"{share:.1f}" for share in size)
                print(f"| {title} | {deviation:.1f} | {n:,} | {n_seeds} | {cells} | {power} |", flush=True)


if __name__ == "__main__":
    main()
