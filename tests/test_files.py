"""Durable writing: what is left by a process that died, and what is somebody else's."""

from pathlib import Path

import pytest

from whet import files
from whet.errors import RunError
from whet.runs import check_out, create_run_folder


class Death(BaseException):
    pass


@pytest.mark.parametrize("moment", ["rename", "moved", "flip"])
def test_what_a_dead_process_left_is_known(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, so that nothing tidies up."""
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "model").mkdir()

    def dying(name: str) -> None:
        if name.startswith(moment):
            raise Death

    monkeypatch.setattr(files, "moment", dying)
    monkeypatch.setattr(Path, "unlink", lambda *given, **named: None)
    monkeypatch.setattr(files.shutil, "rmtree", lambda *given, **named: None)
    monkeypatch.setattr(files.os, "replace", lambda *given: None)
    write = {
        "rename": lambda: files.write_json(tmp_path / "a.json", {}),
        "moved": lambda: files.folder_beside(tmp_path / "model").__enter__(),
        "flip": lambda: files.point(tmp_path / "last", "model"),
    }[moment]
    if moment == "moved":
        write()
    else:
        with pytest.raises(Death):
            write()
    (left,) = files.leftovers(tmp_path)
    assert left.name.startswith(".")


def test_hidden_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitlab-ci.yml").write_text("mine")
    assert files.leftovers(tmp_path) == []
    with pytest.raises(RunError, match="is not a whet run"):
        check_out(str(tmp_path), overwrite=True)
    with pytest.raises(RunError, match="is not a whet run"):
        create_run_folder(str(tmp_path), "stem", overwrite=True)
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "mine"
