"""The packed families: how exact, how large, and how fast beside transformers' own modules.

    python bench/families.py [--rounds 7] [--families bert roberta] [--lengths short|long] [--threads 1]

Exactness is the largest difference from transformers in float64, on the wide random weights of
tests/reference: of hidden states, logits of every head, and gradients. Speed is that of the head for texts on
random weights, 4 layers of width 256, with a batch of 32 texts of 4 to 60 tokens (short, gamma distributed
like SST-2's) or 8 of 60 to 384 (long): whet's pack beside transformers' module in its best attention (sdpa
where it has that), padded to the longest, same texts. Runs alternate in one process; medians of ratios. Time
is that of the processor, on one thread unless said, so that other work on the machine does not count.
Parameters are those of the shape that was timed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from tests.reference import test_families as reference
from whet.checkpoints.families import MODEL_TYPES, family_named
from whet.encoder.packing import PackedBatch, pack

SHAPE = {"vocab_size": 8000, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 1024, "max_position_embeddings": 514, "num_labels": 3}
OWN: dict[str, dict[str, Any]] = {  # what a family names otherwise, or cannot do without
    "distilbert": {"dim": 256, "n_layers": 4, "n_heads": 4, "hidden_dim": 1024},
    "electra": {"embedding_size": 128},
    "albert": {"embedding_size": 128},
    "deberta-v2": {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 256,
        "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": {
        "pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2,
    },
}  # fmt: skip


def exactness(model_type: str) -> float:
    """The largest difference of all heads and variants."""
    worst = 0.0
    for name, layout, variant in reference.CASES:
        if name == model_type:
            with reference.exact_functions(name):
                pair = reference.make_pair(name, layout, variant)
                inputs, batch = reference.texts(pair, 3)
                with torch.no_grad():
                    expected = pair.theirs(**inputs, output_hidden_states=True).hidden_states[-1]
                    states = batch.unpack(pair.encoder(batch).tokens)
                    logits = pair.head(pair.encoder, batch) - reference.their_logits(
                        pair, pair.theirs, inputs
                    )
                rows = [own - expected[i, : len(own)] for i, own in enumerate(states)]
                ours, theirs = reference.gradients_of(pair, 5)
                scale = max(1.0, reference.largest(list(theirs.values())))
                found = reference.largest([ours[name] - theirs[name] for name in theirs]) / scale
                worst = max(worst, found, reference.largest([*rows, logits]))
    return worst


def texts(lengths: np.ndarray, config: Any) -> tuple[dict[str, torch.Tensor], PackedBatch]:
    """The same random texts, padded and packed."""
    random = np.random.default_rng(1)
    ids = [random.integers(5, SHAPE["vocab_size"], n) for n in lengths]
    shape = (len(ids), int(lengths.max()))
    inputs = {
        "input_ids": torch.full(shape, config.pad_token_id or 0),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
    }
    for i, row in enumerate(ids):
        inputs["input_ids"][i, : len(row)] = torch.from_numpy(row)
        inputs["attention_mask"][i, : len(row)] = 1
    return inputs, pack(ids, [np.zeros(n, np.int64) for n in lengths])


def timed(run: Callable[[], Any]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def speed(
    model_type: str, lengths: np.ndarray, rounds: int
) -> tuple[int, list[float], list[float], list[float]]:
    """Parameters, tokens a second of training, and the ratios of theirs over ours: forward, training."""
    settings = {**SHAPE, **OWN.get(model_type, {})}
    config = transformers.AutoConfig.for_model(model_type, **settings)
    family = family_named(model_type)
    head_class = family.heads["text"]
    kind = getattr(transformers, head_class.architecture)
    try:
        theirs = kind._from_config(config, attn_implementation="sdpa")
    except ValueError:  # it has none
        theirs = kind._from_config(config, attn_implementation="eager")
    found = config.to_dict()
    spec = family.spec(found)
    encoder = family.encoder_of("text", spec, found)
    head = head_class.build(spec, found, 3)
    inputs, batch = texts(lengths, config)
    theirs.eval(), encoder.eval(), head.eval()  # dropout is not what is compared

    def forward_ours() -> Any:
        with torch.inference_mode():
            return head(encoder, batch)

    def forward_theirs() -> Any:
        with torch.inference_mode():
            return theirs(**inputs).logits

    def train_ours() -> None:
        head(encoder, batch).sum().backward()

    def train_theirs() -> None:
        theirs(**inputs).logits.sum().backward()

    runs = (forward_ours, forward_theirs, train_ours, train_theirs)
    for run in runs * 2:
        run()
    times = [[timed(run) for run in runs] for _ in range(rounds)]
    return (
        sum(p.numel() for module in (encoder, head) for p in module.parameters()),
        [float(lengths.sum()) / row[2] for row in times],
        [row[1] / row[0] for row in times],
        [row[3] / row[2] for row in times],
    )


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(MODEL_TYPES))
    parser.add_argument("--lengths", choices=["short", "long"], default="short")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    random = np.random.default_rng(0)
    if asked.lengths == "short":
        lengths = np.clip(random.gamma(2.2, 9, 32).astype(int), 4, 60)
    else:
        lengths = np.clip(random.normal(170, 80, 8).astype(int), 60, 384)
    print("| family | off by | parameters | tokens/s, training | forward, times | training, times |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model_type in asked.families:
        parameters, rates, forward, training = speed(model_type, lengths, asked.rounds)
        print(
            f"| {model_type} | {exactness(model_type):.0e} | {parameters / 1e6:.1f} M | "
            f"{statistics.median(rates):,.0f} | {spread(forward)} | {spread(training)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
