"""Frozen layers computed once for a stage of training, where that saves work and there is room."""

from collections.abc import Callable
from typing import NamedTuple

from whet.config import TrainConfig
from whet.encoder.network import Encoder
from whet.features import Features, compute_features, needed_bytes, room
from whet.training.events import Listener, Note
from whet.training.gradient import Examples
from whet.training.groups import beginnings
from whet.training.state import TrainingState

_GB = 1e9


class Once(NamedTuple):
    """What is known of the training and dev texts while what is frozen stays so."""

    train: Features | None
    dev: Features | None


def computed_once(
    state: TrainingState,
    train: Examples,
    dev: Examples | None,
    epoch: int,
    n_epochs: int,
    config: TrainConfig,
    precision: str,
    emit: Listener,
    pause: Callable[[], None],
) -> Once:
    """For the stage of this epoch, from 1. A stage of one epoch would gain nothing; padded encoders are run
    as a whole; and what does not fit is computed again at each step. Which it is depends on nothing that
    another sitting would see otherwise, but for the room on the disk."""
    stages = [*beginnings(state.groups), n_epochs + 1]
    begins = max(first for first in stages if first <= epoch)
    ends = min(first for first in stages if first > begins)
    layers, whole = state.n_frozen_layers, state.is_encoder_frozen
    model = state.model
    if not layers or ends - begins < 2 or config.feature_cache == 0 or not isinstance(model.encoder, Encoder):
        return Once(None, None)
    stores = [train.store] if dev is None else [train.store, dev.store]
    needed = sum(needed_bytes(model, store, whole) for store in stores)
    what = (
        "The frozen encoder" if whole else f"The embeddings and the lowest {layers} layers, which are frozen,"
    )
    size = f"{needed / _GB:.2f} GB"
    if needed > room(config.feature_cache * _GB):
        emit(
            Note(
                f"{what} would take {size} to be computed once, more than feature_cache="
                f"{config.feature_cache:g} or half of the free disk: computed again at each step."
            )
        )
        return Once(None, None)
    try:
        found = [compute_features(model, store, layers, whole, precision, pause) for store in stores]
    except OSError as error:
        emit(Note(f"{what} cannot be computed once ({error}): computed again at each step."))
        return Once(None, None)
    emit(Note(f"{what} was computed once for epochs {begins} to {ends - 1} ({size})."))
    return Once(found[0], None if dev is None else found[1])
