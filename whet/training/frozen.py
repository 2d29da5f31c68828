"""Frozen layers computed once for a stage of training, or for several trainings, where that saves work and
there is room."""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

import torch

from whet.config import TrainConfig
from whet.encoder.network import Encoder
from whet.features import Compute, Features, compute_features, needed_bytes, room
from whet.model import TextModel
from whet.text.store import Store, TokenStore
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
    compute: Compute = compute_features,
) -> Once:
    """For the stage of this epoch, from 1. A stage of one epoch would gain nothing; padded encoders are run
    as a whole; and what does not fit is computed again at each step. Which it is depends on nothing that
    another sitting would see otherwise, but for the room on the disk."""
    stages = [*beginnings(state.groups), n_epochs + 1]
    begins = max(first for first in stages if first <= epoch)
    ends = min(first for first in stages if first > begins)
    layers, whole = state.n_frozen_layers, state.is_encoder_frozen
    model = state.model
    has_use = ends - begins >= 2 and config.feature_cache > 0 and train.store.is_fixed
    if not layers or not has_use or not isinstance(model.encoder, Encoder):
        return Once(None, None)
    stores = [train.store] if dev is None else [train.store, dev.store]
    needed = sum(needed_bytes(model, store, whole) for store in stores)
    what = (
        "The frozen encoder" if whole else f"The embeddings and the lowest {layers} layers, which are frozen,"
    )
    size = f"{needed / _GB:.2f} GB"
    if not fits(model, stores, whole, config):
        emit(
            Note(
                f"{what} would take {size} to be computed once, more than feature_cache="
                f"{config.feature_cache:g} or half of the free disk: computed again at each step."
            )
        )
        return Once(None, None)
    try:
        found = [compute(model, store, layers, whole, precision, pause) for store in stores]
    except OSError as error:
        emit(Note(f"{what} cannot be computed once ({error}): computed again at each step."))
        return Once(None, None)
    emit(Note(f"{what} was computed once for epochs {begins} to {ends - 1} ({size})."))
    return Once(found[0], None if dev is None else found[1])


def fits(model: TextModel, stores: Sequence[Store], is_encoder_frozen: bool, config: TrainConfig) -> bool:
    """Whether there is room for what frozen layers make of these texts."""
    needed = sum(needed_bytes(model, store, is_encoder_frozen) for store in stores)
    return needed <= room(config.feature_cache * _GB)


@final
class SharedFeatures:
    """Features that several trainings, one after another, compute once between them: a stage finds what an
    earlier one has made of the same texts with the same frozen weights."""

    def __init__(self, most_bytes: float) -> None:
        """The oldest are given up where all together would take more than most_bytes."""
        self._most = most_bytes
        self._found: dict[tuple[object, ...], tuple[TokenStore, Features]] = {}
        self.n_computed = 0

    def compute(
        self,
        model: TextModel,
        store: TokenStore,
        n_frozen_layers: int,
        is_encoder_frozen: bool,
        precision: str,
        between: Callable[[], None] = lambda: None,
    ) -> Features:
        """As `compute_features`."""
        weights = _digest(model, n_frozen_layers, is_encoder_frozen)
        key = (id(store), n_frozen_layers, is_encoder_frozen, precision, model.layout, weights)
        if key not in self._found:
            found = compute_features(model, store, n_frozen_layers, is_encoder_frozen, precision, between)
            self.n_computed += 1
            self._found[key] = store, found  # holds the store, so that its id stays its own
            while len(self._found) > 1 and self._bytes > self._most:
                del self._found[next(iter(self._found))]
        self._found[key] = self._found.pop(key)  # the newest
        return self._found[key][1]

    @property
    def _bytes(self) -> int:
        return sum(features.rows.nbytes for _, features in self._found.values())


def _digest(model: TextModel, n_frozen_layers: int, is_encoder_frozen: bool) -> str:
    """Of all weights that the features of a model depend on."""
    encoder = model.encoder
    parts = [encoder] if is_encoder_frozen else [*encoder.lowest, *encoder.sequence[:n_frozen_layers]]
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        for tensor in part.state_dict().values():
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
