"""How often the 95% intervals of entity figures hold the true figure: simulated tagged sets.

    python bench/entity_coverage.py [--sets 1000]

A population is the mean number of entities of each type in a sentence, each type's chance to be found, how
often what is missed is found with wrong borders, how many wrong ones are found for each true one, and for
documents how many sentences they have and how their difficulty varies (deviation of the log odds). Its true
figures are those of a set of some hundred thousand units.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from whet.entity_scores import EntityCounts, entity_intervals, entity_metrics

FIGURES = ("precision", "recall", "f1", "macro_precision", "macro_recall", "macro_f1")
RAREST = "rarest f1"


@dataclass(frozen=True)
class Population:
    per_sentence: tuple[float, ...]
    found: tuple[float, ...]
    wrong_borders: float = 0.4
    wrong: float = 0.08
    sentences: int = 1  # of a unit
    difficulty: float = 0.0

    def draw(self, n_units: int, rng: np.random.Generator) -> EntityCounts:
        """The counts of so many units."""
        rates, chances = np.array(self.per_sentence), np.array(self.found)
        shift = rng.normal(0, self.difficulty, (n_units, 1))
        share = 1 / (1 + (1 / chances - 1) * np.exp(-shift))
        true = rng.poisson(rates * self.sentences, (n_units, len(rates)))
        hits = rng.binomial(true, share)
        spurious = rng.poisson(rates * self.sentences * self.wrong * (1 - share) / (1 - chances))
        found = hits + rng.binomial(true - hits, self.wrong_borders) + spurious
        return EntityCounts(tuple(str(i) for i in range(len(rates))), hits, true, found)


POPULATIONS = {
    "four types, sentences, F1 0.90": (
        Population((0.5, 0.45, 0.4, 0.25), (0.93, 0.9, 0.86, 0.8)),
        (50, 300, 3000),
    ),
    "four types, sentences, F1 0.97": (
        Population((0.5, 0.4, 0.3, 0.2), (0.98,) * 4, wrong=0.02),
        (50, 300, 3000),
    ),
    "three types, one rare": (Population((0.6, 0.3, 0.02), (0.9, 0.85, 0.6)), (50, 300, 3000)),
    "ten types": (
        Population((0.3, 0.2, *(0.1,) * 4, *(0.03,) * 4), (*(0.9,) * 4, *(0.75,) * 6)),
        (50, 300, 3000),
    ),
    "four types, documents of 15, difficulty 0.5": (
        Population((0.5, 0.45, 0.4, 0.25), (0.93, 0.9, 0.86, 0.8), sentences=15, difficulty=0.5),
        (10, 50, 200),
    ),
    "four types, documents of 15, difficulty 1": (
        Population((0.5, 0.45, 0.4, 0.25), (0.93, 0.9, 0.86, 0.8), sentences=15, difficulty=1.0),
        (10, 50, 200),
    ),
}


def truth(population: Population) -> dict[str, float]:
    """The figures of a set so large that its error does not count."""
    metrics = entity_metrics(population.draw(1_000_000 // population.sentences, np.random.default_rng(1)))
    return {**{name: metrics[name] for name in FIGURES}, RAREST: metrics["per_type"][-1]["f1"]}


def coverage(population: Population, known: dict[str, float], n_units: int, n_sets: int) -> dict[str, float]:
    """Share of the sets whose interval holds the true figure."""
    rng = np.random.default_rng([0, n_units])
    held, of = dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    for _ in range(n_sets):
        intervals = entity_intervals(population.draw(n_units, rng))
        intervals[RAREST] = intervals["per_type"][-1]["f1"]
        for name, figure in known.items():
            if intervals[name] is not None:
                of[name] += 1
                held[name] += intervals[name][0] <= figure <= intervals[name][1]
    return {name: held[name] / max(of[name], 1) for name in known}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    options = parser.parse_args()
    names = (*FIGURES, RAREST)
    print(f"| population | units | {' | '.join(names)} |\n| {' | '.join(['---'] * (len(names) + 2))} |")
    for label, (population, sizes) in POPULATIONS.items():
        known = truth(population)
        for n_units in sizes:
            shares = coverage(population, known, n_units, options.sets)
            print(
                f"| {label} | {n_units:,} | {' | '.join(f'{100 * shares[x]:.1f}' for x in names)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
