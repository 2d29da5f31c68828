"""`whet eval`"""

from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Argument(help="A run, a model folder, or a classifier fine-tuned elsewhere.")],
    file: Annotated[str, typer.Argument(help="Labelled rows: anything that `whet train` reads.")],
    text: Annotated[str | None, typer.Option(metavar="COL", help="Column of the text.")] = None,
    pair: Annotated[str | None, typer.Option(metavar="COL", help="Column of a second text.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Column of the label; of 0 and 1 several, each named."),
    ] = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COL", help="Part the rows by this column too; can be repeated."),
    ] = None,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="No answer where its probability is below P; 0 answers every row."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, auto or bf16")] = "float32",
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
