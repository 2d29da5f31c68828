"""Stop a run at any moment, go on with it, and get the same bits; issue 3.

The process is really killed: see faults.py. The oracle is a run of the same command that nobody disturbed.
"""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house
from tests.acceptance.forks import Forks, prepared, spread


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("faults")
    yield from prepared(folder, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Forks]:
    """A disk of four megabytes, which only root can mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here (that takes root)")
    try:
        yield from prepared(disk, tmp_path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def undisturbed(forks: Forks) -> tuple[dict[str, str], list[str]]:
    """The result of a run left alone, and the moments that it passed."""
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*forks.train)
    assert status == 0, output
    return forks.result(), forks.moments


def go_on(forks: Forks) -> None:
    """What a user does after a death: --resume; or, where no run was begun, the command again."""
    begun = (forks.folder / "run" / "run.json").exists()
    status, output = forks.run(*forks.train, *(["--resume"] if begun else []))
    assert status == 0, output
    assert "Traceback" not in output


def kill_and_go_on(forks: Forks, expected: dict[str, str], at: int, name: str, how: str) -> None:
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*forks.train, at=at, how=how)
    assert status == -signal.SIGKILL, (at, name, output)
    go_on(forks)
    assert forks.result() == expected, f"killed at moment {at}: {name}"
    manifest = json.loads((forks.folder / "run" / "run.json").read_text())
    assert manifest["status"] == "finished"
    left = sorted(path.name for path in (forks.folder / "run").iterdir())
    assert left == ["metrics.jsonl", "model", "predictions.dev.jsonl", "run.json", "train.log"]


def test_a_killed_run_ends_with_the_same_bits(forks: Forks, undisturbed: Any) -> None:
    """Proof that it can fail: with the moments of the optimiser left out of the checkpoint, or with an epoch
    begun again from its first step, the weights differ."""
    expected, moments = undisturbed
    for at in spread(moments, 5):
        kill_and_go_on(forks, expected, at, moments[at - 1], "kill")


def test_a_killed_run_finds_its_class_weights_again(forks: Forks, undisturbed: Any) -> None:
    weighted = ("--set", "class_weights=balanced", "--set", "label_smoothing=0.1")
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*forks.train, *weighted)
    assert status == 0, output
    expected, at = forks.result(), forks.moments.index("flipped last") + 9
    assert expected != undisturbed[0]
    shutil.rmtree(forks.folder / "run")
    assert forks.run(*forks.train, *weighted, at=at)[0] == -signal.SIGKILL
    status, output = forks.run(*forks.train, "--resume", "--set", "label_smoothing=0")
    assert status == 1, output
    assert "label_smoothing: the run has 0.1, now 0" in output
    go_on(forks)
    assert forks.result() == expected


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "tear"])
def test_forty_deaths(forks: Forks, undisturbed: Any, how: str) -> None:
    expected, moments = undisturbed
    for at in spread(moments, 40):
        kill_and_go_on(forks, expected, at, moments[at - 1], how)


def test_killed_again_and_again(forks: Forks, undisturbed: Any) -> None:
    """Each sitting lives a little longer than the last; in the end the bits are the same."""
    expected, _ = undisturbed
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    forks.run(*forks.train, at=30)
    for _ in range(2):
        status, output = forks.run(*forks.train, "--resume", at=33)
        assert status == -signal.SIGKILL, output
    go_on(forks)
    assert forks.result() == expected


@pytest.mark.parametrize(("number", "expected_status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kind", ["step", "evaluate"])
def test_a_stopped_run_says_how_to_go_on_and_does(
    forks: Forks, undisturbed: Any, number: int, expected_status: int, kind: str
) -> None:
    expected, moments = undisturbed
    at = [place for place, name in enumerate(moments, 1) if name == kind][2]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    train = [option for option in forks.train if option != "--quiet"]
    status, output = forks.run(*train, at=at, how="signal", number=number)
    assert status == expected_status, output
    assert "all is saved" in output
    assert "--resume" in output
    assert json.loads((forks.folder / "run" / "run.json").read_text())["status"] == "stopped"
    go_on(forks)
    assert forks.result() == expected


def test_no_checkpoint_yet(forks: Forks, undisturbed: Any) -> None:
    expected, moments = undisturbed
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, _ = forks.run(*forks.train, at=moments.index("renamed run.json") + 1)
    assert status == -signal.SIGKILL
    train = [option for option in forks.train if option != "--quiet"]
    status, output = forks.run(*train, "--resume")
    assert status == 0, output
    assert "begins anew" in output
    assert forks.result() == expected


def test_a_finished_run_is_left_alone(forks: Forks, undisturbed: Any) -> None:
    expected, _ = undisturbed
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    assert forks.run(*forks.train)[0] == 0
    before = (forks.folder / "run" / "run.json").read_bytes()
    status, output = forks.run(*[option for option in forks.train if option != "--quiet"], "--resume")
    assert status == 0, output
    assert "finished already" in output
    assert forks.result() == expected
    assert (forks.folder / "run" / "run.json").read_bytes() == before


def test_what_differs_is_listed_and_nothing_is_lost(forks: Forks, undisturbed: Any) -> None:
    expected, moments = undisturbed
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    forks.run(*forks.train, at=moments.index("flipped last") + 9)
    status, output = forks.run(*forks.train, "--resume", "--lr", "1e-4", "--seed", "5", "--text", "label")
    assert status == 1, output
    for part in ("learning_rate", "0.0003", "0.0001", "seed", "'label'", "begun with"):
        assert part in output
    data = forks.folder / "reviews.csv"
    before = data.read_bytes()
    try:
        data.write_bytes(before.replace(b"refund", b"reFund", 1))
        status, output = forks.run(*forks.train, "--resume")
        assert status == 1, output
        assert "train" in output
        assert "is not what it was begun with" in output
    finally:
        data.write_bytes(before)
    go_on(forks)
    assert forks.result() == expected


def test_a_finished_run_and_an_option_that_differs(forks: Forks) -> None:
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    assert forks.run(*forks.train)[0] == 0
    status, output = forks.run(*forks.train, "--resume", "--epochs", "9")
    assert status == 1, output
    assert "epochs: the run has 2, now 9" in output
    status, output = forks.run(*forks.train, "--resume", "--overwrite")
    assert status == 2, output


def test_resume_without_a_run_names_the_next_step(forks: Forks) -> None:
    for arguments in (
        ("train", "--resume", "--out", "nowhere"),
        ("train", "--resume"),
        ("train", "x.csv", "--resume"),
    ):
        status, output = forks.run(*arguments)
        assert status == 1, output
        assert "--out" in output
        assert "Traceback" not in output


def regions(path: Path, n: int) -> list[int]:
    """n places in a file, the first and the last byte among them."""
    size = path.stat().st_size
    return sorted({round(i * (size - 1) / (n - 1)) for i in range(n)})


@pytest.mark.slow
def test_damage_anywhere_in_a_checkpoint_is_noticed_and_the_older_one_used(
    forks: Forks, undisturbed: Any
) -> None:
    """Proof that it can fail: with the comparison of checksums left out, the weights differ."""
    expected, moments = undisturbed
    late = [place for place, name in enumerate(moments, 1) if name == "flipped best"][2]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    forks.run(*forks.train, at=late)
    run, whole = forks.folder / "run", forks.folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(run, whole, symlinks=True)
    newest = (run / "checkpoints" / "last").resolve()
    files = sorted(path.relative_to(run) for path in newest.rglob("*") if path.is_file())
    assert len(files) >= 7
    train = [option for option in forks.train if option != "--quiet"]
    for file in files:
        for place in regions(whole / file, 5):
            shutil.rmtree(run)
            shutil.copytree(whole, run, symlinks=True)
            with (run / file).open("r+b") as damaged:
                damaged.seek(place)
                byte = damaged.read(1)
                damaged.seek(place)
                damaged.write(bytes([byte[0] ^ 0x15]))
            status, output = forks.run(*train, "--resume")
            assert status == 0, (file, place, output)
            harmless = forks.result() == expected and byte.isspace() and "is damaged" not in output
            assert harmless or output.count("is damaged") == 1, (file, place, output)
            assert "Going on after step" in output, (file, place, output)
            assert forks.result() == expected, (file, place)


def test_one_damaged_byte(forks: Forks, undisturbed: Any) -> None:
    expected, moments = undisturbed
    late = [place for place, name in enumerate(moments, 1) if name == "flipped best"][2]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    forks.run(*forks.train, at=late)
    file = forks.folder / "run" / "checkpoints" / "last" / "training.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    status, output = forks.run(*[option for option in forks.train if option != "--quiet"], "--resume")
    assert status == 0, output
    assert "training.safetensors does not match its checksum" in output
    assert "Going on after step" in output
    assert forks.result() == expected


def test_a_second_process_is_refused_and_told_who_is_there(forks: Forks) -> None:
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    first = house.spawn(*forks.train, "--epochs", "500", cwd=forks.folder)
    try:
        for _ in range(600):
            if (forks.folder / "run" / "run.json").exists():
                break
            time.sleep(0.1)
        for more in ([], ["--overwrite"], ["--resume"]):
            status, output = forks.run(*forks.train, *more)
            assert status == 1, output
            assert f"process {first.pid}" in output, (more, output)
    finally:
        first.kill()
        first.wait()
    status, output = forks.run(*forks.train, "--overwrite")
    assert status == 0, output


def fill_and_go_on(disk: Forks, n: int) -> None:
    """The disk fills up just before n of the saves, spread over the run."""
    status, output = disk.run(*disk.train)
    assert status == 0, output
    expected, moments = disk.result(), disk.moments
    writes = [
        place for place, name in enumerate(moments, 1) if name.startswith(("write ", "wrote ", "rename "))
    ]
    for at in [writes[round((i + 0.5) / n * (len(writes) - 1))] for i in range(n)]:
        shutil.rmtree(disk.folder / "run", ignore_errors=True)
        status, output = disk.run(*disk.train, at=at, how="full")
        (disk.folder / "filler").unlink()
        if status == 0:  # what was left to write found room
            assert disk.result() == expected
            continue
        assert status == 1, (at, moments[at - 1], output)
        assert "Traceback" not in output
        assert "No space left" in output, output
        go_on(disk)
        assert disk.result() == expected, (at, moments[at - 1])


def test_a_full_disk_is_said_and_loses_nothing(small_disk: Forks) -> None:
    """It found tokenizers' own `save`, which raises a bare Exception where the disk is full."""
    fill_and_go_on(small_disk, 3)


