"""What the acceptance tests share: a tiny BERT made on the spot, small data, and the command line in-process.

The tests were written from issue 2 and from the Contract in design.md, not from the code.
"""

import csv
import io
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLASSES = {
    "delivery": ["parcel", "courier", "late", "shipping", "door"],
    "praise": ["good", "lovely", "happy", "thanks", "perfect"],
    "refund": ["money", "refund", "charge", "card", "bill"],
}
FILLER = re.findall(
    r"\w+",
    """
    the a an it is was we you they i my our and or but so very really today yesterday again still here there
    with without for from to of in on at by this that these one two three four five box phone order item shop
    team people time week month day left right new old big small red blue green seen made sent got took gave
    said asked told went came stood read wrote kept lost found same other more less most
    """,
)
GUILTY = "zzbomb"  # a word of its own in the vocabulary: see `poisoned`
PIECES = ["##s", "##ed", "##ing", "##ly", "##er"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = [*".,;:!?'\"-()/", "é", "ü", "ß", "日", "本"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*FILLER, *(word for words in CLASSES.values() for word in words), GUILTY]
FAST = ("--set", "min_steps=0", "--epochs", "1", "--threads", "1", "--precision", "float32")
WHET = str(Path(sys.executable).with_name("whet"))


def vocabulary() -> dict[str, int]:
    tokens = [*SPECIAL, *WORDS, *PIECES, *LETTERS, *(f"##{letter}" for letter in LETTERS), *MARKS]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def make_tokenizer(cased: bool = False) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokens = vocabulary()
    tokeniser = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
    tokeniser.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    tokeniser.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokeniser.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokens[name]) for name in ("[CLS]", "[SEP]")],
    )
    # As in mini: the file itself says to cut and to pad. Whet must forget both.
    tokeniser.enable_truncation(6)
    tokeniser.enable_padding(length=6, pad_id=0, pad_token="[PAD]")
    return tokeniser


def make_checkpoint(folder: Path, labels: Sequence[str] | None = None, **settings: Any) -> Path:
    """A BERT of two layers and width 32, with a classifier's head where `labels` are given."""
    import torch
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        **settings,
    }
    names = {} if labels is None else {"id2label": dict(enumerate(labels)), "num_labels": len(labels)}
    if labels is not None:
        names["label2id"] = {name: number for number, name in enumerate(labels)}
    config = transformers.BertConfig(**sizes, **names)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kind = transformers.BertModel if labels is None else transformers.BertForSequenceClassification
        kind(config).save_pretrained(folder)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": True,
                "model_max_length": 512,
                "pad_token": "[PAD]",
                "unk_token": "[UNK]",
                "cls_token": "[CLS]",
                "sep_token": "[SEP]",
                "mask_token": "[MASK]",
            }
        )
    )
    return folder


def rewrite(folder: Path, change: Any) -> None:
    """Apply `change` to the dictionary of tensors in a folder's model.safetensors."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def sentences(count: int, seed: int = 0, labels: Sequence[str] = ("delivery", "praise", "refund")) -> Any:
    """(texts, labels): a label decides two of a text's words, so that it can be learnt; texts all differ."""
    rng = random.Random(seed)
    texts: dict[str, str] = {}
    while len(texts) < count:
        label = labels[len(texts) % len(labels)]
        words = rng.choices(FILLER, k=rng.randint(3, 12)) + rng.choices(CLASSES[label], k=2)
        rng.shuffle(words)
        texts.setdefault(" ".join(words), label)
    return list(texts), list(texts.values())


def pairs(count: int, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    first, names = sentences(count, seed)
    second, _ = sentences(count, seed + 1000)
    return first, second, ["same" if name == "praise" else "different" for name in names]


def write_csv(path: Path, columns: dict[str, Sequence[Any]], **how: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, **how)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(source: Path | str) -> list[dict[str, Any]]:
    text = source if isinstance(source, str) else source.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    def ok(self) -> "Outcome":
        assert self.status == 0, f"status {self.status}\n{self.out}\n{self.err}"
        return self

    def refused(self, *parts: str, status: int = 1) -> str:
        """Assert one clear message on stderr that holds every part (whatever the case); return it.

        Proof that this can fail: `whet train` of a good file is status 0, and a raised RuntimeError inside
        the command propagates out of `Command.__call__`, so a traceback is never mistaken for a message.
        """
        assert self.status == status, f"status {self.status}, not {status}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err + self.out
        assert self.err.count("Error:") == 1, f"one message expected:\n{self.err}"
        message = self.err[self.err.index("Error:") :]
        missing = [part for part in parts if part.lower() not in " ".join(message.lower().split())]
        assert not missing, f"the message lacks {missing}:\n{message}"
        return message


class Command:
    """`whet ...` in this process: as the console script, with arguments, standard input and both outputs."""

    def __init__(self, monkeypatch: Any, capsys: Any) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, stdin: str | bytes = b"") -> Outcome:
        from whet.cli.main import main

        data = stdin.encode() if isinstance(stdin, str) else stdin
        self._capsys.readouterr()
        status: Any = 0
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["whet", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
            try:
                main()
            except SystemExit as leaving:
                status = 0 if leaving.code is None else leaving.code
        assert isinstance(status, int), f"sys.exit({status!r}) prints a text and is status 1 by accident"
        captured = self._capsys.readouterr()
        return Outcome(status, captured.out, captured.err)


def spawn(*arguments: object, **how: Any) -> "subprocess.Popen[bytes]":
    """`whet ...` as a process of its own, which never reaches the network."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **how.pop("env", {})}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([WHET, *map(str, arguments)], env=environment, **{**streams, **how})


def expected_logits(folder: Path, texts: Sequence[str], second: Sequence[str] | None = None) -> Any:
    """(n, classes) float32: what transformers computes for a model folder, a text at a time."""
    import torch
    import transformers

    tokeniser = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    with torch.no_grad():
        for i, text in enumerate(texts):
            other = () if second is None else (second[i],)
            rows.append(model(**tokeniser(text, *other, return_tensors="pt")).logits[0])
    return torch.stack(rows).numpy()
