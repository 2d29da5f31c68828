"""`whet glue`: all nine tasks from files of GLUE's format, scored, submitted, stopped and gone on with.

The oracles are scikit-learn's and scipy's figures over what transformers computes for the saved models.
"""

import json
import shutil
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

import whet as library
from tests.acceptance import house
from tests.acceptance.glue_files import NLI, glue_folder, label_diagnostic
from whet.errors import WhetError

FAST: dict[str, Any] = {"epochs": 1, "min_steps": 0, "threads": 1, "precision": "float32", "quiet": True}
COLUMNS = {  # text, pair, label
    "CoLA": (3, None, 1), "SST-2": (0, None, 1), "MRPC": (3, 4, 0), "STS-B": (7, 8, 9), "QQP": (3, 4, 5),
    "MNLI": (8, 9, -1), "QNLI": (1, 2, 3), "RTE": (1, 2, 3), "WNLI": (1, 2, 3),
}  # fmt: skip
FILES = {"AX", *(set(COLUMNS) - {"MNLI"}), "MNLI-m", "MNLI-mm"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = glue_folder(tmp_path_factory.mktemp("glue") / "data")
    label_diagnostic(folder)
    return folder


@pytest.fixture(scope="module")
def done(data: Path, encoder: Path) -> Path:
    """All nine, RTE, MRPC and STS-B from the model of MNLI. Read only."""
    out = data.parent / "out"
    results = library.glue(data, model=encoder, out=out, transfer="mnli", **FAST)
    assert not results.failed
    return out


def rows_of(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")]


def record_of(out: Path | str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(out) / "glue.json").read_text())
    return found


def figures_of(one: dict[str, Any]) -> dict[str, float]:
    return {f"{figure['figure']} {figure['part']}".strip(): figure["mean"] for figure in one["figures"]}


def logits_of(out: Path, task: str, rows: list[list[str]], columns: tuple[int, int | None]) -> Any:
    first, second = columns
    pairs = None if second is None else [row[second] for row in rows]
    return house.expected_logits(out / task / "model", [row[first] for row in rows], pairs)


def names_of(out: Path, task: str) -> list[str]:
    config = json.loads((out / task / "model" / "config.json").read_text())
    return [config["id2label"][str(i)] for i in range(len(config["id2label"]))]


def labels_of(out: Path, task: str, rows: list[list[str]], columns: tuple[int, int | None]) -> list[str]:
    names = names_of(out, task)
    return [names[i] for i in logits_of(out, task, rows, columns).argmax(-1)]


def expected(out: Path, task: str, dev: Path) -> dict[str, float]:
    """The official figures, by scikit-learn and scipy."""
    first, second, label = COLUMNS[task]
    rows = rows_of(dev)[0 if task == "CoLA" else 1 :]
    true = [row[label] for row in rows]
    if task == "STS-B":
        logits = logits_of(out, task, rows, (first, second))[:, 0]
        scores = list(map(float, true))
        return {
            "pearson": stats.pearsonr(logits, scores)[0],
            "spearman": stats.spearmanr(logits, scores)[0],
        }
    answers = labels_of(out, task, rows, (first, second))
    if task == "CoLA":
        return {"mcc": metrics.matthews_corrcoef(true, answers)}
    accuracy = {"accuracy": metrics.accuracy_score(true, answers)}
    if task in ("MRPC", "QQP"):
        return {"f1": metrics.f1_score(true, answers, pos_label="1"), **accuracy}
    return accuracy


@pytest.mark.parametrize("task", [task for task in COLUMNS if task != "MNLI"])
def test_the_official_figures(task, done, data):
    found = figures_of(record_of(done)["tasks"][task])
    assert found == pytest.approx(expected(done, task, data / task / "dev.tsv"), abs=1e-5)


def test_mnli_is_scored_matched_and_mismatched(done, data):
    found = figures_of(record_of(done)["tasks"]["MNLI"])
    assert found == {
        f"accuracy {part}": pytest.approx(expected(done, "MNLI", data / f"MNLI/dev_{part}.tsv")["accuracy"])
        for part in ("matched", "mismatched")
    }


def test_a_score_is_the_mean_of_figures_and_the_average_that_of_scores(done):
    record = record_of(done)
    scores = {task: np.mean(list(figures_of(one).values())) for task, one in record["tasks"].items()}
    assert {task: one["score"] for task, one in record["tasks"].items()} == pytest.approx(scores)
    assert record["averages"]["all"]["value"] == pytest.approx(np.mean(list(scores.values())))
    eight = [value for task, value in scores.items() if task != "WNLI"]
    assert record["averages"]["without_wnli"]["value"] == pytest.approx(np.mean(eight))
    assert len(record["averages"]["without_wnli"]["tasks"]) == 8


@pytest.mark.parametrize("name", sorted(FILES))
def test_submission_files(name, done, data):
    """Header, index and GLUE's label names; the predictions are those of the saved model by transformers."""
    task = {"MNLI-m": "MNLI", "MNLI-mm": "MNLI", "AX": "MNLI"}.get(name, name)
    test = {
        "MNLI-m": "MNLI/test_matched.tsv",
        "MNLI-mm": "MNLI/test_mismatched.tsv",
        "AX": "diagnostic/diagnostic.tsv",
    }.get(name, f"{task}/test.tsv")
    header, *rows = rows_of(data / test)
    first = [header.index(column) for column in header if column in
             ("sentence", "#1 String", "sentence1", "question1", "question")]  # fmt: skip
    second = [header.index(column) for column in header if column in
              ("#2 String", "sentence2", "question2", "sentence")]  # fmt: skip
    columns = (first[0], second[0] if second and second[0] != first[0] else None)
    if name == "QNLI":
        columns = (header.index("question"), header.index("sentence"))
    head, *found = rows_of(done / "submission" / f"{name}.tsv")
    assert head == ["index", "prediction"]
    assert [row[0] for row in found] == [str(i) for i in range(len(rows))]
    if name == "STS-B":
        saved = json.loads((done / "STS-B/model/whet.json").read_text())["task"]
        raw = logits_of(done, task, rows, columns)[:, 0] * saved["deviation"] + saved["mean"]
        assert [float(row[1]) for row in found] == pytest.approx(np.clip(raw, 0, 5), abs=1e-3)
        assert all(0 <= float(row[1]) <= 5 for row in found)
    else:
        assert [row[1] for row in found] == labels_of(done, task, rows, columns)


def test_the_zip_holds_all_eleven_without_folders(done):
    with zipfile.ZipFile(done / "submission.zip") as archive:
        assert set(archive.namelist()) == {f"{name}.tsv" for name in FILES}
        for name in archive.namelist():
            assert archive.read(name) == (done / "submission" / name).read_bytes()
    assert record_of(done)["submission"]["missing"] == []


def test_the_diagnostic_set_has_the_correlation_of_three_classes(done, data):
    rows = rows_of(data / "diagnostic/diagnostic-full.tsv")[1:]
    answers = labels_of(done, "MNLI", rows, (5, 6))
    found = record_of(done)["tasks"]["MNLI"]["diagnostic"]
    assert found["r3"] == pytest.approx(metrics.matthews_corrcoef([row[7] for row in rows], answers))
    assert found["rows"] == len(rows)


def test_sts_b_is_clipped(data, encoder):
    """At a rate that wrecks the model, its values leave 0 to 5."""
    library.glue(
        data, tasks="stsb", model=encoder, out="out", head_learning_rate=1.0, clip_norm=0.0,
        batch_size=2, **FAST,
    )  # fmt: skip
    table = rows_of(data / "STS-B/test.tsv")[1:]
    model = library.load("out/STS-B")
    values = np.array([one.value for one in model.predict([(row[7], row[8]) for row in table])])
    assert values.min() < 0 or values.max() > 5
    found = [float(row[1]) for row in rows_of(Path("out/submission/STS-B.tsv"))[1:]]
    assert found == pytest.approx(np.clip(values, 0, 5), abs=1e-3)


def test_transfer_starts_three_from_the_model_of_mnli(data, encoder):
    """At rates of 0 nothing is learnt, so a run's encoder is the one that it began with."""
    from safetensors.numpy import load_file

    library.glue(data, tasks="mnli", model=encoder, out="out", head_first=0, **FAST)
    record = record_of("out")
    record["options"] |= {"transfer": "mnli", "learning_rate": 0.0, "head_learning_rate": 0.0}
    Path("out/glue.json").write_text(json.dumps(record))
    library.glue(data, tasks="rte,mrpc,stsb,cola", out="out", resume=True, quiet=True)
    source, base = load_file("out/MNLI/model/model.safetensors"), load_file(encoder / "model.safetensors")
    key = "bert.encoder.layer.1.output.dense.weight"
    assert not np.array_equal(source[key], base[key.removeprefix("bert.")])
    for task in ("RTE", "MRPC", "STS-B"):
        begun = load_file(f"out/{task}/model/model.safetensors")
        assert np.array_equal(begun[key], source[key])
        assert begun["classifier.weight"].shape != source["classifier.weight"].shape
        assert record_of("out")["tasks"][task]["started_from"] == "MNLI"
    cola = load_file("out/CoLA/model/model.safetensors")
    assert np.array_equal(cola[key], base[key.removeprefix("bert.")])


@pytest.mark.parametrize("order", [NLI, NLI[::-1], (NLI[1], NLI[2], NLI[0])])
def test_labels_of_mnli_are_matched_by_name(order, data, tmp_path):
    """A checkpoint that knows MNLI keeps its head; at rates of 0 its own answers are submitted."""
    checkpoint = house.make_checkpoint(tmp_path / "nli", list(order))
    library.glue(
        data, tasks="mnli", model=checkpoint, out="out", learning_rate=0.0, head_learning_rate=0.0, **FAST
    )
    rows = rows_of(data / "MNLI/test_matched.tsv")[1:]
    logits = house.expected_logits(checkpoint, [row[8] for row in rows], [row[9] for row in rows])
    found = [row[1] for row in rows_of(Path("out/submission/MNLI-m.tsv"))[1:]]
    assert found == [order[i] for i in logits.argmax(-1)]
    assert len(set(found)) > 1


def test_seeds_give_mean_and_spread(whet, data, encoder):
    options = ("--seeds", "3", "--seed", "4", "--out", "out", "--tasks", "mrpc,mnli")
    outcome = whet("glue", data, "--model", encoder, *house.FAST, *options).ok()
    for task in ("MRPC", "MNLI"):
        one = record_of("out")["tasks"][task]
        for figure in one["figures"]:
            if figure["part"] not in ("", "mismatched"):
                continue
            runs = [Path(f"out/{task}/seeds/{seed}") for seed in (4, 5, 6)]
            if figure["part"]:
                values = [_accuracy(run, data / "MNLI/dev_mismatched.tsv") for run in runs]
            else:
                found = [json.loads((run / "run.json").read_text()) for run in runs]
                values = [one["results"]["test"][figure["figure"]] for one in found]
            assert list(figure["values"].values()) == pytest.approx(values)
            assert figure["mean"] == pytest.approx(np.mean(values))
            assert figure["sd"] == pytest.approx(np.std(values, ddof=1))
            assert f"{100 * np.mean(values):.1f}" in outcome.out
            assert f"{100 * np.std(values, ddof=1):.1f}" in outcome.out


def _accuracy(run: Path, dev: Path) -> float:
    rows = rows_of(dev)[1:]
    answers = labels_of(run.parent, run.name, rows, (8, 9))
    return float(metrics.accuracy_score([row[-1] for row in rows], answers))


def test_what_is_printed_of_one_seed_and_of_absent_tasks(whet, data, encoder, tmp_path):
    few = tmp_path / "few"
    for task in ("CoLA", "WNLI", "QNLI"):
        shutil.copytree(data / task, few / task.lower())  # whatever the case
    (few / "qnli/train.tsv").unlink()
    outcome = whet("glue", few, "--model", encoder, *house.FAST).ok()
    record = record_of("runs/glue")
    low, high = record["tasks"]["CoLA"]["figures"][0]["interval"]
    assert f"{100 * low:.1f} to {100 * high:.1f}" in outcome.out
    mean = np.mean([record["tasks"][task]["score"] for task in ("CoLA", "WNLI")])
    assert f"Average of 2 of GLUE's 9 tasks (CoLA, WNLI): {100 * mean:.1f}." in outcome.out
    assert "compares with no published one" in outcome.out
    assert "QNLI (no train.tsv in qnli)" in outcome.out
    assert "MNLI (no folder MNLI)" in outcome.out
    labels = [row[3] for row in rows_of(data / "WNLI/dev.tsv")[1:]]
    share = 100 * max(labels.count("0"), labels.count("1")) / len(labels)
    assert f"always saying the commonest label gives {share:.1f}" in outcome.out
    assert "2 of 11 files" in outcome.out
    assert "missing: SST-2, MRPC, STS-B, QQP, MNLI-m, MNLI-mm, QNLI, RTE, AX" in outcome.out
    assert sum(line.split()[1:2] == ["absent"] for line in outcome.out.splitlines()) == 7


def test_a_task_that_fails_does_not_lose_the_others(whet, data, encoder, tmp_path):
    few = tmp_path / "few"
    for task in ("CoLA", "MRPC", "RTE"):
        shutil.copytree(data / task, few / task)
    broken = (few / "MRPC/train.tsv").read_text()
    (few / "MRPC/train.tsv").write_text(broken.replace("\n0\t", "\n1\t"))  # one label alone
    outcome = whet("glue", few, "--model", encoder, *house.FAST, "--out", "out")
    assert outcome.status == 1
    assert "MRPC failed" in outcome.out
    assert "Traceback" not in outcome.err
    record = record_of("out")
    assert {task: one["status"] for task, one in record["tasks"].items()} == {
        "CoLA": "finished", "MRPC": "failed", "RTE": "finished",
    }  # fmt: skip
    (few / "MRPC/train.tsv").write_text(broken)
    before = (Path("out/CoLA/run.json").stat().st_mtime_ns, Path("out/RTE/run.json").stat().st_mtime_ns)
    whet("glue", few, "--out", "out", "--resume").ok()
    assert record_of("out")["status"] == "finished"
    assert before == (
        Path("out/CoLA/run.json").stat().st_mtime_ns,
        Path("out/RTE/run.json").stat().st_mtime_ns,
    )


LONGER = FAST | {"epochs": 4, "batch_size": 2}


@pytest.fixture(scope="module")
def whole(data: Path, encoder: Path) -> Path:
    """Three tasks, not stopped. Read only."""
    library.glue(data, tasks="cola,sst2,rte", model=encoder, out=data.parent / "whole", **LONGER)
    return data.parent / "whole"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_what_was_stopped_in_the_second_task_goes_on(number, status, whet, data, encoder, whole):
    """It ends with the figures and the predictions of a run that was not stopped."""
    options = (
        "--tasks",
        "cola,sst2,rte",
        "--model",
        encoder,
        *house.FAST,
        "--epochs",
        "4",
        "--batch-size",
        "2",
    )
    process = house.spawn("glue", data, *options, "--out", "cut")
    deadline = time.monotonic() + 300
    while not Path("cut/SST-2/metrics.jsonl").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err.decode()
    if number == signal.SIGINT:
        assert f"Go on with all tasks: whet glue {data} --out cut --resume" in err.decode()
    statuses = {task: one["status"] for task, one in record_of("cut")["tasks"].items()}
    assert (statuses["CoLA"], statuses["RTE"]) == ("finished", "waiting")
    done = Path("cut/CoLA/run.json").stat().st_mtime_ns
    outcome = whet("glue", data, "--out", "cut", "--resume").ok()
    assert Path("cut/CoLA/run.json").stat().st_mtime_ns == done
    assert "CoLA (" not in outcome.err
    expected, found = record_of(whole)["tasks"], record_of("cut")["tasks"]
    assert {task: one["figures"] for task, one in found.items()} == {
        task: one["figures"] for task, one in expected.items()
    }
    assert Path("cut/submission.zip").read_bytes() == (whole / "submission.zip").read_bytes()


def test_resume_adds_tasks_and_refuses_other_options(whet, data, encoder):
    begun = whet("glue", data, "--model", encoder, *house.FAST, "--out", "out", "--tasks", "cola").ok()
    assert "Not asked for: SST-2" in begun.out
    whet("glue", data, "--out", "out", "--resume", "--tasks", "rte", "--model", encoder).ok()
    assert list(record_of("out")["tasks"]) == ["CoLA", "RTE"]
    again = whet("glue", data, "--out", "out", "--resume").ok()
    assert "finished already" in again.err
    assert "Average of 2 of GLUE's 9 tasks (CoLA, RTE)" in again.out
    whet("glue", data, "--out", "out", "--resume", "--epochs", "3", "--seeds", "2").refused(
        "epochs: it has 1, now 3", "seeds: it has 1, now 2", "--out"
    )
    whet("glue", data, "--out", "out").refused("out exists already", "--resume", "--overwrite")
    whet("glue", data, "--model", encoder, *house.FAST, "--out", "out", "--tasks", "wnli", "--overwrite").ok()
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "WNLI", "glue.json", "submission", "submission.zip",
    ]  # fmt: skip


