"""The house of design.md keeps its floors: the source is read with `ast`, and nothing of it is run.

The rules, each a few lines of `violations`:
- every file of whet/ stands in HOUSE; a module imports from lower floors, or from rows above its own on the
  same floor. Files of one row may import each other. (A simplification: an import inside a function or under
  TYPE_CHECKING counts like any other, and a package's __init__.py, which Python runs first, does not count
  as imported by those who import a file beside it.)
- no cycles, whichever way the imports are written;
- which third-party packages a floor may import;
- nothing that can unpickle: a model file must not be able to run code;
- at most 20 public names, all listed in whet/__init__.py's `__all__`.
Each rule is tested on a small planted house, so a rule that stopped working is seen.
"""

import ast
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

WHET = Path(__file__).resolve().parents[1] / "whet"

HOUSE: tuple[tuple[str, int], ...] = (
    # row, as a path below whet/ (* within a folder, ** across folders); floor
    ("version.py", 0),
    ("errors.py", 0),
    ("group_rules.py", 0),
    ("config_kinds.py", 0),
    ("config.py", 0),
    ("config_text.py", 0),
    ("examples.py", 0),
    ("files.py", 0),
    ("recipes.py", 0),
    ("search_space.py", 0),
    ("search_record.py", 0),
    ("pretraining.py", 0),
    ("entities.py", 1),
    ("data/*.py", 1),
    ("metrics.py", 1),
    ("intervals.py", 1),
    ("calibration.py", 1),
    ("selective.py", 1),
    ("paired.py", 1),
    ("over_seeds.py", 1),
    ("entity_scores.py", 1),
    ("squad_scores.py", 1),
    ("masked_scores.py", 1),
    ("answers.py", 1),
    ("comparison.py", 1),
    ("multilabel_metrics.py", 1),
    ("multilabel_intervals.py", 1),
    ("thresholds.py", 1),
    ("regression_metrics.py", 1),
    ("regression_intervals.py", 1),
    ("prediction_intervals.py", 1),
    ("target_scale.py", 1),
    ("slices.py", 1),
    ("glue_scores.py", 1),
    ("label_errors.py", 1),
    ("selection.py", 1),
    ("search_pictures.py", 1),
    ("demo_data/__init__.py", 1),
    ("encoder/*.py", 2),
    ("checkpoints/**.py", 3),
    ("text/*.py", 3),
    ("tasks/*.py", 4),
    ("model.py", 5),
    ("card.py", 5),
    ("artifact.py", 5),
    ("known_models.py", 5),
    ("runs.py", 5),
    ("ledger.py", 5),
    ("glue_record.py", 5),
    ("features.py", 5),
    ("predictor.py", 5),
    ("evaluation.py", 5),
    ("export.py", 5),
    ("training/*.py", 6),
    ("user_model.py", 7),
    ("contenders.py", 7),
    ("api.py", 7),
    ("labelling.py", 7),
    ("submission.py", 7),
    ("glue_suite.py", 7),
    ("searching.py", 7),
    ("cli/*.py", 7),
    ("__main__.py", 7),
    ("__init__.py", 7),  # the lazy door
)
ONLY: dict[int, frozenset[str]] = {0: frozenset(), 2: frozenset({"torch", "numpy"})}
"""The third-party packages of a floor, where there is a closed list of them."""

