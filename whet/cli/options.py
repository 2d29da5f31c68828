"""Options that several commands have, alike in all of them."""

from typing import Annotated

import typer

MORE = "More options"  # the second panel of --help

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
BatchSize = Annotated[int | None, typer.Option(help="Texts a step. (default: 32)")]
Data = Annotated[
    str | None,
    typer.Argument(help="CSV, TSV, JSON lines, Parquet, a GLUE or `datasets` folder, or hf:owner/name."),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=MORE)]
DeviceToPredict = Annotated[str, typer.Option(help="auto, cpu, cuda ...")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take, and train nothing.", rich_help_panel=MORE)
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the rows. (default: 3, more on small data)")]
Label = Annotated[
    list[str] | None, typer.Option(metavar="COL", help="Column of the label; of 0 and 1 several, each named.")
]
LearningRate = Annotated[
    float | None, typer.Option(help="Peak learning rate of the encoder. (default: by its width)")
]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of a text; the rest is cut. (default: 256)")]
Model = Annotated[str | None, typer.Option(help="mini, a folder, or a hub name@revision. (default: mini)")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=MORE)
]
Pair = Annotated[str | None, typer.Option(metavar="COL", help="Column of a second text.")]
Precision = Annotated[str | None, typer.Option(help="auto, float32, bf16, float64", rich_help_panel=MORE)]
PrecisionToPredict = Annotated[str, typer.Option(help="float32, auto or bf16")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the results only.", rich_help_panel=MORE)]
Recipe = Annotated[
    str | None, typer.Option(metavar="NAME", help="A named set of settings: see whet recipes.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out, which was stopped or died.")
]
Run = Annotated[str, typer.Argument(help="A run, a model folder, or a classifier fine-tuned elsewhere.")]
Seed = Annotated[int | None, typer.Option(help="Split, new weights, order and dropout. (default: 0)")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any other setting; can be repeated.", rich_help_panel=MORE
    ),
]
Task = Annotated[str | None, typer.Option(help="classification, regression ...; else inferred.")]
Text = Annotated[str | None, typer.Option(metavar="COL", help="Column of the text.")]
Threads = Annotated[int | None, typer.Option(help="Processor threads.", rich_help_panel=MORE)]
TimeLimit = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="90s, 10m, 1h30m: fit the schedule to it.", rich_help_panel=MORE),
]
