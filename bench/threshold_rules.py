"""Which rule for thresholds per label gives the best macro F1 on fresh texts.

    python bench/threshold_rules.py [../shared/data/goemotions] [--rounds 20] [--sizes 300 1000 5000]

Each round fits the rules on so many texts and scores them on 5,000 others. Probabilities are simulated, as in
bench/multilabel_coverage.py but with log odds moved by about 0.7 label by label; with the folder of
GoEmotions also those of TF-IDF and logistic regression (20,000 training texts), where a round draws its texts
anew from dev and test together. Intervals are normal ones over the rounds, paired with each label's own best.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from multilabel_coverage import POPULATIONS
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

from whet.multilabel_metrics import multilabel_confusions, positive_ratios
from whet.thresholds import decide, fit_thresholds

FRESH = 5000
Texts = tuple[np.ndarray, np.ndarray]  # probabilities and targets, (n, n_labels) both


def own_best(probabilities: np.ndarray, true: np.ndarray, without: float) -> np.ndarray:
    """Each label's own best threshold; `without` for a label that no text has."""
    found = np.full(true.shape[1], without)
    for label in np.flatnonzero(true.any(axis=0)):
        precision, recall, steps = precision_recall_curve(true[:, label], probabilities[:, label])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        found[label] = steps[f1[:-1].argmax()]
    return found


def macro_f1(texts: Texts, thresholds: np.ndarray) -> float:
    probabilities, true = texts
    confusions = multilabel_confusions(decide(probabilities, thresholds), true)
    return float(positive_ratios(confusions)[2].mean())


def compare(draw: Callable[[int, np.random.Generator], Texts], n: int, rounds: int) -> dict[str, list[float]]:
    """Macro F1 on fresh texts of each rule, a number a round; and of the fitted rule on its own texts."""
    scores: dict[str, list[float]] = {}
    for seed in range(rounds):
        rng = np.random.default_rng([11, n, seed])
        probabilities, true = draw(n + FRESH, rng)
        known, fresh = (probabilities[:n], true[:n]), (probabilities[n:], true[n:])
        found = fit_thresholds(*known, seed)
        rules = {
            "0.5": np.full(true.shape[1], 0.5),
            "one for all": np.full(true.shape[1], found.pooled),
            "own best": own_best(*known, found.pooled),
            "bagged": found.own,
            "bagged and drawn together": found.values,
        }
        for name, thresholds in rules.items():
            scores.setdefault(name, []).append(macro_f1(fresh, thresholds))
        scores.setdefault("the last on the texts it was fitted on", []).append(macro_f1(known, found.values))
    return scores


def simulated(name: str) -> Callable[[int, np.random.Generator], Texts]:
    population = POPULATIONS[name]
    moved = np.random.default_rng(5).normal(size=len(population.shares)) * 0.7

    def draw(n: int, rng: np.random.Generator) -> Texts:
        probabilities, _, true = population.draw(n, rng)
        return 1 / (1 + np.exp(-np.log(probabilities / (1 - probabilities)) - moved)), true

    return draw


def goemotions(folder: Path) -> Callable[[int, np.random.Generator], Texts]:
    (texts, true), dev, test = (_read(folder / f"{split}.tsv") for split in ("train", "dev", "test"))
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=30_000)
    features = words.fit_transform(texts[:20_000])
    held_out = words.transform([*dev[0], *test[0]])
    held_out_true = np.concatenate([dev[1], test[1]])
    probabilities = np.stack(
        [
            LogisticRegression(C=5, solver="liblinear")
            .fit(features, true[:20_000, label])
            .predict_proba(held_out)[:, 1]
            for label in range(true.shape[1])
        ],
        axis=1,
    )

    def draw(n: int, rng: np.random.Generator) -> Texts:
        chosen = rng.permutation(len(held_out_true))[:n]
        return probabilities[chosen], held_out_true[chosen]

    return draw


def _read(file: Path) -> tuple[list[str], np.ndarray]:
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    true = np.zeros((len(rows), 28), bool)
    for row, fields in enumerate(rows):
        true[row, [int(label) for label in fields[1].split(",")]] = True
    return [fields[0] for fields in rows], true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("goemotions", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1000, 5000])
    options = parser.parse_args()
    sources = {
        name: simulated(name) for name in ("28 labels, as skewed as GoEmotions", "six labels, 30 to 5")
    }
    if options.goemotions:
        sources["GoEmotions, TF-IDF"] = goemotions(options.goemotions)
    print("| labels | texts fitted on | rule | macro F1 | beside own best |\n| --- | --- | --- | --- | --- |")
    for source, draw in sources.items():
        for n in options.sizes:
            scores = compare(draw, n, options.rounds)
            for rule, found in scores.items():
                gain = 100 * np.subtract(found, scores["own best"])
                half = 1.96 * gain.std(ddof=1) / np.sqrt(options.rounds)
                beside = f"{gain.mean():+.1f} ± {half:.1f}" if rule != "own best" else ""
                print(f"| {source} | {n:,} | {rule} | {100 * np.mean(found):.1f} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
