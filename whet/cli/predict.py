"""`whet predict`"""

from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Argument(help="A run, a model folder, or a classifier fine-tuned elsewhere.")],
    file: Annotated[
        str | None,
        typer.Argument(help="Rows to label; - reads JSON lines, or one text a line, from standard input."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="TEXT", help="A text to label, instead of a file; can be repeated."),
    ] = None,
    pair: Annotated[
        list[str] | None, typer.Option("--pair", metavar="TEXT", help="The second text of each --text.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write there (.jsonl or .csv), not to standard output.")
    ] = None,
    logits: Annotated[bool, typer.Option("--logits", help="Give the logits too.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Leave the input's columns out.")] = False,
    text_column: Annotated[str | None, typer.Option(metavar="COL", help="Column of the text.")] = None,
    pair_column: Annotated[str | None, typer.Option(metavar="COL", help="Column of a second text.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, auto or bf16")] = "float32",
) -> None:
    """Label rows: one line out for each row in, in order, with every label's probability."""
    from whet.errors import UsageError

    if (file is None) == (not text):
        raise UsageError("Name a file (or - for standard input), or give --text; one of the two.")
    if pair and len(pair) != len(text or []):
        raise UsageError(
            f"There are {len(text or [])} --text and {len(pair)} --pair; give one --pair for each --text."
        )
    if to is not None and not to.endswith((".jsonl", ".csv")):
        raise UsageError(f"--to {to}: the name must end in .jsonl or .csv.")

    from whet import api
    from whet.data.readers import read_table, stream_tables
    from whet.data.writing import open_writer

    model = api.load(run, device=device, precision=precision)
    if text:
        tables = iter([read_table({"text": text, "pair": pair} if pair else {"text": text})])
        text_column, pair_column = "text", "pair" if pair else None
    else:
        assert file is not None
        tables = stream_tables(file)
    with open_writer(to, model.labels) as write:
        for table in tables:
            rows, predictions = model.predict_table(table, text=text_column, pair=pair_column, logits=logits)
            write([] if no_input else rows, predictions)
