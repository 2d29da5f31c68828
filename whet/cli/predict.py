"""`whet predict`"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, final

import typer

from whet.cli.options import DeviceToPredict, PrecisionToPredict, Run

if TYPE_CHECKING:
    from whet.data.columns import Columns
    from whet.data.table import Table
    from whet.user_model import Model

SHOWN_PLACES = 5


def command(
    run: Run,
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
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="No label where its probability is below P; 0 labels every row."),
    ] = None,
    label_sets: Annotated[
        float | None,
        typer.Option(metavar="P", help="Add a set of labels that holds the true one: 0.8, 0.9 or 0.95."),
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Leave the input's columns out.")] = False,
    text_column: Annotated[str | None, typer.Option(metavar="COL", help="Column of the text.")] = None,
    pair_column: Annotated[str | None, typer.Option(metavar="COL", help="Column of a second text.")] = None,
    device: DeviceToPredict = "auto",
    precision: PrecisionToPredict = "float32",
) -> None:
    """Label rows: one line out for each row in, in order, with every label's probability."""
    from whet.errors import UsageError

    if (file is None) == (not text):
        raise UsageError("Name a file (or - for standard input), or give --text; one of the two.")
    if pair and len(pair) != len(text or []):
        raise UsageError(
            f"There are {len(text or [])} --text and {len(pair)} --pair; give one --pair for each --text."
        )
    if text and (text_column or pair_column):
        raise UsageError("--text-column and --pair-column are about a file; leave them out with --text.")
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
    columns: Columns | None = None
    absent = Absent()
    with open_writer(to) as write:
        for table in tables:
            columns = columns or _columns(model, table, text_column, pair_column)
            absent.count(table, columns)
            rows, predictions = model.predict_table(
                table,
                text=columns.text,
                pair=columns.pair,
                logits=logits,
                abstain_below=abstain_below,
                label_sets=label_sets,
            )
            write([] if no_input else rows, predictions)
    if absent.n_rows:
        typer.echo(absent.note(), err=True)


def _columns(model: "Model", table: "Table", text: str | None, pair: str | None) -> "Columns":
    """The columns of the first rows; the rows that follow must not change them."""
    from whet.errors import DataError

    try:
        return model.columns(table, text, pair)
    except DataError as error:  # --text is a text here
        raise DataError(
            str(error).replace("--text", "--text-column").replace("--pair", "--pair-column")
        ) from None


@final
@dataclass
class Absent:
    """Rows that have no text at all, as JSON rows that lack the key; they are predicted as an empty text."""

    n_rows: int = 0
    columns: str = ""
    places: list[str] = field(default_factory=list)  # of the first

    def count(self, table: "Table", columns: "Columns") -> None:
        """Take in the rows of a table."""
        from whet.data.texts import Texts

        rows = Texts(table, columns).absent()
        self.n_rows += len(rows)
        self.columns = " or ".join(f"'{name}'" for name in (columns.text, columns.pair) if name is not None)
        self.places += [table.place(int(row)) for row in rows[: SHOWN_PLACES - len(self.places)]]

    def note(self) -> str:
        """What to tell the user about them."""
        rows = "1 row has" if self.n_rows == 1 else f"{self.n_rows:,} rows have"
        more = ", ..." if self.n_rows > len(self.places) else ""
        return (
            f"Note: {rows} no value in {self.columns}: {', '.join(self.places)}{more}. "
            f"Read as an empty text; fill it in, or leave the row out."
        )
