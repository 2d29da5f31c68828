"""The model card: README.md of a saved model, for people who find the folder without us."""

from collections.abc import Mapping
from typing import Any

from whet.config import Pooling
from whet.intervals import with_interval
from whet.tasks import Task
from whet.version import __version__


def model_card(
    base: str,
    task: Task,
    source: str,
    metrics: Mapping[str, Any] | None,
    dev: str,
    choice: str,
    pooling: Pooling = "own",
) -> str:
    """Markdown with the metadata block that model hubs read.

    source is the name of the training data; metrics as of `Evaluation`; dev says in words
    which rows they are about, choice what was chosen by them."""
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {task.pipeline}",
        "tags: [whet]",
        "---",
        f"# {task.name.replace('-', ' ').capitalize()}",
        "",
        f"Fine-tuned by whet {__version__} from `{base}` on {source}.",
        "",
        f"Its outputs: {', '.join(f'`{name}`' for name in task.output_names)}.",
        "",
    ]
    if metrics is not None:
        figures = (with_interval(metrics, key) for key in task.headlines)
        lines += [
            f"On {metrics['n']:,} rows ({dev}), with 95% intervals:",
            "",
            f"| {' | '.join(task.figures[key] for key in task.headlines)} |",
            f"|{' --- |' * len(task.headlines)}",
            f"| {' | '.join(figures)} |",
            "",
            f"{choice}{_fitted(metrics)} So expect a little less on new ones.",
            "",
        ]
    lines += [
        "```python",
        "import whet",
        'model = whet.load("FOLDER")',
        'print(model.predict(["..."]))',
        "```",
        "",
        *_opened_elsewhere(task, pooling),
        "probabilities those at temperature 1. Decision rules (temperature, thresholds), how texts are cut,",
        "and the checksums of the files stand in `whet.json`.",
        "",
    ]
    return "\n".join(lines)


def encoder_card(base: str, task: Task, source: str, metrics: Mapping[str, Any] | None, dev: str) -> str:
    """The same of an encoder that was pretrained, and answers nothing by itself."""
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {task.pipeline}",
        "tags: [whet]",
        "---",
        "# Encoder",
        "",
        f"Trained by whet {__version__} on hidden words of {source} ({task.describe()}), from `{base}`.",
        "",
    ]
    if metrics is not None:
        names = [*(task.figures[key] for key in task.headlines), "pseudo-perplexity"]
        figures = [with_interval(metrics, key) for key in (*task.headlines, "pseudo_perplexity")]
        lines += [
            f"On {metrics['n']:,} windows of {metrics['n_documents']:,} documents ({dev}), with 95% "
            "intervals:",
            "",
            f"| {' | '.join(names)} |",
            f"|{' --- |' * len(names)}",
            f"| {' | '.join(figures)} |",
            "",
        ]
    lines += [
        "Fine-tune it: `whet train FILE --model FOLDER`. transformers opens it too:",
        f"`{task.opened_with}`, or `AutoModel.from_pretrained('FOLDER')`.",
        "",
    ]
    return "\n".join(lines)


def _opened_elsewhere(task: Task, pooling: Pooling) -> list[str]:
    if pooling == "mean":
        return [
            "It reads the mean of a text's tokens, for which transformers has no class.",
            "sentence-transformers opens it: `SentenceTransformer('FOLDER').encode(texts)` gives its logits.",
            "They are the same there,",
        ]
    return [f"transformers opens it too: `{task.opened_with}`. Logits are the same there,"]


def _fitted(metrics: Mapping[str, Any]) -> str:
    """What else they decided, in words."""
    temperature, rows = (metrics.get("calibration", {}).get(key) for key in ("temperature", "fitted_rows"))
    if temperature is None or temperature == 1:
        return ""
    return f" The temperature of its probabilities ({temperature:.3g}) was fitted on {rows:,} of them."