@pytest.mark.slow
def test_a_full_disk_at_thirty_saves(small_disk: Forks) -> None:
    fill_and_go_on(small_disk, 30)


def test_data_in_memory_is_passed_again(encoder: Path) -> None:
    import whet
    from whet.training.events import StepDone

    texts, labels = house.sentences(30)
    settings: dict[str, Any] = {"model": encoder, "quiet": True, "epochs": 2, "batch_size": 8, "threads": 1}

    def interrupt(event: Any) -> None:
        if isinstance(event, StepDone) and event.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whet.train((texts, labels), out="run", listeners=[interrupt], **settings)
    with pytest.raises(whet.WhetError, match="data in memory"):
        whet.train(out="run", resume=True, quiet=True)
    with pytest.raises(whet.WhetError, match="is not what it was"):
        whet.train((texts[::-1], labels[::-1]), out="run", resume=True, quiet=True)
    resumed = whet.train((texts, labels), out="run", resume=True, quiet=True)
    whole = whet.train((texts, labels), out="whole", **settings)
    weights = [run.folder / "model" / "model.safetensors" for run in (resumed, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("options", [(), ("--recipe", "lora")])
def test_a_run_that_is_stopped_while_it_is_scored_goes_on(whet, train, reviews, monkeypatch, options) -> None:
    """The kept epoch stands in the model by then, with LoRA merged: no step's weights can be saved any more.
    Found in a review: such a run with LoRA could never be gone on with."""
    from whet.training import finish

    train(reviews, *options, out="whole").ok()

    def stop(*given: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish, "score_and_save", stop)
        assert train(reviews, *options).status == 130
    whet("train", "--resume", "--out", "run").ok()
    weights = [Path(run, "model", "model.safetensors").read_bytes() for run in ("run", "whole")]
    assert weights[0] == weights[1]
    assert Path("run/metrics.jsonl").read_bytes() == Path("whole/metrics.jsonl").read_bytes()


def test_a_run_that_collapsed_begins_once_more_and_keeps_nothing_of_the_first_attempt(
    whet, train, reviews, monkeypatch
) -> None:
    """Half the rates, those of `groups` too; and where the second attempt meets a loss that is not finite, no
    checkpoint of the first one is left to go on from."""
    from whet.training import sitting
    from whet.training.doctor import Collapsed

    real, attempts = sitting.fit, []

    def failing(state: Any, *given: Any) -> None:
        attempts.append([group["peak"] for group in state.optimizer.param_groups])
        if len(attempts) == 1:
            real(state, *given)
            raise Collapsed("all texts get one label")
        raise sitting.NonFiniteLoss(1, [0])

    rates = ("--lr", "1e-3", "--set", "head_first=0", "--set", "groups=encoder.layers.0.*:rate=2e-3")
    with monkeypatch.context() as patch:
        patch.setattr(sitting, "fit", failing)
        train(reviews, *rates).refused("Step 1: the loss is not finite", "now 0.0005")
    first, second = attempts
    assert second == pytest.approx([rate / 2 for rate in first])
    assert {2e-3, 1e-3} <= {round(rate, 6) for rate in first}
    assert Path("run/metrics.collapsed.jsonl").exists()
    assert not list(Path("run/checkpoints").glob("step-*"))
    outcome = whet("train", "--resume", "--out", "run").ok()
    assert "no checkpoint yet, so the run begins anew" in outcome.err
    manifest = json.loads(Path("run/run.json").read_text())
    assert manifest["restart"]["learning_rate"] == 5e-4
    assert manifest["restart"]["groups"] == "encoder.layers.0.*:rate=0.001"


def test_what_a_user_may_repeat_when_going_on(whet, reviews, encoder, monkeypatch) -> None:
    """The same as the command had, wherever one by itself makes no configuration; paths too."""
    import whet as library
    from whet.training import finish

    given: dict[str, Any] = {"model": Path(encoder), "threshold": "precision", "min_precision": 0.9}

    def stop(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish, "score_and_save", stop)
        with pytest.raises(KeyboardInterrupt):
            library.train(reviews, out="run", epochs=1, quiet=True, **given)
    del given["threshold"]
    with pytest.raises(library.WhetError, match=r"min_precision: the run has 0\.9, now 0\.8"):
        library.train(out="run", resume=True, quiet=True, **(given | {"min_precision": 0.8}))
    with pytest.raises(library.WhetError, match="min_precision=7"):
        library.train(out="run", resume=True, quiet=True, min_precision=7)
    manifest = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps(manifest | {"precision": "float16"}))
    said = whet("train", "--resume", "--out", "run", "--set", "min_precision=0.9").ok().err
    assert "It is computed otherwise now (precision float16 -> " in said


def test_a_run_of_another_whet_is_one_message(whet, train, reviews) -> None:
    train(reviews).ok()
    manifest = json.loads(Path("run/run.json").read_text())
    manifest["status"] = "stopped"
    manifest["config"]["warp"] = 9
    Path("run/run.json").write_text(json.dumps(manifest))
    whet("train", "--resume", "--out", "run").refused("begun by another whet", "warp")


def test_a_listener_that_fails_is_no_full_disk(reviews, encoder) -> None:
    import whet as library
    from whet.training.events import StepDone

    def phone_home(event: Any) -> None:
        if isinstance(event, StepDone):
            raise ConnectionError("no route")

    with pytest.raises(library.WhetError, match=r"A listener of run failed: ConnectionError\('no route'\)"):
        library.train(reviews, model=encoder, out="run", epochs=1, quiet=True, listeners=[phone_home])
