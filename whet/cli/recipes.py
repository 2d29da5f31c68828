"""`whet recipes`"""

from typing import Annotated

import typer

from whet.cli.options import AsJson


def command(
    name: Annotated[str | None, typer.Argument(help="One of them: what it sets, group by group.")] = None,
    model: Annotated[str, typer.Option(help="The encoder whose groups are shown.")] = "mini",
    json_: AsJson = False,
) -> None:
    """Say which named ways of training there are, or what one of them does."""
    import json

    from whet.recipes import RECIPES, find_recipe

    if name is None:
        if json_:
            print(json.dumps([vars(one) | {"settings": dict(one.settings)} for one in RECIPES.values()]))
            return
        from whet.cli.tables import console, text_table

        table = text_table("recipe", "what it is for", "measured")
        for one in RECIPES.values():
            table.add_row(one.name, one.purpose, one.measured)
        out = console()
        out.print(table)
        out.print("What one does, group by group:  whet recipes NAME", soft_wrap=True)
        out.print("Train with one:  whet train FILE --recipe NAME", soft_wrap=True)
        return
    recipe = find_recipe(name)

    from whet.cli.tables import console, groups_table
    from whet.training.groups import BY_PROBE
    from whet.training.recipe_groups import recipe_groups

    groups = recipe_groups(name, model)
    if json_:
        content = vars(recipe) | {"settings": dict(recipe.settings), "model": model}
        print(json.dumps(content | {"groups": [vars(group) for group in groups]}))
        return
    out = console()
    out.print(recipe.name, style="bold")
    settings = " ".join(f"--set {key}={value}" for key, value in recipe.settings.items())
    for what, value in (
        ("For", recipe.purpose),
        ("Source", recipe.source),
        ("Measured", recipe.measured),
        ("Settings", settings or "the defaults"),
    ):
        out.print(f"{what}: {value}", soft_wrap=True)
    if recipe.settings.get("probe_step") is not None:
        out.print(BY_PROBE, soft_wrap=True)
    out.print(groups_table(groups))
