"""A PyTorch loop of one's own around a whet model: pairs of texts, two learning rates, clipping, dev figures.

python examples/own_loop.py --data pairs.csv --dev dev.csv --out fine-tuned
"""

import argparse
import csv

import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

import whet

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="mini")
parser.add_argument("--data", required=True, help="CSV with the columns premise, hypothesis and label")
parser.add_argument("--dev", required=True, help="the same, to look at after every epoch")
parser.add_argument("--out", required=True)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=8)
args = parser.parse_args()

with open(args.data, encoding="utf-8", newline="") as file:
    rows = [((row["premise"], row["hypothesis"]), row["label"]) for row in csv.DictReader(file)]
labels = sorted({label for _, label in rows})


def collate(batch):
    return [pair for pair, _ in batch], [label for _, label in batch]


torch.manual_seed(0)
model = whet.load_module(args.model, labels=labels, max_length=128)
loader = DataLoader(rows, batch_size=args.batch_size, shuffle=True, collate_fn=collate)
optimizer = torch.optim.AdamW(
    [
        {"params": model.encoder.parameters(), "lr": 5e-5},
        {"params": model.head.parameters(), "lr": 1e-3},
    ]
)

for epoch in range(args.epochs):
    model.train()
    for pairs, names in loader:
        loss = model(pairs, names).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    figures = whet.Model(model).evaluate(args.dev).metrics
    print(f"epoch {epoch + 1}: dev accuracy {figures['accuracy']:.4f}  macro F1 {figures['macro_f1']:.4f}")

# The padded dictionary of a Hugging Face tokeniser means the same as the texts.
tokenizer = AutoTokenizer.from_pretrained(whet.locate(args.model).folder)
pairs = [pair for pair, _ in rows[: args.batch_size]]
padded = tokenizer(pairs, padding=True, truncation=True, max_length=128, return_tensors="pt")
model.eval()
with torch.no_grad():
    difference = (model(padded).logits - model(pairs).logits).abs().max().item()
print(f"largest difference between the logits of texts and of their padded ids: {difference:.1e}")
assert difference < 1e-5

whet.Model(model).save(args.out)
