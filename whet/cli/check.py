"""`whet check`"""

from typing import TYPE_CHECKING, Annotated

import typer

from whet.cli.options import Label, MaxLength, Pair, Task, Text

if TYPE_CHECKING:
    from whet.data.findings import Finding, Report


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Train, then dev, then test: anything that `whet train` reads."
        ),
    ],
    dev: Annotated[str | None, typer.Option(help="Rows to choose an epoch by.")] = None,
    test: Annotated[str | None, typer.Option(help="Rows to report on.")] = None,
    task: Task = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    model: Annotated[str, typer.Option(help="mini, a folder, or a hub name@revision.")] = "mini",
    max_length: MaxLength = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting that `whet train` will have, as cut."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Say what is wrong with the data, by file and row, before any training. Errors end with status 1."""
    import json

    from whet import api
    from whet.config_text import parse_settings

    settings = parse_settings(set_ or [], {} if max_length is None else {"max_length": max_length})
    report = api.check(
        files[0],
        *files[1:],
        dev=dev,
        test=test,
        task=task,
        text=text,
        pair=pair,
        label=label,
        model=model,
        **settings,
    )
    if json_:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        _print(report)
    if report.has_errors:
        raise typer.Exit(1)


def _print(report: "Report") -> None:
    from whet.cli.tables import console
    from whet.data.wording import counted

    out = console()
    for name, (source, n_rows) in report.parts.items():
        out.print(f"{name}: {source}, {counted(n_rows, 'row')}", soft_wrap=True)
    if report.columns is not None:
        for note in report.columns.notes:
            out.print(note, soft_wrap=True)
    for found in report.findings:
        out.print()
        out.print(f"{found.severity.upper()} {found.place()}", style=_style(found), soft_wrap=True)
        out.print(f"  {found.message}", soft_wrap=True)
        if found.example:
            for line in found.example.split("\n"):
                out.print(f"    {line}", soft_wrap=True)
        out.print(f"  {found.fix}", soft_wrap=True)
    counts = [counted(report.count(severity), severity) for severity in ("error", "warning", "note")]
    out.print(f"\n{', '.join(counts)}.")


def _style(found: "Finding") -> str:
    return {"error": "bold red", "warning": "bold yellow", "note": "bold"}[found.severity]