NEVER: dict[int, frozenset[str]] = {
    1: frozenset({"torch", "transformers", "tokenizers", "accelerate", "sentence_transformers"}),
}
"""The third-party packages a floor must not import, where the list of the others is open."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "transformers": ("checkpoints/foreign.py", "text/tokeniser_files.py"),
    "typer": ("cli/*.py", "training/listeners.py"),
    "click": ("cli/*.py", "training/listeners.py"),
    "rich": ("cli/*.py", "training/listeners.py"),
    "optuna": (
        *("training/storages.py", "training/study.py", "training/slots.py"),
        *("training/search.py", "training/search_trials.py"),
    ),
    "sqlalchemy": ("training/storages.py",),
}
"""Where a package may be imported at all."""

ONLY_IN_FUNCTIONS = frozenset({"transformers", "optuna", "sqlalchemy"})
"""Packages whose import is slow: inside functions, or under TYPE_CHECKING, and nowhere else."""

UNPICKLERS = frozenset(
    {
        "torch.load",
        "torch.serialization.load",
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "_pickle.load",
        "_pickle.loads",
        "_pickle.Unpickler",
        "cloudpickle.load",
        "cloudpickle.loads",
        "dill.load",
        "dill.loads",
        "joblib.load",
        "marshal.load",
        "marshal.loads",
        "pandas.read_pickle",
        "shelve.open",
    }
)
MOST_PUBLIC_NAMES = 20

HEAVY = frozenset(
    {
        *("accelerate", "datasets", "huggingface_hub", "numpy", "pandas", "pyarrow", "scipy"),
        *("optuna", "sentence_transformers", "sklearn", "sqlalchemy", "tokenizers", "torch", "transformers"),
    }
)
"""What `import whet` and `whet --help` must not load: each costs a good part of a second, or seconds."""


@dataclass(frozen=True)
class Import:
    """One imported module, as written in one place of one file."""

    module: str  # absolute dotted name; for `from a import b` this is a.b where that is a file, else a
    line: int
    deferred: bool  # inside a function, or under TYPE_CHECKING


def violations(root: Path) -> list[str]:
    """Every broken rule below root, the folder of the package whet, as `file:line: what is wrong`."""
    found: list[str] = []
    modules = {
        _module_name(file, root): file.relative_to(root).as_posix() for file in sorted(root.rglob("*.py"))
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        tree = ast.parse((root / path).read_text(encoding="utf-8"), filename=path)
        row = _row(path)
        if row is None:
            found.append(f"{path}: stands in no row of HOUSE (tests/test_architecture.py); give it a floor")
            continue
        graph[module] = set()
        for line in _unreadable_imports(tree):
            if path != "__init__.py":
                found.append(f"{path}:{line}: imports a module by a computed name, which no test can follow")
        for one in _imports(tree, module, path, modules):
            top = one.module.split(".")[0]
            if top == "whet":
                target = modules.get(one.module)
                if target is None:
                    found.append(f"{path}:{one.line}: imports {one.module}, which does not exist")
                elif one.module != module:
                    graph[module].add(one.module)
                    found += _floor_problem(path, row, target, one)
            elif top not in sys.stdlib_module_names:
                found += _third_party_problems(path, HOUSE[row][1], top, one)
        found += [f"{path}:{line}: {name} can run code from a file" for name, line in _unpicklers(tree)]
    found += [f"{modules[cycle[0]]}: imports itself: {' -> '.join(cycle)}" for cycle in _cycles(graph)]
    return list(dict.fromkeys(found))


def public_names(source: str) -> list[str]:
    """The names of a module's literal `__all__`; a module of a docstring alone has none."""
    tree = ast.parse(source)
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign), "__all__ is one literal list, never added to"
            assert node.value is not None
            names = ast.literal_eval(node.value)
            assert all(isinstance(name, str) for name in names)
            return list(names)
    assert len(tree.body) <= 1, "whet/__init__.py has no literal __all__"
    return []


