"""`whet search`"""

import time
from typing import Annotated, Any

import typer

from whet.cli.options import (
    MORE,
    Data,
    Device,
    Label,
    Model,
    Overwrite,
    Pair,
    Precision,
    Quiet,
    Task,
    Text,
    Threads,
)


def command(
    file: Data = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Trials. (default: 20)")] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="90s, 10m, 1h30m: of all of it.")
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RANGE",
            help="learning_rate=1e-5..1e-4:log, batch_size=16|32, recipe=default|lora; can be repeated. "
            "(default: a small one of the encoder's family)",
        ),
    ] = None,
    dev: Annotated[str | None, typer.Option(help="Rows to choose by; else some are held out.")] = None,
    test: Annotated[
        str | None, typer.Option(help="Rows to compare with the default on; else a fifth of train.")
    ] = None,
    task: Task = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    model: Model = None,
    seed: Annotated[
        int | None, typer.Option(help="Split, trials and their order; fresh ones follow it. (default: 0)")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Run folder. (default: runs/FILE-search)")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --out, which was stopped or died.")
    ] = False,
    join: Annotated[
        bool, typer.Option("--join", help="Help the search in --out, or --study in --storage, with trials.")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL", help="Where several machines share trials: postgresql://user@host/database."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The search's name in --storage. (default: the folder's)"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of all trials; can be repeated.",
            rich_help_panel=MORE,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The recipe that all trials begin with.", rich_help_panel=MORE),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Rows of one value stay together where rows are held out.",
            rich_help_panel=MORE,
        ),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Look for better settings, and say whether they are better than the default."""
    began = time.monotonic()
    from whet.config_text import parse_settings
    from whet.errors import UsageError

    if file is None and not (resume or join):
        raise UsageError("Name the data: whet search FILE. (whet search --help)")
    given = {"seed": seed, "device": device, "precision": precision, "threads": threads}
    settings: dict[str, Any] = parse_settings(
        set_ or [], {key: value for key, value in given.items() if value is not None}
    )
    if "time_limit" in settings:
        raise UsageError("--set time_limit: say --time-limit, which is that of the whole search.")

    from whet.cli.search_tables import print_search
    from whet.data.wording import counted
    from whet.searching import Helped, search

    found = search(
        file,
        dev=dev,
        test=test,
        task=task,
        text=text,
        pair=pair,
        label=label,
        group=group,
        model=model,
        trials=trials,
        time_limit=time_limit,
        space=space,
        recipe=recipe,
        out=out,
        overwrite=overwrite,
        resume=resume,
        join=join,
        storage=storage,
        study=study,
        quiet=quiet,
        began=began,
        **settings,
    )
    if isinstance(found, Helped):
        print(f"Helped with {counted(found.n_trials, 'trial')}; logs: {found.folder / 'trials'}")
        return
    print_search(found.folder, found.manifest)
