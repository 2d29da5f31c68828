"""`whet glue`"""

from typing import Annotated

import typer

MORE = "More options"


def command(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="GLUE's folder: CoLA, SST-2, MRPC ... below it.")
    ],
    tasks: Annotated[
        str | None, typer.Option(metavar="LIST", help="cola,sst2,mrpc ... (default: all that are there)")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="mini, a folder, or a hub name@revision. (default: mini)")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train each task N times, from --seed on.")
    ] = None,
    transfer: Annotated[
        str | None, typer.Option(metavar="mnli", help="Start RTE, MRPC and STS-B from the model of MNLI.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="A named set of settings: see whet recipes.")
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
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of the runs. (default: runs/glue)")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in --out; --tasks adds tasks to it.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting; can be repeated.", rich_help_panel=MORE
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.", rich_help_panel=MORE)
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=MORE)] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32, bf16, float64", rich_help_panel=MORE)
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", rich_help_panel=MORE)] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the results only.", rich_help_panel=MORE)
    ] = False,
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