def _module_name(file: Path, root: Path) -> str:
    parts = ["whet", *file.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _matches(path: str, pattern: str) -> bool:
    """`*` stays within a folder, `**` does not (pathlib's full_match arrives only with Python 3.13)."""
    expression = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(expression, path) is not None


def _row(path: str) -> int | None:
    return next((i for i, (pattern, _) in enumerate(HOUSE) if _matches(path, pattern)), None)


def _floor_problem(path: str, row: int, target: str, one: Import) -> list[str]:
    target_row = _row(target)
    if target_row is None:
        return []  # reported once, at the file itself
    floor, target_floor = HOUSE[row][1], HOUSE[target_row][1]
    if target_floor > floor:
        return [f"{path}:{one.line}: floor {floor} imports {target} from floor {target_floor}, above it"]
    if target_floor == floor and target_row > row:
        return [f"{path}:{one.line}: imports {target}, which stands below it on the same floor {floor}"]
    return []


def _third_party_problems(path: str, floor: int, package: str, one: Import) -> list[str]:
    place = f"{path}:{one.line}"
    problems = []
    if (floor in ONLY and package not in ONLY[floor]) or package in NEVER.get(floor, ()):
        problems.append(f"{place}: floor {floor} must not import {package}")
    if package in ONLY_IN and not any(_matches(path, pattern) for pattern in ONLY_IN[package]):
        problems.append(f"{place}: {package} may be imported only in {', '.join(ONLY_IN[package])}")
    if package in ONLY_IN_FUNCTIONS and not one.deferred:
        problems.append(f"{place}: {package} may be imported only inside functions, for its import is slow")
    return problems


def _imports(tree: ast.Module, module: str, path: str, modules: dict[str, str]) -> Iterator[Import]:
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    for node, deferred in _walk(tree, deferred=False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, deferred)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(whole if whole in modules else base, node.lineno, deferred)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            if _literal_name(node) is not None:
                yield Import(str(_literal_name(node)), node.lineno, deferred)
            elif _is_one_of_its_own(node):  # it may be any of them
                for other in modules:
                    if other.startswith(f"{package}."):
                        yield Import(other, node.lineno, deferred)


def _walk(node: ast.AST, *, deferred: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it runs only when a function is called (or, TYPE_CHECKING, never)."""
    for child in ast.iter_child_nodes(node):
        yield child, deferred
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield statement, True
                yield from _walk(statement, deferred=True)
            for statement in child.orelse:
                yield statement, deferred
                yield from _walk(statement, deferred=deferred)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, deferred=deferred or inside)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_dynamic_import(call: ast.Call) -> bool:
    return ast.unparse(call.func) in ("__import__", "import_module", "importlib.import_module")


def _literal_name(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _is_one_of_its_own(call: ast.Call) -> bool:
    """A name computed as f"{__name__}.{...}", which can only be a module of the package that imports it."""
    first = call.args[0] if call.args else None
    if not isinstance(first, ast.JoinedStr) or len(first.values) < 2:
        return False
    package, dot = first.values[:2]
    return (
        isinstance(package, ast.FormattedValue)
        and isinstance(package.value, ast.Name)
        and package.value.id == "__name__"
        and isinstance(dot, ast.Constant)
        and dot.value == "."
    )


def _unreadable_imports(tree: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and _is_dynamic_import(node)
        and _literal_name(node) is None
        and not _is_one_of_its_own(node)
    ]


def _unpicklers(tree: ast.Module) -> list[tuple[str, int]]:
    """Mentions of what can unpickle, under whatever name it was imported, and of numpy's allow_pickle."""
    full_name: dict[str, str] = {}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                full_name[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                full_name[alias.asname or alias.name] = name
                if name in UNPICKLERS:
                    found.append((name, node.lineno))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            name = f"{full_name.get(first, first)}.{rest}"
            if name in UNPICKLERS:
                found.append((name, node.lineno))
        elif (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and ast.unparse(node.value) != "False"
        ):
            found.append(("allow_pickle", node.value.lineno))
    return found


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """One cycle for each module that depth-first search finds itself below."""
    cycles: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            cycles.append([*trail[trail.index(module) :], module])
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return cycles


# ------------------------------------------------------------------ the house as it stands


def test_whet_keeps_its_house() -> None:
    problems = violations(WHET)
    assert not problems, "\n" + "\n".join(problems)


def test_public_names_are_few() -> None:
    names = public_names((WHET / "__init__.py").read_text(encoding="utf-8"))
    assert len(names) <= MOST_PUBLIC_NAMES, (
        f"{len(names)} public names, more than {MOST_PUBLIC_NAMES}: {names}"
    )
    assert len(set(names)) == len(names)


def _loaded(*command: str) -> tuple[set[str], float]:
    """The top-level packages that a fresh Python loads for a command, and the seconds it took."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=WHET.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    seconds = time.perf_counter() - started
    assert done.returncode == 0, f"{command} ended with status {done.returncode}:\n{done.stderr[-2000:]}"
    modules = re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, flags=re.MULTILINE)
    assert "sys" in modules or "site" in modules, "nothing was read from -X importtime"
    return {module.split(".")[0] for module in modules}, seconds


@pytest.mark.parametrize(
    "command", [("-c", "import whet"), ("-m", "whet", "--help")], ids=["import whet", "whet --help"]
)
def test_start_is_light(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    if "-m" in command and not (WHET / "__main__.py").exists():
        pytest.skip("whet/__main__.py does not exist yet")
    loaded, seconds = _loaded(*command)
    with capsys.disabled():
        # For the reader only: how fast this machine is today must not decide whether a test passes.
        print(f"\n{json.dumps(' '.join(command))} took {seconds:.2f} s, interpreter and import log included")
    assert "whet" in loaded
    assert not loaded & HEAVY, f"{' '.join(command)} loads {', '.join(sorted(loaded & HEAVY))}"


def test_start_is_light_can_fail() -> None:
    loaded, _ = _loaded("-c", "import whet, numpy")
    assert loaded & HEAVY == {"numpy"}


# ------------------------------------------------------------------ the rules, on planted houses


def _planted(root: Path, files: dict[str, str]) -> list[str]:
    for path, source in {"__init__.py": "", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source, encoding="utf-8")
    return violations(root)


SOUND = {
    "errors.py": "import difflib\n",
    "config.py": "from whet.errors import ConfigError\n",
    "data/__init__.py": "",
    "data/readers.py": "import pyarrow.csv\nfrom .. import errors\n",
    "data/validation.py": "from whet.data.readers import read\n",
    "encoder/network.py": "import torch.nn as nn\nfrom torch import Tensor\n",
    "text/tokeniser_files.py": "import tokenizers\n\ndef slow():\n    import transformers\n",
    "checkpoints/families/bert.py": "from whet.encoder.network import EncoderSpec\n",
    "tasks/__init__.py": "from whet.tasks.base import Task\n",
    "tasks/base.py": "import torch\n",
    "model.py": "from whet.encoder import network\nfrom whet.tasks import TASKS\n",
    "artifact.py": "from whet.model import Model\n",
    "export.py": "",
    "training/listeners.py": "import rich.progress\n",
    "api.py": "from whet.artifact import load\n",
    "cli/main.py": "import typer\nfrom whet import api\n",
    "__main__.py": "from whet.cli.main import main\n",
    "__init__.py": "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module(name)\n",
}


def test_a_sound_house_passes(tmp_path: Path) -> None:
    assert _planted(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"extra.py": ""}, "extra.py: stands in no row"),
        ({"data/deep/odd.py": ""}, "data/deep/odd.py: stands in no row"),
        ({"errors.py": "import whet.model\n"}, "errors.py:1: floor 0 imports model.py from floor 5"),
        ({"errors.py": "from whet import model\n"}, "errors.py:1: floor 0 imports model.py from floor 5"),
        ({"errors.py": "from . import model\n"}, "errors.py:1: floor 0 imports model.py from floor 5"),
        ({"data/readers.py": "from ..model import Model\n"}, "data/readers.py:1: floor 1 imports model.py"),
        (
            {"errors.py": "def f():\n    from whet.model import Model\n"},
            "errors.py:2: floor 0 imports model.py",
        ),
        (
            {"errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import whet.model\n"},
            "errors.py:3: floor 0 imports model.py",
        ),
        (
            {"errors.py": "import importlib\nimportlib.import_module('whet.model')\n"},
            "errors.py:2: floor 0 imports model.py",
        ),
        (
            {"model.py": "import importlib\nimportlib.import_module(f'a{1}')\n"},
            "model.py:2: imports a module by",
        ),
        (
            {
                "checkpoints/families/__init__.py": "import importlib\n"
                "def f(name):\n    importlib.import_module(f'{__name__}.{name}')\n",
                "checkpoints/families/bert.py": "import whet.checkpoints.families\n",
            },
            "checkpoints/families/__init__.py: imports itself",
        ),
        ({"artifact.py": "from whet import __version__\n"}, "artifact.py:1: floor 5 imports __init__.py"),
        ({"model.py": "import whet.export\n"}, "model.py:1: imports export.py, which stands below it"),
        ({"model.py": "import whet.nowhere\n"}, "model.py:1: imports whet.nowhere, which does not exist"),
        (
            {"data/readers.py": "import whet.data.validation\n"},
            "data/readers.py: imports itself: whet.data.readers -> whet.data.validation -> whet.data.readers",
        ),
        ({"errors.py": "import numpy\n"}, "errors.py:1: floor 0 must not import numpy"),
        ({"data/readers.py": "import torch\n"}, "data/readers.py:1: floor 1 must not import torch"),
        ({"data/readers.py": "def f():\n    import tokenizers\n"}, "floor 1 must not import tokenizers"),
        (
            {"encoder/network.py": "import pyarrow as pa\n"},
            "encoder/network.py:1: floor 2 must not import pyarrow",
        ),
        (
            {"text/tokeniser_files.py": "import transformers\n"},
            "text/tokeniser_files.py:1: transformers may be imported only inside",
        ),
        (
            {"model.py": "def f():\n    import transformers\n"},
            "model.py:2: transformers may be imported only in",
        ),
        ({"api.py": "import rich\n"}, "api.py:1: rich may be imported only in"),
        (
            {"training/loop.py": "from typer import echo\n"},
            "training/loop.py:1: typer may be imported only in",
        ),
        ({"artifact.py": "import torch\nx = torch.load('a')\n"}, "artifact.py:2: torch.load can run code"),
        ({"artifact.py": "import torch as t\nx = t.load\n"}, "artifact.py:2: torch.load can run code"),
        ({"artifact.py": "from torch import load as x\n"}, "artifact.py:1: torch.load can run code"),
        ({"artifact.py": "from pickle import loads\n"}, "artifact.py:1: pickle.loads can run code"),
        ({"artifact.py": "import pandas as pd\npd.read_pickle('a')\n"}, "pandas.read_pickle can run code"),
        (
            {"model.py": "import numpy\nnumpy.load('a', allow_pickle=True)\n"},
            "model.py:2: allow_pickle can run",
        ),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    problems = _planted(tmp_path, {**SOUND, **files})
    assert len(problems) == 1, problems
    assert expected in problems[0]


def test_faults_are_reported_together(tmp_path: Path) -> None:
    files = {"errors.py": "import numpy\nimport whet.model\n", "odd.py": ""}
    assert len(_planted(tmp_path, {**SOUND, **files})) == 3


def test_patterns_are_folders() -> None:
    assert _matches("checkpoints/families/bert.py", "checkpoints/**.py")
    assert _matches("data/readers.py", "data/*.py")
    assert not _matches("data/deep/readers.py", "data/*.py")
    assert not _matches("dataXpy", "data.py")


def test_public_names_need_a_literal_list() -> None:
    assert public_names('"""Only words."""') == []
    assert public_names('__all__ = ["a", "b"]') == ["a", "b"]
    assert public_names('__all__: list[str] = ["a"]') == ["a"]
    with pytest.raises(AssertionError, match="no literal __all__"):
        public_names("import a\nimport b\n")


def test_benchmarks_import_what_there_is() -> None:
    """mypy does not read bench/, and nobody runs all of it after each change."""
    bench = WHET.parent / "bench"
    defined = {
        path.stem: _top_names(ast.parse(path.read_text(encoding="utf-8"))) for path in bench.glob("*.py")
    }
    missing = [
        f"{path.name}: bench.{module} has no {alias.name}"
        for path in bench.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench.")
        for module in [(node.module or "").removeprefix("bench.")]
        for alias in node.names
        if alias.name not in defined.get(module, set())
    ]
    assert missing == []


def _top_names(tree: ast.Module) -> set[str]:
    found = set[str]()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            }
    return found
