"""What a recipe does to the parameters of a model, from the shape of it alone: no weights are read."""

import torch

from whet.checkpoints.loading import described, read_config
from whet.checkpoints.locate import locate
from whet.config import make_config
from whet.recipes import find_recipe
from whet.training.estimate import GroupEstimate
from whet.training.groups import grouped, places_of, with_rate
from whet.training.lora import add_lora

_N_OUTPUTS = 2


def recipe_groups(recipe: str, model: str = "mini") -> tuple[GroupEstimate, ...]:
    """The groups of a classifier of two labels. Raises ConfigError for a recipe that there is not, and
    CheckpointError for such a model."""
    config = make_config(find_recipe(recipe).settings)
    settings = read_config(locate(model).folder)
    family, spec, _ = described(settings)
    config = with_rate(config, spec.hidden_size)
    with torch.device("meta"):
        encoder = family.encoder_of("text", spec, settings)
        head = family.head_class("text").build(spec, settings, _N_OUTPUTS)
        if config.lora_rank:
            add_lora(encoder, config.lora_rank, config.lora_alpha, seed=None)
    parameters = {f"encoder.{name}": parameter for name, parameter in encoder.named_parameters()}
    parameters |= {f"head.{name}": parameter for name, parameter in head.named_parameters()}
    groups = grouped(places_of(encoder, parameters, ()), len(encoder.sequence), config)
    return tuple(
        GroupEstimate(
            group.title,
            len(group.names),
            sum(parameters[name].numel() for name in group.names),
            group.rate,
            group.decay,
            group.first_epoch,
        )
        for group in groups
    )