def test_broken_rows_of_qqp_are_left_out_and_counted(whet, data, encoder, tmp_path):
    """As in the published train.tsv, where a line end within a question makes two lines of one row."""
    shutil.copytree(data / "QQP", tmp_path / "g/QQP")
    train = tmp_path / "g/QQP/train.tsv"
    lines = train.read_text().splitlines()
    first, second = lines[5].rsplit("\t", 1)
    lines[5:6] = [first, f"\t{second}\t0"]
    train.write_text("\n".join(lines) + "\n")
    _change(tmp_path / "g/QQP/test.tsv", lambda lines: [lines[0], *lines[:0:-1]])
    outcome = whet("glue", tmp_path / "g", "--model", encoder, *house.FAST, "--out", "out").ok()
    found = rows_of(Path("out/submission/QQP.tsv"))[1:]
    assert [row[0] for row in found] == [str(i) for i in reversed(range(9))]  # the file's own
    assert "2 lines left out that hold no whole row of QQP" in outcome.err
    assert "47 training rows" in outcome.err
    test = tmp_path / "g/QQP/test.tsv"
    test.write_text(test.read_text().replace("\n4\t", "\n4 ", 1))
    whet("glue", tmp_path / "g", "--model", encoder, "--out", "other").refused("test.tsv:6", "2 fields")


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (("DIR", "--tasks", "mlni"), 2, ("no glue task 'mlni'", "did you mean 'mnli'", "cola, sst-2")),
        (("DIR", "--tasks", ""), 2, ("no task is named", "cola")),
        (("DIR", "--transfer", "squad"), 2, ("--transfer squad", "mnli")),
        (("DIR", "--transfer", "mnli", "--tasks", "rte"), 1, ("mnli is not among --tasks", "--model")),
        (("DIR", "--transfer", "mnli", "--tasks", "mnli,cola"), 2, ("rte, mrpc, sts-b", "none is among")),
        (("DIR", "--set", "positive_label=1"), 1, ("positive_label", "leave it out")),
        (("DIR", "--set", "abstain_below=0.5"), 1, ("abstain_below", "every row")),
        (
            ("DIR", "--set", "threshold=precision", "--set", "min_precision=0.9"),
            1,
            ("threshold=precision", "every row"),
        ),
        (("DIR", "--set", "choose_by=mcc"), 1, ("choose_by=mcc", "sts-b", "pearson")),
        (("DIR", "--set", "epoch=1"), 1, ("no setting 'epoch'", "epochs")),
        (("DIR", "--seeds", "0"), 1, ("seeds=0",)),
        (("DIR", "--max-length", "2000"), 1, ("max_length=2000", "512")),
        (("DIR", "--device", "cuda:9"), 1, ("cuda:9",)),
        (("DIR/CoLA/train.tsv",), 1, ("it is no folder", "cola, sst-2")),
        (("DIR", "--model", "./none"), 1, ("./none",)),
        (("DIR", "--resume", "--out", "none"), 1, ("none", "glue.json")),
        (("DIR", "--resume"), 1, ("no runs/glue", "--out")),
        (("DIR", "--resume", "--overwrite"), 2, ("choose one",)),
        (("nowhere",), 1, ("nowhere", "no such folder", "cola, sst-2")),
        (("DIR/CoLA",), 1, ("no glue folder", "train.tsv", "folder above")),
        ((".",), 1, ("no glue folder", "cola, sst-2", "nothing")),
    ],
)
def test_what_cannot_be(arguments, status, parts, whet, data):
    given = [str(one).replace("DIR", str(data)) for one in arguments]
    whet("glue", *given).refused(*parts, status=status)
    assert not Path("runs").exists()


