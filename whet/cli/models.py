"""`whet models`"""

from typing import TYPE_CHECKING, Annotated

import typer

from whet.cli.options import AsJson

if TYPE_CHECKING:
    from whet.known_models import Description, PackedFamily

_SHOWN = 20  # labels


def command(
    name: Annotated[
        str | None, typer.Argument(help="A folder, a run, mini, or a hub name: what it is. Without: all.")
    ] = None,
    json_: AsJson = False,
) -> None:
    """Say which encoders there are and when to choose which, or what a checkpoint is."""
    import json
    from dataclasses import asdict

    from whet.known_models import models

    if name is None:
        families = models()
        if json_:
            print(json.dumps([asdict(one) for one in families], ensure_ascii=False))
        else:
            _print_families(families)
        return
    found = models(name)
    if json_:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        _print_description(found)


def _print_families(families: "tuple[PackedFamily, ...]") -> None:
    from whet.cli.tables import console, text_table

    out = console()
    table = text_table("model_type", "family", "runs", "when to choose it")
    for one in families:
        table.add_row(one.model_type, one.title, "packed", one.advice)
    out.print(table)
    out.print(
        "All other encoders that transformers has run too, padded, through transformers' own module. "
        "Decoders and encoder-decoders do not.",
        soft_wrap=True,
    )
    out.print("What a checkpoint is, from its config.json alone:  whet models NAME", soft_wrap=True)


def _print_description(found: "Description") -> None:
    from whet.cli.tables import console, text_table

    weights = {
        "safetensors": "safetensors",
        "pickle": "only a pickle, which can run any code and is refused",
        "none": "none here",
    }
    rows = {
        "model_type": found.model_type or "none",
        "runs": found.runs + ("" if found.why is None else f": {found.why}"),
        "layers": found.n_layers,
        "width": found.hidden_size,
        "attention heads": found.n_heads,
        "vocabulary": found.vocab_size,
        "longest text": None if found.max_positions is None else f"{found.max_positions:,} tokens",
        "parameters": None if found.n_parameters is None else f"{found.n_parameters / 1e6:,.1f} M",
        "tasks": ", ".join(found.tasks) or None,
        "head": found.head or "none yet: training makes one",
        "labels": ", ".join([*found.labels[:_SHOWN], *["..."][: len(found.labels) > _SHOWN]]) or None,
        "tokeniser": ", ".join(found.tokeniser) or "no files here",
        "weights": weights[found.weights],
    }
    if found.runs == "refused":
        del rows["head"]
    out = console()
    out.print(found.name if found.family is None else f"{found.name}: {found.family}", style="bold")
    table = text_table("", "")
    for what, value in rows.items():
        if value is not None:
            table.add_row(what, f"{value:,}" if isinstance(value, int) else value)
    out.print(table)
