"""Results as tables, for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from whet.comparison import NAMES, Comparison
from whet.evaluation import Evaluation
from whet.intervals import interval_text, with_interval
from whet.tasks import TASKS, Task
from whet.training.estimate import Estimate, GroupEstimate
from whet.training.listeners import clock

_WIDEST_CONFUSION = 12  # labels; with more, the commonest confusions are listed
_MOST_CONFUSIONS = 10
_OF_ONE_LABEL = ("precision", "recall", "F1")


def console() -> Console:
    """Standard output; off a terminal wide enough that no figure is folded."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=160)


def print_training(folder: Path, manifest: Mapping[str, Any]) -> None:
    """What a finished run found, and what to do with it."""
    out = console()
    results, task = manifest["results"], TASKS[manifest["task"]]
    splits = [split for split in ("dev", "test") if split in results]
    if "seeds" in results:
        for split in splits:
            out.print(_seeds(results["seeds"], split, task))
        out.print(f"The model that was chosen, {_chosen(results['chosen'])}:")
    if splits:
        out.print(_headlines({split: results[split] for split in splits}, task))
    other = "sentence-transformers" if manifest["config"].get("pooling") == "mean" else "transformers"
    out.print(f"Model: {folder / 'model'} (whet and {other} open it)")
    out.print(f"Next:  whet predict {folder} FILE    or    whet eval {folder} FILE")


def _chosen(choice: Mapping[str, Any]) -> str:
    if choice["kind"] == "average":
        return f"the average of {len(choice['seeds'])} seeds' weights"
    return f"seed {choice['seed']}"


def print_estimate(estimate: Estimate) -> None:
    """What a run would take."""
    out = console()
    out.print(groups_table(estimate.groups))
    real, padded = estimate.tokens_per_epoch, estimate.padded_tokens_per_epoch
    saved = 1 - real / padded
    epochs = "1 epoch" if estimate.n_epochs == 1 else f"{estimate.n_epochs} epochs"
    runs = f", {estimate.n_runs} times" if estimate.n_runs > 1 else ""
    out.print(f"Steps:   {estimate.n_steps:,} ({epochs} of {estimate.n_rows:,} texts){runs}")
    out.print(
        f"Tokens:  {real:,} an epoch; padded batches would have {padded:,}, so packing saves {saved:.0%}"
    )
    out.print(f"Time:    about {clock(estimate.seconds)}, reading and evaluation included")
    out.print(f"Memory:  about {estimate.memory_bytes / 1e9:.1f} GB at its peak")
    disk, peak = estimate.disk_bytes / 1e6, estimate.disk_peak_bytes / 1e6
    out.print(f"Disk:    {disk:,.0f} MB in the end, {peak:,.0f} MB while training")
    out.print("Nothing was trained or written.")


def groups_table(groups: Sequence[GroupEstimate]) -> Table:
    """What trains from which epoch on, how fast and with which decay."""
    table = plain_table("parameters", "tensors", "values", "rate", "decay", "trained")
    for group in groups:
        cells = ["-", "-", "never"]
        if group.first_epoch is not None:
            cells = [f"{group.learning_rate:g}", f"{group.weight_decay:g}", f"from epoch {group.first_epoch}"]
        table.add_row(group.name, str(group.n_tensors), f"{group.n_parameters:,}", *cells)
    return table


def print_evaluation(evaluation: Evaluation) -> None:
    """All figures of one file."""
    out = console()
    metrics = evaluation.metrics
    unlabelled = f" ({evaluation.n_unlabelled:,} more have no label)" if evaluation.n_unlabelled else ""
    out.print(f"{evaluation.source}: {evaluation.n_rows:,} labelled rows{unlabelled}\n")
    head = plain_table("", "figure", "95% interval")
    for key, name in TASKS[evaluation.task].figures.items():
        head.add_row(name, figure(metrics[key]), interval(metrics["intervals"][key]))
    out.print(head)
    if "f1" in metrics and "f1" not in TASKS[evaluation.task].figures:
        out.print(
            "Positive label: "
            + ", ".join(f"{name} {with_interval(metrics, name.lower())}" for name in _OF_ONE_LABEL)
        )
    if "per_class" in metrics:
        out.print(_per_label(metrics))
    if "confusion" in metrics:
        labels, confusion = [row["label"] for row in metrics["per_class"]], np.array(metrics["confusion"])
        shown = _confusion if len(labels) <= _WIDEST_CONFUSION else _confusions
        out.print(shown(labels, confusion))