def test_broken_files_are_told_before_anything_is_trained_all_at_once(whet, data, encoder, tmp_path):
    shutil.copytree(data, tmp_path / "g")
    _change(tmp_path / "g/RTE/test.tsv", lambda lines: [*lines[:4], lines[4] + "\tmore", *lines[5:]])
    _change(
        tmp_path / "g/MNLI/dev_mismatched.tsv",
        lambda lines: [lines[0].replace("gold_label", "gold"), *lines[1:]],
    )
    _change(
        tmp_path / "g/QNLI/dev.tsv",
        lambda lines: [*lines[:3], lines[3].replace("entailment", "yes"), *lines[4:]],
    )
    message = whet("glue", tmp_path / "g", "--model", encoder, "--out", "out").refused(
        "RTE/test.tsv:5: 4 fields", "no column 'gold_label'", "QNLI/dev.tsv:4", "yes", "entailment"
    )
    assert len(message.splitlines()) == 3
    assert not Path("out").exists()
    (tmp_path / "g/RTE/train.tsv").unlink()
    whet("glue", tmp_path / "g", "--tasks", "rte,cola").refused("RTE: no train.tsv in RTE", "--tasks")


def _change(path: Path, change: Any) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)) + "\n")


def test_a_damaged_record_and_a_foreign_folder(whet, data, encoder):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    for option in ((), ("--overwrite",)):
        whet("glue", data, "--model", encoder, "--out", "mine", *option).refused(
            "not of whet glue", "left alone"
        )
    assert Path("mine/thesis.txt").exists()
    Path("mine/glue.json").write_text('{"format": 1, "options": {}, "tasks": {"CoLA": 7}}')
    whet("glue", data, "--out", "mine", "--resume").refused("mine/glue.json")


