"""How often the 95% intervals of exact match and F1 hold the true figure: simulated question sets.

    python bench/squad_coverage.py [--sets 1000]

A population is the mean number of questions of an article and how it varies (standard deviation by mean),
the share of questions answered exactly, how articles differ in difficulty (deviation of the log odds), how
many of the other answers share no word with the true one (their F1 is 0, else it is between 0 and 1), and
the share of questions without an answer. Its true figures are those of a set of some million questions.
SQuAD's published predictions have deviations of 0.3 to 0.4, and sizes that vary by 0.3 and 0.6.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.squad_scores import AnswerScores, squad_intervals, squad_metrics


@dataclass(frozen=True)
class Population:
    size: float
    varies: float
    exact: float
    difficulty: float
    missed: float = 0.5
    unanswerable: float = 0.0

    def draw(self, n_articles: int, rng: np.random.Generator) -> tuple[AnswerScores, NDArray[np.int64]]:
        """The scores of so many articles' questions, and the article of each."""
        shape = self.varies**-2
        sizes = 1 + rng.poisson(rng.gamma(shape, (self.size - 1) / shape, n_articles))
        articles = np.repeat(np.arange(n_articles), sizes)
        odds = self.exact / (1 - self.exact) * np.exp(rng.normal(0, self.difficulty, n_articles))
        exact = rng.random(len(articles)) < (odds / (1 + odds))[articles]
        has_answer = rng.random(len(articles)) >= self.unanswerable
        partly = has_answer & ~exact & (rng.random(len(articles)) >= self.missed)
        f1 = exact + partly * rng.beta(4, 2, len(articles))
        return AnswerScores(exact.astype(np.float64), f1, has_answer), articles


POPULATIONS = {
    "SQuAD 1.1, a good model": (Population(220, 0.57, 0.86, 0.4, missed=0.35), (5, 12, 48)),
    "SQuAD 1.1, a poor model": (Population(220, 0.57, 0.40, 0.3, missed=0.65), (5, 12, 48)),
    "SQuAD 2.0": (Population(340, 0.27, 0.79, 0.4, unanswerable=0.5), (5, 12, 35)),
    "few questions a text": (Population(5, 0.4, 0.7, 0.5), (20, 100, 400)),
    "one question a text": (Population(1, 0.4, 0.9, 0.0), (30, 100, 1000)),
    "texts of very different sizes": (Population(30, 1.0, 0.8, 0.8), (12, 50, 200)),
    "very good": (Population(50, 0.5, 0.97, 0.6), (12, 50, 200)),
}


def truth(population: Population) -> dict[str, float]:
    """The figures of a set so large that its error does not count."""
    n_articles = int(4_000_000 / population.size)
    return squad_metrics(population.draw(n_articles, np.random.default_rng(1))[0])


def coverage(
    population: Population, known: dict[str, float], n_articles: int, n_sets: int
) -> dict[str, float]:
    """Share of the sets whose interval holds the true figure."""
    rng = np.random.default_rng([0, n_articles])
    held: dict[str, int] = {}
    of: dict[str, int] = {}
    for _ in range(n_sets):
        for name, (low, high) in squad_intervals(*population.draw(n_articles, rng)).items():
            of[name] = of.get(name, 0) + 1
            held[name] = held.get(name, 0) + (low <= known[name] <= high)
    return {name: held[name] / of[name] for name in held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    options = parser.parse_args()
    names = ("exact", "f1", "has_answer_exact", "has_answer_f1", "no_answer_exact")
    print(f"| population | articles | {' | '.join(names)} |\n| {' | '.join(['---'] * (len(names) + 2))} |")
    for label, (population, sizes) in POPULATIONS.items():
        known = truth(population)
        for n_articles in sizes:
            shares = coverage(population, known, n_articles, options.sets)
            cells = (f"{100 * shares[name]:.1f}" if name in shares else "" for name in names)
            print(f"| {label} | {n_articles:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
