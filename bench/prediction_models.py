"""What bench/prediction_speed.py times: a model of each set, rows, and ONNX files of the same weights.

    python bench/versus_trainer.py convert ../shared/data build/bench                               once
    python bench/prediction_models.py build/prediction build/bench ../shared/data/squad [--rows 2000]

`mini` is trained with whet for one epoch, on the first --rows rows of SST-2 and as many questions of SQuAD
1.1, so that figures mean something, and saved as a folder that every side opens. Rows are all of SST-2's
dev, and --questions questions of SQuAD's dev: whole paragraphs, the first of every article, then the
second, and so on.

The ONNX file is torch's, of transformers' module with attention written out: ONNX Runtime fuses more of
that than of torch's fused attention. Dynamic int8 is `quantize_dynamic` of it, weights as signed bytes.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

CLASSES = {"sst2": "AutoModelForSequenceClassification", "squad": "AutoModelForQuestionAnswering"}
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def some_questions(source: Path, most: int, target: Path) -> None:
    """Whole paragraphs, in turn from every article, until there are enough questions."""
    whole = json.loads(source.read_text(encoding="utf-8"))
    chosen: list[list[Any]] = [[] for _ in whole["data"]]
    n_questions = 0
    for nth in range(max(len(article["paragraphs"]) for article in whole["data"])):
        for own, article in zip(chosen, whole["data"], strict=True):
            if n_questions < most and nth < len(article["paragraphs"]):
                own.append(article["paragraphs"][nth])
                n_questions += len(own[-1]["qas"])
    pairs = zip(whole["data"], chosen, strict=True)
    data = [{**article, "paragraphs": own} for article, own in pairs if own]
    target.write_text(json.dumps({**whole, "data": data}), encoding="utf-8")


def export(folder: Path, kind: str) -> None:
    """The ONNX files of a saved model."""
    import torch
    import transformers
    from onnxruntime.quantization import QuantType, quantize_dynamic

    module = getattr(transformers, kind).from_pretrained(folder / "model", attn_implementation="eager")
    module.eval().config.return_dict = False
    words = torch.randint(5, module.config.vocab_size, (2, 9))
    mask = torch.ones_like(words)
    mask[1, 5:] = 0
    inputs = dict(zip(INPUTS, (words, mask, torch.zeros_like(words)), strict=True))
    per_token, per_text = {0: "texts", 1: "tokens"}, {0: "texts"}
    outputs = {"start": per_token, "end": per_token} if kind == CLASSES["squad"] else {"logits": per_text}
    torch.onnx.export(
        module, kwargs=inputs, f=folder / "onnx.onnx", input_names=list(INPUTS), output_names=list(outputs),
        dynamic_axes=dict.fromkeys(INPUTS, per_token) | outputs, opset_version=17,
        dynamo=False,  # the newer exporter needs one more package
    )  # fmt: skip
    quantize_dynamic(folder / "onnx.onnx", folder / "onnx-int8.onnx", weight_type=QuantType.QInt8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("squad", type=Path)
    parser.add_argument("--rows", type=int, default=2000, help="to train on, of each set")
    parser.add_argument("--questions", type=int, default=300, help="to be timed")
    asked = parser.parse_args()
    import whet

    sst2, squad = (asked.out / name for name in CLASSES)
    for folder in (sst2, squad):
        folder.mkdir(parents=True, exist_ok=True)
    lines = (asked.work / "sst2" / "train.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (sst2 / "train.csv").write_text("".join(lines[: 1 + asked.rows]), encoding="utf-8")
    shutil.copyfile(asked.work / "sst2" / "dev.csv", sst2 / "rows.csv")
    some_questions(asked.squad / "train-v1.1.exact-44-articles.json", asked.rows, squad / "train.json")
    some_questions(asked.squad / "dev-v1.1.json", asked.questions, squad / "rows.json")
    runs: dict[str, dict[str, Any]] = {
        "train.csv": {"max_length": 128},
        "train.json": {"max_length": 384, "task": "question-answering"},
    }
    for folder, (file, settings) in zip((sst2, squad), runs.items(), strict=True):
        run = whet.train(folder / file, out=folder / "run", overwrite=True, epochs=1, **settings)
        run.model().save(folder / "model")
        export(folder, CLASSES[folder.name])


if __name__ == "__main__":
    main()
