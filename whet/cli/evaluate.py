"""`whet eval`"""

from typing import Annotated

import typer

from whet.cli.options import DeviceToPredict, Label, Pair, PrecisionToPredict, Run, Text


def command(
    run: Run,
    file: Annotated[str, typer.Argument(help="Labelled rows: anything that `whet train` reads.")],
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COL", help="Part the rows by this column too; can be repeated."),
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="No answer where its probability is below P; 0 answers every row."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    device: DeviceToPredict = "auto",
    precision: PrecisionToPredict = "float32",
) -> None:
    """Say how good a model is on labelled rows."""
    import json
    import sys

    from whet import api
    from whet.cli.slice_tables import print_slices
    from whet.cli.span_tables import print_spans
    from whet.cli.tables import console, print_evaluation
    from whet.cli.trust_tables import print_trust
    from whet.tasks import TASKS

    evaluation = api.load(run, device=device, precision=precision).evaluate(
        file, text=text, pair=pair, label=label, slices=slice_ or (), abstain_below=abstain_below
    )
    for note in evaluation.notes:
        print(note, file=sys.stderr)
    if json_:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False))
    else:
        print_evaluation(evaluation)
        print_spans(console(), evaluation.metrics)
        print_trust(evaluation.metrics)
        task = TASKS[evaluation.task]
        print_slices(console(), evaluation.slices, task.figures.get(task.right_figure, ""))
