"""The model card: README.md of a saved model, for people who find the folder without us."""

from collections.abc import Mapping
from typing import Any

from whet.intervals import with_interval
from whet.version import __version__


def model_card(
    base: str,
    labels: tuple[str, ...],
    source: str,
    metrics: Mapping[str, Any] | None,
    dev: str,
    choice: str,
) -> str:
    """Markdown with the metadata block that model hubs read.

    source is the name of the training data; metrics as of `Evaluation`; dev says in words
    which rows they are about, choice what was chosen by them."""
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "tags: [whet]",
        "---",
        "# Text classifier",
        "",
        f"Fine-tuned by whet {__version__} from `{base}` on {source}.",
        "",
        f"It chooses one of {len(labels)} labels: {', '.join(f'`{label}`' for label in labels)}.",
        "",
    ]
    if metrics is not None:
        figures = (with_interval(metrics, key) for key in ("accuracy", "macro_f1", "mcc", "nll"))
        lines += [
            f"On {metrics['n']:,} rows ({dev}), with 95% intervals:",
            "",
            "| accuracy | macro F1 | MCC | loss (nats) |",
            "| --- | --- | --- | --- |",
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
        "transformers opens it too: `pipeline('text-classification', 'FOLDER')`. Logits are the same there,",
        "probabilities those at temperature 1. Decision rules (temperature, thresholds), how texts are cut,",
        "and the checksums of the files stand in `whet.json`.",
        "",
    ]
    return "\n".join(lines)


def _fitted(metrics: Mapping[str, Any]) -> str:
    """What else they decided, in words."""
    temperature, rows = (metrics["calibration"][key] for key in ("temperature", "fitted_rows"))
    if temperature == 1:
        return ""
    return f" The temperature of its probabilities ({temperature:.3g}) was fitted on {rows:,} of them."
