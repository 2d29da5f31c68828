"""Masked-LM heads against transformers' own classes in float64, with wide weights so that no bug hides."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.acceptance import house
from tests.reference.entries import entry_of
from tests.reference.test_families import exact_functions, largest
from whet.artifact import save_model
from whet.checkpoints.families import family_named
from whet.checkpoints.families.base import Family
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.names import NameTable
from whet.config import make_config
from whet.encoder.heads import Head
from whet.encoder.network import Encoder
from whet.encoder.packing import pack
from whet.model import start_model
from whet.tasks.masked_lm import MaskedLM
from whet.text.documents import Documents, window_store
from whet.text.masking import MaskedStore, Masking
from whet.text.rules import TextRules
from whet.text.store import Column
from whet.text.tokens import Tokeniser
from whet.training.gradient import Examples, accumulate

transformers = pytest.importorskip("transformers")

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "modernbert")


@dataclass
class Pair:
    """A masked-LM class of transformers, and ours with the same weights."""

    family: Family
    theirs: Any
    encoder: Encoder
    head: Head
    table: NameTable
    lengths: tuple[int, ...]

    def named(self) -> dict[str, torch.nn.Parameter]:
        modules = {"encoder": self.encoder, "head": self.head}
        return {f"{k}.{name}": p for k, module in modules.items() for name, p in module.named_parameters()}

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """transformers', each once; a tied decoder by the name of the table."""
        found = dict(self.theirs.named_parameters(remove_duplicate=False))
        tied = ("decoder.weight", "decoder.bias", "vocab_projector.weight")
        shared = {id(p) for name, p in found.items() if not name.endswith(tied)}
        return {n: p for n, p in found.items() if not (n.endswith(tied) and id(p) in shared)}


def loss_of(output: Any, truth: Tensor, hidden: Tensor) -> Tensor:
    """transformers' own; some of its classes compute it in float32, so there it is torch's of its logits."""
    own: Tensor = output.loss
    if own.dtype == torch.float64:
        return own
    return torch.nn.functional.cross_entropy(output.logits[hidden], truth)


def make_pair(model_type: str, layout: str = "masked-lm") -> Pair:
    family, entry = family_named(model_type), entry_of(model_type)
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(model_type, **{**entry.config, "initializer_range": 0.3})
    theirs = getattr(transformers, family.heads[layout].architecture)(config)
    for name, parameter in theirs.named_parameters():  # norms and biases too
        if parameter.ndim == 1:
            is_norm = "norm" in name.lower() and name.endswith("weight")
            torch.nn.init.normal_(parameter, mean=1.0 if is_norm else 0.0, std=0.3)
        elif float(parameter.detach().std()) < 0.1:
            torch.nn.init.normal_(parameter, std=0.3)
    theirs = theirs.double().eval()
    settings = config.to_dict()
    spec = family.spec(settings)
    encoder = family.encoder(spec, settings).double()
    if layout == "masked-lm":
        encoder.pooler = None
    head = family.heads[layout].build(spec, settings, 0).double()
    table = family.encoder_names(spec, settings).under("encoder.", family.encoder_prefix)
    table |= family.heads[layout].names.under("head.", "")
    ours = table.load(theirs.state_dict())
    for prefix, module in (("encoder.", encoder), ("head.", head)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in ours.items() if k.startswith(prefix)})
    return Pair(family, theirs, encoder.eval(), head.eval(), table, entry.lengths)


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest) -> Any:
    with exact_functions(request.param):
        yield make_pair(request.param)


def sequences(pair: Pair, seed: int, n_hidden: int | None = None) -> tuple[dict[str, Tensor], Any, Tensor]:
    """The same sequences padded, with labels, and packed, with reads; and the true words of those."""
    random = np.random.default_rng(seed)
    lengths = [n for n in pair.lengths if n > 4]
    settings = pair.theirs.config
    ids = [random.integers(5, settings.vocab_size, n) for n in lengths]
    reads = [random.random(n) < 0.3 for n in lengths]
    if n_hidden is not None:
        for one in reads:
            one[:] = False
            one[random.permutation(len(one))[:n_hidden]] = True
    truth = [random.integers(5, settings.vocab_size, int(one.sum())) for one in reads]
    shape = (len(ids), max(lengths))
    inputs = {
        "input_ids": torch.full(shape, settings.pad_token_id or 0),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, -100),
    }
    for i, n in enumerate(lengths):
        inputs["input_ids"][i, :n] = torch.from_numpy(ids[i])
        inputs["attention_mask"][i, :n] = 1
        inputs["labels"][i, : len(reads[i])][torch.from_numpy(reads[i])] = torch.from_numpy(truth[i])
    batch = pack(ids, [np.zeros(n, np.int64) for n in lengths], reads=reads)
    return inputs, batch, torch.from_numpy(np.concatenate(truth))


