"""`whet train`"""

import time
from typing import Annotated, Any

import typer

from whet.cli.options import (
    MORE,
    BatchSize,
    Data,
    Device,
    DryRun,
    Epochs,
    Label,
    LearningRate,
    MaxLength,
    Model,
    Overwrite,
    Pair,
    Precision,
    Quiet,
    Recipe,
    Resume,
    Seed,
    Settings,
    Task,
    Text,
    Threads,
    TimeLimit,
)


def command(
    file: Data = None,
    dev: Annotated[
        str | None, typer.Option(help="Rows to choose the best epoch by; else some are held out.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="Rows to report on once, at the end.")] = None,
    task: Task = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    model: Model = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    max_length: MaxLength = None,
    seed: Seed = None,
    recipe: Recipe = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Run folder. (default: runs/FILE)")] = None,
    resume: Resume = False,
    set_: Settings = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Train N times from --seed on; the best is the model.", rich_help_panel=MORE
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="Cross-validate first, and list likely label errors.", rich_help_panel=MORE
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Rows of one value stay together in folds and dev.", rich_help_panel=MORE
        ),
    ] = None,
    time_limit: TimeLimit = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Fine-tune an encoder on labelled rows and write a run folder."""
    began = time.monotonic()
    from whet.config_text import parse_settings
    from whet.errors import UsageError

    if file is None and not resume:
        raise UsageError("Name the data: whet train FILE. (whet train --help)")
    given = {
        "epochs": epochs,
        "learning_rate": lr,
        "batch_size": batch_size,
        "max_length": max_length,
        "seed": seed,
        "device": device,
        "precision": precision,
        "threads": threads,
    }
    timed = [] if time_limit is None else [f"time_limit={time_limit}"]
    settings = parse_settings(
        [*timed, *(set_ or [])], {key: value for key, value in given.items() if value is not None}
    )

    from whet import api
    from whet.cli.fold_tables import print_folds
    from whet.cli.tables import print_estimate, print_training
    from whet.cli.trust_tables import print_decision

    named: dict[str, Any] = {
        "dev": dev,
        "test": test,
        "task": task,
        "text": text,
        "pair": pair,
        "label": label,
        "group": group,
        "model": model,
        "seeds": seeds,
        "folds": folds,
        "recipe": recipe,
    }
    if dry_run:
        if resume:
            raise UsageError("--dry-run is about a run that is not begun; leave out --resume.")
        print_estimate(api.estimate(file, quiet=quiet, began=began, **named, **settings))
        return
    run = api.train(
        file, out=out, overwrite=overwrite, resume=resume, quiet=quiet, began=began, **named, **settings
    )
    print_folds(run.folder, run.manifest)
    print_decision(run.manifest["results"])
    print_training(run.folder, run.manifest)
