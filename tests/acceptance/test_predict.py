"""`whet predict`: rows in, rows out, in order, whatever way they come."""

import csv
import io
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance import house

CLASSES = list(house.CLASSES)
NEW = ["label", "probability", "probabilities"]


def _matrix(rows, field="probabilities"):
    return np.array([[row[field][name] for name in CLASSES] for row in rows])


@pytest.fixture
def rows(tmp_path):
    """Texts of very different lengths, an empty and a strange one among them, with columns of their own."""
    texts, labels = house.sentences(60, seed=21)
    texts = [text if i % 7 else " ".join([text] * (1 + i // 3)) for i, text in enumerate(texts)]
    texts[5], texts[6] = "", "zq\u65e5\u672c\u0000".replace("\u0000", " ") + "\u00e9"
    return [
        {"id": i, "text": text, "label": label, "note": f"n{i}"}
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def test_order_columns_and_probabilities(whet, classifier, rows):
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    outcome = whet("predict", classifier, data).ok()
    found = house.read_jsonl(outcome.out)
    assert [row["id"] for row in found] == list(range(60))
    for row, given in zip(found, rows, strict=True):
        assert list(row) == ["id", "text", "input_label", "note", *NEW]
        assert row["input_label"] == given["label"]
        assert {key: row[key] for key in ("id", "text", "note")} == {
            key: given[key] for key in ("id", "text", "note")
        }
        assert list(row["probabilities"]) == CLASSES
        assert math.isclose(sum(row["probabilities"].values()), 1, abs_tol=1e-6)
        assert row["probability"] == max(row["probabilities"].values())
        assert row["probabilities"][row["label"]] == row["probability"]
    expected = house.expected_logits(classifier, [row["text"] for row in rows[:10]])
    raised = np.exp(expected)
    np.testing.assert_allclose(_matrix(found[:10]), raised / raised.sum(axis=1, keepdims=True), atol=1e-5)


def test_input_columns_named_like_ours_are_all_kept(whet, classifier):
    """Nothing of the input may be lost under a name of ours, `input_label` included."""
    data = house.write_jsonl(
        Path("rows.jsonl"),
        [
            {
                "text": "good",
                "label": "mine",
                "input_label": "also mine",
                "probability": 7,
                "probabilities": "all",
            }
        ],
    )
    (row,) = house.read_jsonl(whet("predict", classifier, data, "--text-column", "text").ok().out)
    assert {"mine", "also mine", 7, "all"} <= {value for value in row.values() if not isinstance(value, dict)}
    assert row["label"] in CLASSES
    assert 0 < row["probability"] <= 1


def test_logits(whet, classifier, rows):
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    found = house.read_jsonl(whet("predict", classifier, data, "--logits").ok().out)
    logits = _matrix(found, "logits")
    np.testing.assert_allclose(
        logits[:8], house.expected_logits(classifier, [r["text"] for r in rows[:8]]), atol=1e-5
    )
    raised = np.exp(logits)
    np.testing.assert_allclose(_matrix(found), raised / raised.sum(axis=1, keepdims=True), atol=1e-6)
    without = house.read_jsonl(whet("predict", classifier, data).ok().out)
    assert all("logits" not in row for row in without)


def test_no_input(whet, classifier, rows):
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    whole = house.read_jsonl(whet("predict", classifier, data).ok().out)
    bare = house.read_jsonl(whet("predict", classifier, data, "--no-input").ok().out)
    assert bare == [{name: row[name] for name in NEW} for row in whole]


def test_to_jsonl_is_what_goes_to_standard_output(whet, classifier, rows):
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    printed = whet("predict", classifier, data).ok().out
    outcome = whet("predict", classifier, data, "--to", "out.jsonl").ok()
    assert outcome.out == ""
    assert Path("out.jsonl").read_text(encoding="utf-8") == printed


def test_to_csv_holds_the_same(whet, classifier, rows):
    rows[3]["text"] = 'a "quoted", text\nover two lines; and more'
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    printed = house.read_jsonl(whet("predict", classifier, data).ok().out)
    whet("predict", classifier, data, "--to", "out.csv").ok()
    table = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8"), newline="")))
    assert len(table) == 60
    for line, row in zip(table, printed, strict=True):
        for name in ("text", "note", "input_label", "label"):
            assert line[name] == row[name]
        assert float(line["probability"]) == pytest.approx(row["probability"])
        for name in CLASSES:
            (cell,) = [value for key, value in line.items() if name in key]
            assert float(cell) == pytest.approx(row["probabilities"][name])


def test_a_csv_that_was_written_can_be_read_again(whet, classifier, rows):
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    whet("predict", classifier, data, "--to", "out.csv").ok()
    again = house.read_jsonl(whet("predict", classifier, "out.csv", "--text-column", "text").ok().out)
    first = house.read_jsonl(whet("predict", classifier, data).ok().out)
    np.testing.assert_allclose(_matrix(again), _matrix(first), atol=1e-5)


def test_standard_input_as_json_lines_and_as_plain_lines(whet, classifier, rows):
    texts = [row["text"] for row in rows if row["text"]]
    data = house.write_jsonl(Path("rows.jsonl"), [row for row in rows if row["text"]])
    expected = _matrix(house.read_jsonl(whet("predict", classifier, data).ok().out))
    as_json = whet("predict", classifier, "-", stdin=data.read_bytes()).ok()
    assert [row["id"] for row in house.read_jsonl(as_json.out)] == [row["id"] for row in rows if row["text"]]
    for lines in ("\n".join(texts) + "\n", "\n".join(texts), "\r\n".join(texts) + "\r\n"):
        plain = house.read_jsonl(whet("predict", classifier, "-", stdin=lines).ok().out)
        assert [row["text"] for row in plain] == texts
        np.testing.assert_allclose(_matrix(plain), expected, atol=1e-5)
    np.testing.assert_allclose(_matrix(house.read_jsonl(as_json.out)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "lines",
    [
        "one, two; three\n",
        '"quoted" text\nand "more\n',
        "[not json\n",
        "tab\there\n",
        "caf\u00e9 \u65e5\u672c\n",
        "label\n",
    ],
)
def test_plain_lines_are_texts_whatever_they_hold(lines, whet, classifier):
    found = house.read_jsonl(whet("predict", classifier, "-", stdin=lines).ok().out)
    assert [row["text"] for row in found] == lines.splitlines()


def test_an_empty_line_is_a_row_like_any_other(whet, classifier):
    """One line out for each line in, else the lines of input and output no longer match."""
    found = house.read_jsonl(whet("predict", classifier, "-", stdin="good\n\nbad\n").ok().out)
    assert [row["text"] for row in found] == ["good", "", "bad"]


def test_a_row_without_the_text_is_counted_and_named(whet, classifier):
    """A missing key is a user's slip: the row keeps its line, and the note says which it was."""
    rows = [{"text": "good parcel"}, {"txt": "late bill"}, {"text": None}, {"text": ""}]
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    outcome = whet("predict", classifier, data).ok()
    assert [row["text"] for row in house.read_jsonl(outcome.out)] == ["good parcel", None, None, ""]
    note = (
        f"Note: 2 rows have no value in 'text': {data}:2, {data}:3. "
        "Read as an empty text; fill it in, or leave the row out."
    )
    assert outcome.err.strip().splitlines()[-1] == note
    assert (
        "Note"
        not in whet("predict", classifier, house.write_jsonl(Path("b.jsonl"), [rows[0], rows[3]])).ok().err
    )


def test_the_first_rows_decide_on_the_column(whet, classifier):
    """A key that comes late and has a more usual name changes nothing for the rows behind it."""
    rows = [{"said": "good parcel by post"}] * 4096 + [{"said": "late bill again", "text": "x"}]
    data = house.write_jsonl(Path("rows.jsonl"), rows)
    last = house.read_jsonl(whet("predict", classifier, data).ok().out)[-1]
    alone = house.read_jsonl(whet("predict", classifier, "--text", "late bill again").ok().out)[0]
    assert abs(last["probability"] - alone["probability"]) < 1e-5


def test_broken_standard_input_is_one_message(whet, classifier):
    whet("predict", classifier, "-", stdin=b"good\ncaf\xe9\n").refused("utf-8", "2")
    whet("predict", classifier, "-", stdin='{"text": "good"}\n{"text": \n').refused("2")


def test_text_and_pair_on_the_command_line(whet, classifier):
    first, second = ["good parcel", "late bill"], ["the door", "my card"]
    singles = whet("predict", classifier, "--text", first[0], "--text", first[1], "--logits").ok()
    found = _matrix(house.read_jsonl(singles.out), "logits")
    np.testing.assert_allclose(found, house.expected_logits(classifier, first), atol=1e-5)
    options = [
        part for one, two in zip(first, second, strict=True) for part in ("--text", one, "--pair", two)
    ]
    found = _matrix(house.read_jsonl(whet("predict", classifier, *options, "--logits").ok().out), "logits")
    np.testing.assert_allclose(found, house.expected_logits(classifier, first, second), atol=1e-5)


def test_pairs_from_a_file(whet, classifier):
    first, second, _ = house.pairs(20)
    house.write_csv(Path("pairs.csv"), {"premise": first, "hypothesis": second})
    found = house.read_jsonl(whet("predict", classifier, "pairs.csv", "--logits").ok().out)
    np.testing.assert_allclose(
        _matrix(found, "logits"), house.expected_logits(classifier, first, second), atol=1e-5
    )
    house.write_csv(Path("odd.csv"), {"alpha": first, "beta": second})
    named = ("--text-column", "alpha", "--pair-column", "beta", "--logits")
    again = house.read_jsonl(whet("predict", classifier, "odd.csv", *named).ok().out)
    np.testing.assert_allclose(_matrix(again, "logits"), _matrix(found, "logits"), atol=1e-5)


def test_the_same_prediction_by_every_way_in_and_in_any_order(whet, classifier, rows):
    """File, Python list, one text at a time, reversed: within 1e-5, whatever stands beside a text in a batch.

    Proof that it can fail: the last line shows that the texts' own figures are far apart."""
    import whet as library

    data = house.write_jsonl(Path("rows.jsonl"), rows)
    from_file = _matrix(house.read_jsonl(whet("predict", classifier, data).ok().out))
    texts = [row["text"] for row in rows]
    model = library.load(classifier)

    def ask(batch):
        return np.array([[p.probabilities[name] for name in CLASSES] for p in model.predict(batch)])

    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(ask(texts), from_file, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([ask([text]) for text in texts]), from_file, atol=1e-5)
    np.testing.assert_allclose(ask([texts[i] for i in order]), from_file[order], atol=1e-5)
    np.testing.assert_allclose(ask([text for text in texts for _ in range(3)])[::3], from_file, atol=1e-5)
    assert np.abs(from_file - from_file[order]).max() > 0.05


def test_a_table_of_rows_without_a_prediction_is_refused_or_empty(whet, classifier):
    import whet as library

    assert library.load(classifier).predict([]) == []
    assert whet("predict", classifier, "-", stdin=b"").status in (0, 1)


def test_stream_is_lazy(classifier):
    """A generator without end is consumed as far as a window, and no further.

    Proof that it can fail: with `texts = list(texts)` planted in `Model.stream`, the generator objects."""
    import whet as library

    taken = itertools.count()

    def endless():
        for i in taken:
            assert i < 60_000, "the stream reads all of its input first"
            yield f"{house.FILLER[i % 40]} {house.FILLER[i % 37]}"

    stream = library.load(classifier).stream(endless())
    first = list(itertools.islice(stream, 10))
    assert len(first) == 10
    used = next(taken)
    assert used <= 10_000, "windows of some thousand rows"
    rest = list(itertools.islice(stream, 9_000))
    assert len(rest) == 9_000
    assert next(taken) <= 9_010 + 2 * used


def test_stream_keeps_order_across_windows(classifier):
    import whet as library

    model = library.load(classifier)
    texts = [f"{house.FILLER[i % 40]} {house.FILLER[i * 7 % 53]} " * (1 + i % 3) for i in range(9_000)]
    known = {
        text: prediction.probability
        for text, prediction in zip(dict.fromkeys(texts), model.predict(dict.fromkeys(texts)), strict=True)
    }
    found = [prediction.probability for prediction in model.stream(iter(texts))]
    np.testing.assert_allclose(found, [known[text] for text in texts], atol=1e-5)


@pytest.mark.parametrize(
    "texts", ["one text", [1], [None], [("a", "b", "c")], [["a", 2]], [b"bytes"]], ids=repr
)
def test_what_is_no_text_is_a_whet_error(texts, classifier):
    import whet as library

    with pytest.raises(library.WhetError):
        library.load(classifier).predict(texts)


def test_logits_from_python(classifier):
    import whet as library

    model = library.load(classifier)
    assert model.labels == tuple(CLASSES)
    (prediction,) = model.predict(["good parcel"], logits=True)
    np.testing.assert_allclose(
        prediction.logits, house.expected_logits(classifier, ["good parcel"])[0], atol=1e-5
    )
    assert model.predict(["good parcel"])[0].logits is None


# --- which part of a long text is read ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut_runs(tmp_path_factory, encoder):
    import whet as library

    folder = tmp_path_factory.mktemp("cut")
    data = house.sentences(36)
    for cut in ("tail", "head", "middle"):
        settings = {"min_steps": 0, "epochs": 1, "threads": 1, "max_length": 12, "precision": "float32"}
        library.train(data, model=encoder, out=folder / cut, quiet=True, cut=cut, **settings)
    return folder


@pytest.mark.parametrize("cut", ["tail", "head", "middle"])
def test_cut_at_the_tail_the_head_or_the_middle(cut, cut_runs, whet):
    """30 words of one token each, of which 12 - 2 are read. Which ones follows from the option's meaning."""
    words = house.FILLER[:30]
    kept = {"tail": words[:10], "head": words[-10:], "middle": words[:5] + words[-5:]}
    outcome = whet("predict", cut_runs / cut, "--text", " ".join(words), "--logits").ok()
    found = _matrix(house.read_jsonl(outcome.out), "logits")
    expected = {
        name: house.expected_logits(cut_runs / cut / "model", [" ".join(some)]) for name, some in kept.items()
    }
    np.testing.assert_allclose(found, expected[cut], atol=1e-5)
    others = [value for name, value in expected.items() if name != cut]
    assert all(np.abs(found - other).max() > 1e-3 for other in others)


def test_a_long_pair_is_cut_as_transformers_cuts_it(cut_runs, whet):
    """longest_first, transformers' own word for truncation=True."""
    import torch
    import transformers

    first, second = " ".join(house.FILLER[:20]), " ".join(house.FILLER[20:26])
    outcome = whet("predict", cut_runs / "tail", "--text", first, "--pair", second, "--logits")
    if outcome.status:  # the run was trained on single texts
        outcome.refused("pair")
        return
    found = _matrix(house.read_jsonl(outcome.out), "logits")
    folder = cut_runs / "tail/model"
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        first, second, truncation=True, max_length=12, return_tensors="pt"
    )
    with torch.no_grad():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        np.testing.assert_allclose(found, model(**tokens).logits.numpy(), atol=1e-5)


# --- one's own PyTorch loop ---------------------------------------------------------------------------------


def test_a_module_takes_texts_or_the_tokenisers_dictionary_and_gives_loss_and_logits(classifier):
    import torch
    import transformers

    import whet as library

    module = library.load_module(classifier, labels=CLASSES).eval()
    texts, labels = house.sentences(10, seed=31)
    numbers = torch.tensor([CLASSES.index(label) for label in labels])
    tokeniser = transformers.AutoTokenizer.from_pretrained(classifier)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    batch = tokeniser(texts, padding=True, return_tensors="pt")
    expected = theirs(**batch, labels=numbers)
    for output in (
        module(texts, labels),
        module(texts, numbers),
        module(batch, numbers),
        module({**batch, "labels": numbers}),
    ):
        torch.testing.assert_close(output.logits, expected.logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(output.loss, expected.loss, atol=1e-5, rtol=0)
    assert module(texts).loss is None


def test_a_module_trains_in_ones_own_loop(encoder):
    import torch

    import whet as library

    texts, labels = house.sentences(24, seed=31)
    module = library.load_module(encoder, labels=CLASSES, dropout=0.0)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    loader = torch.utils.data.DataLoader(list(zip(texts, labels, strict=True)), batch_size=8)
    losses = []
    for _ in range(8):
        for some, names in loader:
            loss = module(list(some), list(names)).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_the_encoder_is_an_ordinary_module(encoder):
    import torch
    import transformers

    import whet as library

    module = library.load_encoder(encoder)
    assert isinstance(module, torch.nn.Module)
    texts = house.sentences(10, seed=31)[0]
    batch = transformers.AutoTokenizer.from_pretrained(encoder)(texts, padding=True, return_tensors="pt")
    expected = transformers.BertModel.from_pretrained(encoder).eval()(**batch)
    mask = batch["attention_mask"].bool()
    for output in (module(texts), module(batch)):
        torch.testing.assert_close(
            output.last_hidden_state[mask], expected.last_hidden_state[mask], atol=1e-5, rtol=0
        )
        torch.testing.assert_close(output.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)
        assert not output.last_hidden_state[~mask].any()


def test_a_model_saved_from_python_opens_again(classifier, whet):
    import whet as library

    library.load(classifier).save("saved")
    texts = house.sentences(10, seed=31)[0]
    first = [p.probability for p in library.load(classifier).predict(texts)]
    np.testing.assert_allclose(
        [p.probability for p in library.load("saved").predict(texts)], first, atol=1e-7
    )
    assert json.loads(Path("saved/config.json").read_text())["id2label"] == {
        str(i): c for i, c in enumerate(CLASSES)
    }
    np.testing.assert_allclose(
        _matrix(
            house.read_jsonl(whet("predict", "saved", "--text", texts[0], "--logits").ok().out), "logits"
        ),
        house.expected_logits(Path("saved"), texts[:1]),
        atol=1e-5,
    )


@pytest.mark.parametrize("text", ["caf\udce9", "half of a pair \ud800"], ids=ascii)
def test_a_text_that_is_no_unicode_is_one_message(text, whet, classifier):
    """What a shell hands over for bytes that are not UTF-8 (`--text $'caf\\xe9'`), and from Python."""
    import whet as library

    whet("predict", classifier, "--text", text).refused()
    with pytest.raises(library.WhetError):
        library.load(classifier).predict(["good", text])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_lines_whatever_the_terminals_encoding(encoding, classifier, monkeypatch):
    """As with PYTHONIOENCODING=ascii, or a locale that is not UTF-8: JSON, no traceback."""
    import sys

    from whet.cli.main import main

    house.write_jsonl(Path("rows.jsonl"), [{"text": "caf\u00e9 \u65e5\u672c"}])
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
        patch.setattr(sys, "argv", ["whet", "predict", str(classifier), "rows.jsonl"])
        with pytest.raises(SystemExit) as leaving:
            main()
        sys.stdout.flush()
        written = raw.getvalue()
    assert leaving.value.code in (0, None)
    assert json.loads(written)["text"] == "caf\u00e9 \u65e5\u672c"


def test_a_table_is_no_list_of_texts(classifier):
    """Iterating over a table gives its column names, which were once labelled."""
    import datasets
    import pandas as pd

    import whet

    model = whet.load(classifier)
    columns = {"text": ["good parcel", "late courier"], "label": ["praise", "delivery"]}
    for table in (columns, pd.DataFrame(columns), datasets.Dataset.from_dict(columns)):
        with pytest.raises(whet.WhetError, match="column"):
            model.predict(table)
    assert len(model.predict(pd.DataFrame(columns)["text"])) == 2


def test_a_column_that_is_named_leaves_the_other_as_it_was_trained_on(whet, train, tmp_path):
    """Of a model of pairs whose columns have no usual names, and a file that has one of these beside."""
    first, second, labels = house.pairs(24)
    data = house.write_csv(Path("pairs.csv"), {"claim": first, "evidence": second, "label": labels})
    train(data, "--text", "claim", "--pair", "evidence").ok()
    rows = {"claim": first, "proof": second, "text": ["something else"] * 24}
    house.write_csv(Path("rows.csv"), rows)
    renamed = house.read_jsonl(whet("predict", "run", "rows.csv", "--pair-column", "proof").ok().out)
    house.write_csv(Path("same.csv"), {"claim": first, "evidence": second})
    same = house.read_jsonl(whet("predict", "run", "same.csv").ok().out)
    assert [row["probabilities"] for row in renamed] == [row["probabilities"] for row in same]


def test_what_a_csv_file_and_json_cannot_hold(whet, classifier):
    rows = [{"text": "good parcel"}] * 3 + [{"text": "bad parcel", "note": "late"}]
    house.write_jsonl(Path("rows.jsonl"), rows)
    whet("predict", classifier, "rows.jsonl", "--to", "out.jsonl").ok()
    many = [{"text": "good parcel"}] * 4096 + [{"text": "bad parcel", "note": "late"}]
    house.write_jsonl(Path("many.jsonl"), many)
    whet("predict", classifier, "many.jsonl", "--to", "out.csv").refused("Row 4097 has note", "NAME.jsonl")
    assert not Path("out.csv").exists()
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["good parcel"], "price": [float("nan")]}), "nan.parquet")
    out = whet("predict", classifier, "nan.parquet").ok().out
    assert json.loads(out, parse_constant=lambda name: pytest.fail(name))["price"] is None


def test_columns_are_about_a_file(whet, classifier):
    whet("predict", classifier, "--text", "a", "--text-column", "body").refused("about a file", status=2)