def test_logits_loss_and_gradients_equal_transformers(pair: Pair) -> None:
    inputs, batch, truth = sequences(pair, 3)
    task = MaskedLM()
    logits = pair.head(pair.encoder, batch)
    loss = task.losses(logits, truth).sum() / task.weight(truth)
    theirs = pair.theirs(**inputs)
    hidden = inputs["labels"] != -100
    assert logits.shape == (int(hidden.sum()), pair.theirs.config.vocab_size)
    expected_loss = loss_of(theirs, truth, hidden)
    assert largest([logits - theirs.logits[hidden], loss - expected_loss]) < 1e-10
    for module in (pair.encoder, pair.head, pair.theirs):
        module.zero_grad()
    loss.backward()
    expected_loss.backward()
    ours = pair.table.save({name: p.grad for name, p in pair.named().items() if p.grad is not None})
    expected = {name: p.grad for name, p in pair.parameters().items() if p.grad is not None}
    assert ours.keys() == expected.keys()
    scale = max(1.0, largest(list(expected.values())))
    assert largest([ours[name] - expected[name] for name in expected]) < 1e-10 * scale


def test_names_go_both_ways(pair: Pair) -> None:
    """Nothing missing, nothing invented; a tied decoder is there once."""
    foreign = {name: parameter.detach() for name, parameter in pair.parameters().items()}
    back = pair.table.save(pair.table.load(foreign))
    assert back.keys() == foreign.keys()
    assert all(torch.equal(back[name], foreign[name]) for name in foreign)


def test_planted_bugs_are_seen(pair: Pair) -> None:
    """Each of the head's tensors a little off, and the words of the table but one."""
    inputs, batch, truth = sequences(pair, 4)
    task = MaskedLM()
    with torch.no_grad():
        expected = loss_of(pair.theirs(**inputs), truth, inputs["labels"] != -100)

        def difference() -> float:
            return largest([task.losses(pair.head(pair.encoder, batch), truth).mean() - expected])

        assert difference() < 1e-10
        for name, parameter in pair.named().items():
            if name.startswith("head.") or name.endswith("words.table.weight"):
                right = parameter.clone()
                parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
                assert difference() > 1e-6, name
                parameter.copy_(right)


def test_next_sentence_equals_bert_for_pretraining() -> None:
    """Where every text has as many hidden tokens, what a text costs is the mean over texts."""
    pair = make_pair("bert", "next-sentence")
    inputs, batch, truth = sequences(pair, 5, n_hidden=3)
    labels = torch.arange(len(batch.lengths)) % 2
    task = MaskedLM(next_sentence=True)
    assert task.layout == "next-sentence"
    targets = torch.stack([truth, labels.repeat_interleave(3)], dim=1)
    logits = pair.head(pair.encoder, batch)
    loss = task.losses(logits, targets).sum() / task.weight(targets)
    theirs = pair.theirs(**inputs, next_sentence_label=labels)
    assert largest([loss - theirs.loss]) < 1e-10
    assert largest([logits[::3, -2:] - theirs.seq_relationship_logits]) < 1e-10
    kept = task.kept(logits, [np.stack([truth.numpy(), labels.repeat_interleave(3).numpy()], axis=1)])
    odds = theirs.seq_relationship_logits
    assert largest([kept[::3, 2] - (odds[:, 1] - odds[:, 0])]) < 1e-10
    with torch.no_grad():
        pair.head.follows.weight[0] += 0.01
    again = task.losses(pair.head(pair.encoder, batch), targets).mean()
    assert largest([again - theirs.loss]) > 1e-6, "a planted bug is seen"