def test_transfer_without_a_finished_mnli_fails_those_three_alone(whet, data, encoder, tmp_path):
    for task in ("CoLA", "MNLI", "RTE"):
        shutil.copytree(data / task, tmp_path / "g" / task)
    _change(
        tmp_path / "g/MNLI/train.tsv",
        lambda lines: [lines[0], *("\t".join([*line.split("\t")[:-1], "neutral"]) for line in lines[1:])],
    )
    outcome = whet(
        "glue", tmp_path / "g", "--model", encoder, *house.FAST, "--out", "out", "--transfer", "mnli"
    )
    assert outcome.status == 1
    tasks = record_of("out")["tasks"]
    assert {name: one["status"] for name, one in tasks.items()} == {
        "CoLA": "finished", "MNLI": "failed", "RTE": "failed",
    }  # fmt: skip
    assert "MNLI, which is not finished" in tasks["RTE"]["message"]


def test_python_raises_and_returns(data, encoder):
    with pytest.raises(WhetError, match="no GLUE task 'x'"):
        library.glue(data, tasks=["x"])
    results = library.glue(str(data), tasks=["SST2", "wnli"], model=encoder, out="out", **FAST)
    assert list(results.record["tasks"]) == ["SST-2", "WNLI"]
    assert results.record == record_of(results.folder)


def test_the_published_folder(shared_data, whet):
    """What is there of GLUE: each file is read, and what is absent is told."""
    whet("glue", shared_data / "glue", "--tasks", "qnli,mnli").refused(
        "QNLI: no train.tsv in QNLI", "no folder MNLI"
    )
    from whet.data.glue_folder import check_files, find_diagnostic, find_tasks

    found = find_tasks(shared_data / "glue")
    there = [name for name, files in found.items() if not files.missing]
    assert there == ["CoLA", "SST-2", "MRPC", "STS-B", "RTE", "WNLI"]
    check_files([found[name] for name in there], find_diagnostic(shared_data / "glue"))
