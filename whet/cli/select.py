"""`whet select`"""

from typing import Annotated

import typer

from whet.cli.options import DeviceToPredict, Pair, PrecisionToPredict, Run, Text


def command(
    run: Run,
    file: Annotated[str, typer.Argument(help="Rows to choose from: anything that `whet train` reads.")],
    rows: Annotated[int, typer.Option(metavar="N", help="Rows to choose.")] = 100,
    to: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write there (.csv or .jsonl), not to standard output.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides between choices that are as good.")] = 0,
    text: Text = None,
    pair: Pair = None,
    device: DeviceToPredict = "auto",
    precision: PrecisionToPredict = "float32",
) -> None:
    """Choose the unlabelled rows to label next: those that the model doubts, no two of them alike."""
    from whet.errors import UsageError

    if to is not None and not to.endswith((".csv", ".jsonl")):
        raise UsageError(f"--to {to}: the name must end in .csv or .jsonl.")

    from whet.data.lists import write_list
    from whet.data.wording import counted
    from whet.labelling import select

    selection = select(
        run, file, rows=rows, seed=seed, text=text, pair=pair, device=device, precision=precision
    )
    for note in selection.notes:
        typer.echo(note, err=True)
    write_list(to, selection.rows, selection.columns)
    if to is not None:
        chosen, of = counted(len(selection.rows), "row"), counted(selection.n_candidates, "different text")
        print(f"{chosen} of {of} in {selection.source} chosen: {to}")
        print(f"Next:  fill in '{selection.label_column}', add these rows to the training rows, train again.")
