"""`whet train`"""

import time
from typing import Annotated, Any

import typer

MORE = "More options"


def command(
    file: Annotated[
        str | None,
        typer.Argument(help="CSV, TSV, JSON lines, Parquet, a GLUE or `datasets` folder, or hf:owner/name."),
    ] = None,
    dev: Annotated[
        str | None, typer.Option(help="Rows to choose the best epoch by; else some are held out.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="Rows to report on once, at the end.")] = None,
    task: Annotated[str | None, typer.Option(help="classification, regression ...; else inferred.")] = None,
    text: Annotated[str | None, typer.Option(metavar="COL", help="Column of the text.")] = None,
    pair: Annotated[str | None, typer.Option(metavar="COL", help="Column of a second text.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Column of the label; of 0 and 1 several, each named."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="mini, a folder, or a hub name@revision. (default: mini)")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the rows. (default: 3, more on small data)")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate of the encoder. (default: by its width)")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts a step. (default: 32)")] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a text; the rest is cut. (default: 256)")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Split, new weights, order and dropout. (default: 0)")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="A named set of settings: see whet recipes.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Run folder. (default: runs/FILE)")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, which was stopped or died.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting; can be repeated.", rich_help_panel=MORE
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=MORE)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would take, and train nothing.", rich_help_panel=MORE),
    ] = False,
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
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="90s, 10m, 1h30m: fit the schedule to it.", rich_help_panel=MORE),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=MORE)] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32, bf16, float64", rich_help_panel=MORE)
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", rich_help_panel=MORE)] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the results only.", rich_help_panel=MORE)
    ] = False,
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
