"""Fine-tune a BERT classifier in a plain PyTorch loop: give a model folder or name, --data and --out."""

import argparse
import csv

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--data", required=True, help="CSV with the columns text and label")
parser.add_argument("--out", required=True)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=8)
args = parser.parse_args()

with open(args.data, encoding="utf-8", newline="") as file:
    rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
labels = sorted({label for _, label in rows})

torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=len(labels))


def collate(batch):
    texts = [text for text, _ in batch]
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    inputs["labels"] = torch.tensor([labels.index(label) for _, label in batch])
    return inputs


loader = DataLoader(rows, batch_size=args.batch_size, shuffle=True, collate_fn=collate)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)

model.train()
for epoch in range(args.epochs):
    total = 0.0
    for inputs in loader:
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}")

model.eval()
right = 0
with torch.no_grad():
    for inputs in loader:
        right += (model(**inputs).logits.argmax(-1) == inputs["labels"]).sum().item()
print(f"accuracy on the training rows: {right / len(rows):.4f}")

model.save_pretrained(args.out)
tokenizer.save_pretrained(args.out)
