"""`whet compare`"""

from typing import TYPE_CHECKING, Annotated

import typer

from whet.cli.options import DeviceToPredict, Pair, PrecisionToPredict, Text

if TYPE_CHECKING:
    from whet.comparison import Comparison


def command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_A RUN_B [RUN...] FILE",
            help="Two or more runs (of one seed or several), model folders or hub names; then labelled rows.",
        ),
    ],
    text: Text = None,
    pair: Pair = None,
    label: Annotated[str | None, typer.Option(metavar="COL", help="Column of the label.")] = None,
    metric: Annotated[str, typer.Option(help="accuracy, macro_f1 or mcc")] = "accuracy",
    json_: Annotated[bool, typer.Option("--json", help="Print all of it as one JSON object.")] = False,
    device: DeviceToPredict = "auto",
    precision: PrecisionToPredict = "float32",
) -> None:
    """Say whether one model, or way of training, is really better than another, on the same labelled rows."""
    import json
    import sys

    from whet import api

    comparison = api.compare(
        *names, text=text, pair=pair, label=label, metric=metric, device=device, precision=precision
    )
    for note in comparison.notes:
        print(note, file=sys.stderr)
    if json_:
        print(json.dumps(comparison.to_json(), ensure_ascii=False))
    else:
        _print(comparison)


def _print(comparison: "Comparison") -> None:
    from whet.cli.tables import console, scores_table

    out = console()
    out.print(f"{comparison.source}: {comparison.n_rows:,} labelled rows\n", soft_wrap=True)
    out.print(scores_table(comparison))
    for pair in comparison.pairs:
        out.print(pair.sentence, soft_wrap=True)
