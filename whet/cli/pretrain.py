"""`whet pretrain`"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from whet.cli.options import (
    Device,
    DryRun,
    Overwrite,
    Pair,
    Precision,
    Quiet,
    Resume,
    Settings,
    Threads,
    TimeLimit,
)


def command(
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Text files, folders of .txt files, or rows as whet train reads them."),
    ] = None,
    dev: Annotated[
        str | None, typer.Option(help="Texts to choose the best epoch by; else some are held out.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COL", help="Column of the text, in rows.")] = None,
    pair: Pair = None,
    model: Annotated[
        str | None, typer.Option(help="Go on with: mini, a folder, or a hub name. (default: mini)")
    ] = None,
    new: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Begin from nothing: tiny, mini, small, medium or base."),
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option(help="Words of the new tokeniser, at most. (default: 30522)")
    ] = None,
    cased: Annotated[
        bool | None, typer.Option("--cased/--uncased", help="Of the new tokeniser. (default: uncased)")
    ] = None,
    whole_words: Annotated[
        bool, typer.Option("--whole-words", help="Hide all tokens of a word together.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the texts. (default: 3, more on small data)")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate. (default: 1e-4, or 1e-3 from nothing)")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Windows a step. (default: 64, or 128 from nothing)")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a window. (default: 256)")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Split, new weights, order, what is hidden, dropout. (default: 0)")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Run folder. (default: runs/TEXT)")] = None,
    resume: Resume = False,
    set_: Settings = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    time_limit: TimeLimit = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train an encoder on hidden words of plain texts: go on with one, or make one from nothing."""
    began = time.monotonic()
    from whet.config_text import parse_settings
    from whet.errors import UsageError

    if not texts and not resume:
        raise UsageError("Name the texts: whet pretrain TEXT... (whet pretrain --help)")
    given = {
        "epochs": epochs,
        "learning_rate": lr,
        "batch_size": batch_size,
        "max_length": max_length,
        "seed": seed,
        "new": new,
        "vocab_size": vocab_size,
        "casing": None if cased is None else "cased" if cased else "uncased",
        "whole_words": "on" if whole_words else None,
        "device": device,
        "precision": precision,
        "threads": threads,
    }
    timed = [] if time_limit is None else [f"time_limit={time_limit}"]
    settings = parse_settings(
        [*timed, *(set_ or [])], {key: value for key, value in given.items() if value is not None}
    )

    from whet import api
    from whet.cli.tables import print_estimate

    named: dict[str, Any] = {"dev": dev, "text": text, "pair": pair, "model": model}
    if dry_run:
        if resume:
            raise UsageError("--dry-run is about a run that is not begun; leave out --resume.")
        data = tuple(texts or ())
        print_estimate(api.estimate(data, task="masked-lm", quiet=quiet, began=began, **named, **settings))
        return
    run = api.pretrain(
        *(texts or ()),
        out=out,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        began=began,
        **named,
        **settings,
    )
    print_pretraining(run.folder, run.manifest)


def print_pretraining(folder: Path, manifest: Mapping[str, Any]) -> None:
    """What a finished run found, and what to do with it."""
    from whet.cli.tables import console, figure, interval, plain_table
    from whet.tasks.masked_lm import MaskedLM

    out = console()
    metrics = manifest["results"].get("dev")
    if metrics is not None:
        out.print(f"Held out: {metrics['n']:,} windows of {metrics['n_documents']:,} documents")
        table = plain_table("", "figure", "95% interval")
        names = {**MaskedLM.figures, "pseudo_perplexity": "pseudo-perplexity"}
        for key, name in names.items():
            table.add_row(name, figure(metrics[key]), interval(metrics["intervals"][key]))
        if "next_accuracy" in metrics:
            table.add_row("next-sentence accuracy", figure(metrics["next_accuracy"]), "-")
        out.print(table)
    out.print(f"Model: {folder / 'model'} (whet and transformers open it)")
    out.print(f"Next:  whet train FILE --model {folder}")
