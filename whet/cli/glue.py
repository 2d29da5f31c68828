"""`whet glue`"""

from typing import Annotated

import typer

from whet.cli.options import (
    MORE,
    BatchSize,
    Device,
    Epochs,
    LearningRate,
    MaxLength,
    Model,
    Precision,
    Quiet,
    Recipe,
    Seed,
    Settings,
    Threads,
)


def command(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="GLUE's folder: CoLA, SST-2, MRPC ... below it.")
    ],
    tasks: Annotated[
        str | None, typer.Option(metavar="LIST", help="cola,sst2,mrpc ... (default: all that are there)")
    ] = None,
    model: Model = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train each task N times, from --seed on.")
    ] = None,
    transfer: Annotated[
        str | None, typer.Option(metavar="mnli", help="Start RTE, MRPC and STS-B from the model of MNLI.")
    ] = None,
    recipe: Recipe = None,
    epochs: Epochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    max_length: MaxLength = None,
    seed: Seed = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of the runs. (default: runs/glue)")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in --out; --tasks adds tasks to it.")
    ] = False,
    set_: Settings = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.", rich_help_panel=MORE)
    ] = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train GLUE's nine tasks, score them on its dev files, and write files for its leaderboard."""
    from whet.config_text import parse_settings

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
    settings = parse_settings(set_ or [], {key: value for key, value in given.items() if value is not None})

    from whet.cli.glue_tables import print_glue
    from whet.glue_suite import glue

    results = glue(
        folder,
        tasks=tasks,
        model=model,
        seeds=seeds,
        transfer=transfer,
        recipe=recipe,
        out=out,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        **settings,
    )
    print_glue(results)
    if results.failed:
        raise typer.Exit(1)