def test_what_is_kept_is_the_chance_and_the_rank() -> None:
    logits = torch.randn(7, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    truth = torch.arange(7) * 3
    kept = MaskedLM().kept(logits, [truth.numpy()[:, None]])
    expected = logits.log_softmax(dim=1)[torch.arange(7), truth]
    order = logits.argsort(dim=1, descending=True).tolist()
    assert largest([kept[:, 0] - expected]) < 1e-12
    assert kept[:, 1].tolist() == [row.index(word) for row, word in zip(order, truth.tolist(), strict=True)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny BERT with a new masked-LM head, in float64, and a store of windows."""
    folder = house.make_checkpoint(tmp_path_factory.mktemp("masked") / "tiny")
    checkpoint = open_checkpoint(folder)
    tokeniser = Tokeniser.load(folder, checkpoint.spec.n_types)
    texts, _ = house.sentences(30)
    ids, rows = Column(np.int32), tokeniser.plain(texts)
    ids.append(np.array([token for row in rows for token in row], np.int32))
    documents = Documents(ids, None, np.array([len(row) for row in rows]))
    store, _ = window_store(documents, tokeniser, 10)
    others = np.setdiff1d(tokeniser.ids, tokeniser.special).astype(np.int32)
    masked = MaskedStore(store, Masking(tokeniser.mask or 0, others, 0.3))
    task = MaskedLM(0.3).having_read(masked)
    start = start_model(checkpoint, task, tokeniser, TextRules(10), seed=1)
    return start, masked


def test_frequencies_are_those_of_what_can_be_hidden(model: Any) -> None:
    """Method C of Witten and Bell by hand: the words that were not seen share n_seen / (n + n_seen), and a
    special token takes no part. Proof that it can fail: it took one, until a review found it."""
    _, store = model
    task = MaskedLM(0.3).having_read(store)
    assert task.chances is not None
    chances = task.chances[0]
    sequences = store.texts.sequences(np.arange(len(store)))
    tokens = np.concatenate([ids[reads] for ids, reads in zip(sequences.ids, sequences.reads, strict=True)])
    words = store.hiding.others
    seen, counts = np.unique(tokens, return_counts=True)
    total = len(tokens) + len(seen)
    assert chances[seen] == pytest.approx(counts / total)
    unseen = np.setdiff1d(words, seen)
    assert chances[unseen] == pytest.approx(len(seen) / total / len(unseen))
    assert chances[words].sum() == pytest.approx(1)
    special = np.setdiff1d(np.arange(len(chances)), words)
    assert set(chances[special]) == {chances[words].min()}


def gradient(model: Any, examples: Examples, most_tokens: int) -> tuple[Tensor, Tensor]:
    config = make_config({"tokens_per_pass": most_tokens, "seed": 3})
    model.zero_grad()
    losses = accumulate(model, examples, np.arange(20), 5, config, "float64")
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(losses).sum(), torch.cat(gradients)


def test_a_step_is_the_same_however_it_is_cut(model: Any) -> None:
    """Dropout is on, and tokens are hidden by step. Proof that it can fail: keys of places in the piece."""
    start, store = model
    double = start.model.double().train()
    examples = Examples(store, np.arange(len(store)))
    loss, whole = gradient(double, examples, 8192)
    for most in (16, 60):
        other, pieces = gradient(double, examples, most)
        assert largest([loss - other, whole - pieces]) < 1e-12
    config = make_config({"seed": 3})
    elsewhere = torch.cat(accumulate(double, examples, np.arange(20), 6, config, "float64")).sum()
    assert abs(float(elsewhere - loss)) > 1e-3, "another step hides other tokens"


def test_every_word_is_trained_through_the_decoder(model: Any) -> None:
    """So the table is no table of used rows: `whet.training.used_rows`."""
    from tests.training.test_timing import warmup_then_linear
    from whet.training.state import TrainingState

    start, store = model
    double = start.model.double().train()
    state = TrainingState(double, start.new, make_config({"learning_rate": 1e-4}), warmup_then_linear(3, 0.0))
    assert not state.used
    gradient(double, Examples(store, np.arange(len(store))), 8192)
    table = double.encoder.word_table
    assert table.grad is not None
    assert (table.grad.abs().sum(dim=1) > 0).all()


def test_a_saved_folder_opens_in_transformers_with_equal_logits(model: Any, tmp_path: Path) -> None:
    start, store = model
    own = start.model.double().eval()
    assert any("no masked-LM head" in note for note in start.notes)
    save_model(own, tmp_path / "model")
    opened, info = transformers.AutoModelForMaskedLM.from_pretrained(
        tmp_path / "model", output_loading_info=True, dtype=torch.float64
    )
    assert not info["missing_keys"]
    assert all("pooler" in name for name in info["unexpected_keys"]), "a checkpoint's pooler is kept"
    batch = own.batch(store, np.arange(6), "float64")
    found = store.sequences(np.arange(6))
    with torch.no_grad():
        expected = own.logits(batch)
        for ids, reads, logits in zip(
            found.ids, found.reads, expected.split([int(one.sum()) for one in found.reads]), strict=True
        ):
            theirs = opened(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
            assert largest([theirs[torch.from_numpy(reads)] - logits]) < 1e-10
    again = start_model(open_checkpoint(tmp_path / "model"), own.task, own.tokeniser, own.rules, seed=9)
    assert not again.new
    assert any("head is kept" in note for note in again.notes)
    same = again.model.double().eval()
    with torch.no_grad():
        assert largest([same.logits(batch) - expected]) < 1e-3


def test_families_without_a_head_say_so() -> None:
    from whet.errors import CheckpointError

    with pytest.raises(CheckpointError, match="'albert', for which whet has no masked-LM head"):
        family_named("albert").head_class("masked-lm")
    untied = {**entry_of("bert").config, "hidden_act": "gelu", "tie_word_embeddings": False}
    family = family_named("bert")
    spec = replace(family.spec(untied))
    with pytest.raises(CheckpointError, match="tie_word_embeddings is false"):
        family.heads["masked-lm"].build(spec, untied, 0)