def _per_label(metrics: Mapping[str, Any]) -> Table:
    """Figures of each label against the others; where a row has several, also how often each is given."""
    has_several = "pr_auc" in metrics["per_class"][0]
    area, *more = ("PR AUC", "given") if has_several else ("ROC AUC",)
    table = plain_table("label", "precision", "recall", "F1", "95% interval", area, "rows", *more)
    for row, ends in zip(metrics["per_class"], metrics["intervals"]["per_class"], strict=True):
        precision, recall, f1 = (figure(row[key]) for key in ("precision", "recall", "f1"))
        auc = figure(row["pr_auc" if has_several else "roc_auc"])
        counts = [f"{row[key]:,}" for key in ("support", *(["predicted"] if has_several else []))]
        table.add_row(row["label"], precision, recall, f1, interval(ends["f1"]), auc, *counts)
    return table


def demo_table(whet: Mapping[str, Any], words: Mapping[str, float]) -> Table:
    """whet beside a bag of words."""
    table = plain_table("", "accuracy", "macro F1")
    for name, figures in (
        ("bag of words (TF-IDF, logistic regression)", words),
        ("whet, fine-tuned mini", whet),
    ):
        table.add_row(name, figure(figures["accuracy"]), figure(figures["macro_f1"]))
    return table


def scores_table(comparison: Comparison) -> Table:
    """The sides that are compared, each with its figure; of several seeds also how far they lie apart."""
    has_seeds = any(score.seeds for score in comparison.models)
    more = ("seeds", "lowest to highest") if has_seeds else ()
    table = plain_table("", NAMES[comparison.metric], "95% interval", *more)
    for score in comparison.models:
        seeds = list(score.seeds.values())
        apart = (str(len(seeds)), f"{min(seeds):.4f} to {max(seeds):.4f}") if seeds else ("-", "-")
        cells = apart if has_seeds else ()
        table.add_row(score.model, figure(score.value), interval_text(score.interval), *cells)
    return table


def _headlines(results: Mapping[str, Mapping[str, Any]], task: type[Task]) -> Table:
    """A column a split, so that intervals fit a terminal."""
    table = plain_table("", *results)
    table.add_row("rows", *(f"{metrics['n']:,}" for metrics in results.values()))
    for key in task.headlines:
        table.add_row(task.figures[key], *(with_interval(metrics, key) for metrics in results.values()))
    return table


def _seeds(seeds: Mapping[str, Any], split: str, task: type[Task]) -> Table:
    """A row a seed, then what they have in common."""
    table = plain_table(split, *(task.figures[key] for key in task.headlines))
    for name, run in seeds["runs"].items():
        table.add_row(name, *(figure(run[split].get(key)) for key in task.headlines))
    for name in seeds["failed"]:
        table.add_row(name, *("failed" for _ in task.headlines))
    table.add_section()
    summary = seeds["summary"][split]  # without a figure that is not defined in all runs
    for statistic in ("mean", "sd", "median"):
        figures = (summary[key][statistic] if key in summary else None for key in task.headlines)
        table.add_row(statistic, *map(figure, figures))
    return table


def _confusion(labels: list[str], confusion: np.ndarray) -> Table:
    """True labels down, predicted ones across by number, so that it fits a terminal."""
    table = plain_table("true \\ predicted", *(str(i + 1) for i in range(len(labels))))
    for i, (label, row) in enumerate(zip(labels, confusion.tolist(), strict=True)):
        table.add_row(f"{i + 1} {label}", *(f"{count:,}" for count in row))
    return table


def _confusions(labels: list[str], confusion: np.ndarray) -> Table:
    """The commonest mistakes, most frequent first."""
    table = plain_table("true", "predicted", "rows")
    wrong = confusion - np.diag(np.diag(confusion))
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]:
        i, j = divmod(int(cell), len(labels))
        if wrong[i, j]:
            table.add_row(labels[i], labels[j], f"{wrong[i, j]:,}")
    return table


def plain_table(first: str, *others: str) -> Table:
    """A table whose first column is text and the others are numbers."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def text_table(*names: str) -> Table:
    """A table of words; without names it has no head."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=any(names))
    for name in names:
        table.add_column(name)
    return table


def interval(ends: Sequence[float] | None) -> str:
    """0.87 to 0.95, or - where there is none."""
    return "-" if ends is None else interval_text(ends)


def figure(value: float | None) -> str:
    """Four decimals, or - where there is none."""
    return "-" if value is None else f"{value:.4f}"
