"""The documentation says what the code does: its commands and Python run, its reference is the code's.

Blocks of README.md and docs/*.md run page by page, in order, in one folder of tiny files and in this process:
torch is imported once, and the network guard of conftest.py holds. A `bash` block is whet commands; a comment
`# status N` behind one says how it ends. A `text` block is what the block before it printed: its lines in
order, "..." for anything. Blocks to be read only are `console`, `json` or `diff`.
"""

import contextlib
import difflib
import fnmatch
import importlib.util
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
NOT_RUN = ("benchmarks.md", "experiments.md", "decisions.md", "reference.md")
PAGES = [REPOSITORY / "README.md", *sorted(page for page in DOCS.glob("*.md") if page.name not in NOT_RUN)]
READ_ONLY = ("console", "json", "diff")

POSITIVE = ("A joy from start to end.", "Warm, clever and well acted.", "I laughed all the way through.")
NEGATIVE = ("Dull and far too long.", "I left before the end.", "Nobody in it seems to care.")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int  # of its opening fence
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, text.count("\n", 0, one.start()) + 1, one[1], one[2]) for one in found]


def _name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


# ------------------------------------------------------------------ running pages


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/reviews`, one tiny run, for pages that start from it."""
    folder = tmp_path_factory.mktemp("docs")
    _write_data(folder)
    with _inside(folder):
        assert _whet("whet train reviews.csv --quiet --epochs 1 --set min_steps=0")[0] == 0
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small files that the pages speak of; for time's sake one epoch by default and one thread."""
    import torch

    from whet.config import TrainConfig

    defaults: Any = TrainConfig.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "min_steps", 0)
    monkeypatch.setitem(defaults, "epochs", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _write_data(tmp_path)
    with _inside(tmp_path):
        yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_run_and_print_what_the_page_says(page: Path, workplace: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    for block in blocks(page):
        match block.language:
            case "bash":
                printed = _run_commands(block)
            case "python":
                printed = _run_python(block, namespace)
            case "text":
                assert printed is not None, f"{block.place}: nothing has run before this output"
                _compare(block, printed)
            case language:
                assert language in READ_ONLY, f"{block.place}: '{language}' is none of the kinds of block"
    if page.name == "guide.md":
        _compare_tree(page, workplace / "runs" / "reviews")


def _run_commands(block: Block) -> str:
    printed = ""
    for line in block.text.replace("\\\n", " ").splitlines():
        command, _, status = line.partition("# status ")
        assert line.startswith("whet "), f"{block.place}: {line!r} is not a whet command; mark it `console`"
        found, output = _whet(command)
        assert found == int(status or 0), f"{block.place}: {command} ended with status {found}:\n{output}"
        printed += output
    return printed


def _run_python(block: Block, namespace: dict[str, Any]) -> str:
    code = compile("\n" * block.line + block.text, block.place.replace(":", " line "), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, namespace)
    return out.getvalue()


def _whet(command: str) -> tuple[int, str]:
    """Run one command line, with `< file` and `> file`: its status, and all that it printed."""
    from whet.cli.main import main

    words = shlex.split(command)
    redirected = {}
    for sign in "<>":
        if sign in words:
            place = words.index(sign)
            redirected[sign] = words[place + 1]
            del words[place : place + 2]
    printed = io.StringIO()
    on_terminate = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "argv", words)
        if "<" in redirected:
            patch.setattr(sys, "stdin", stack.enter_context(open(redirected["<"], encoding="utf-8")))
        stack.enter_context(contextlib.redirect_stderr(printed))
        to: Any = printed
        if ">" in redirected:
            to = stack.enter_context(open(redirected[">"], "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(to))
        stack.callback(signal.signal, signal.SIGTERM, on_terminate)
        with pytest.raises(SystemExit) as leaving:
            main()
    return int(leaving.value.code or 0), printed.getvalue()


def _compare(block: Block, printed: str) -> None:
    """Each line of the block occurs in what was printed, in the block's order but for stderr and stdout."""
    rest = [" ".join(line.split()) for line in printed.splitlines()]
    for line in filter(None, (" ".join(line.split()) for line in block.text.splitlines())):
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("..."))
        place = next((i for i, found in enumerate(rest) if re.fullmatch(pattern, found)), None)
        assert place is not None, f"{block.place}: this was not printed, or not here:\n{line}\n\n{printed}"
        del rest[: place + 1]


def _compare_tree(page: Path, run: Path) -> None:
    """The guide's picture of a run folder has the files of one, but for the tokeniser's older ones."""
    picture = next(block.text for block in blocks(page) if block.text.startswith("runs/reviews/\n"))
    drawn: set[str] = set()
    parent = ""
    for line in picture.splitlines()[1:]:
        depth, name = len(line) - len(line.lstrip()), line.split()[0]
        parent = parent if depth > 2 else ""
        drawn.add(parent + name.rstrip("/"))
        parent = name if name.endswith("/") else parent
    there = {path.relative_to(run).as_posix() for path in run.rglob("*")}
    older = {"model/vocab.txt", "model/tokenizer_config.json", "model/special_tokens_map.json"}
    assert drawn == there - older


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _write_data(folder: Path) -> None:
    def write(name: str, *lines: str) -> None:
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    reviews = [
        f'"{text} {extra}",{label}'
        for extra in ("Really.", "Honestly.", "That is all.", "Believe me.")
        for good, bad in zip(POSITIVE, NEGATIVE, strict=True)
        for text, label in ((good, "positive"), (bad, "negative"))
    ]
    write("reviews.csv", "text,label", *reviews)
    write("dev.csv", "text,label", *reviews[:6])
    write(
        "test.csv",
        "text,label,source",
        *(f"{row},{'web' if i % 2 else 'mail'}" for i, row in enumerate(reviews[:6])),
    )
    write("new.csv", "id,text", *(f'{i},"{text}"' for i, text in enumerate(POSITIVE + NEGATIVE)))
    write("tickets.csv", "number,message,team", *(f"{i},{row}" for i, row in enumerate(reviews)))
    write("lines.txt", *POSITIVE, *NEGATIVE)
    letters = [f"Letter {i}.\n{POSITIVE[i % 3]} {NEGATIVE[i // 3 % 3]}\n" for i in range(40)]
    write("letters.txt", *letters)
    meals = ("soup", "bread", "fish", "rice", "an apple", "cake")
    pairs = [
        f"A man eats {meal}.,{second}.,{label}"
        for meal in meals
        for second, label in (("Somebody eats", "yes"), ("Nobody eats", "no"))
    ]
    write("pairs.csv", "premise,hypothesis,label", *pairs)
    doubled = ['"A joy from start to end. Really.",negative', "Best <b>film</b> of the year.,Positive"]
    ratings = [f'"{text} {i}",{4.5 - i / 50 if text in POSITIVE else 1.5 + i / 50:.2f}'
               for i in range(4) for text in POSITIVE + NEGATIVE]  # fmt: skip
    write("ratings.csv", "text,score", *ratings)
    people = [("Emma", "Clark", "Bonn"), ("Ken", "Ito", "Oslo"), ("Ana", "Silva", "Rome")]
    lines = [
        f"{first} B-PER\n{last} I-PER\n{verb} O\nin O\n{town} B-LOC\n. O\n"
        for verb in ("lives", "works", "sleeps", "sings")
        for first, last, town in people
    ]
    write("entities.conll", *lines)
    questions = [
        {
            "question": f"Who {verb} in {town}?",
            "context": f"{first} {last} {verb} in {town}. {i} people know.",
            "answers": {"text": [f"{first} {last}"] * (i % 4 > 0), "answer_start": [0] * (i % 4 > 0)},
        }
        for i, verb in enumerate(("lives", "works", "sleeps", "sings") * 2)
        for first, last, town in people
    ]
    write("questions.jsonl", *map(json.dumps, questions))
    topics = [(f"{text} {i}", ["good"] if text in POSITIVE else ["bad", "dull"][: 1 + i % 2])
              for i in range(4) for text in POSITIVE + NEGATIVE]  # fmt: skip
    write("topics.jsonl", *(json.dumps({"text": text, "labels": found}) for text, found in topics))
    write("topics.csv", "text,labels", *(f'"{text}",{"|".join(found)}' for text, found in topics))
    write("flags.csv", "text,rude,threat", *(f'"{text}",{i % 2},{i % 3 // 2}'
                                             for i, (text, _) in enumerate(topics)))  # fmt: skip
    write("messy.csv", "text,label", *reviews, *doubled)
    (folder / "glue_data" / "RTE").mkdir(parents=True)
    nli = [f"A man eats {meal}.\t{second}." for meal in meals for second in ("Somebody eats", "Nobody eats")]
    labelled = [f"{i}\t{row}\t{'not_' * (i % 2)}entailment" for i, row in enumerate(nli)]
    write("glue_data/RTE/train.tsv", "index\tsentence1\tsentence2\tlabel", *labelled)
    write("glue_data/RTE/dev.tsv", "index\tsentence1\tsentence2\tlabel", *labelled[:6])
    write(
        "glue_data/RTE/test.tsv", "index\tsentence1\tsentence2", *(f"{i}\t{row}" for i, row in enumerate(nli))
    )
    write("typo.csv", "text,label", "Good.,postive")
    write("quote.csv", "text,label", "Good.,positive", '"Never closed.,negative', "Bad.,negative")


# ------------------------------------------------------------------ what the pages must agree with


def _generate() -> Any:
    specification = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_gives() -> None:
    generate = _generate()
    written = generate.PAGE.read_text(encoding="utf-8").splitlines()
    made = generate.reference().splitlines()
    difference = "\n".join(difflib.unified_diff(written, made, "docs/reference.md", "the code", lineterm=""))
    assert not difference, (
        f"docs/reference.md is stale; write it again with: {generate.COMMAND}\n{difference}"
    )


def test_every_command_and_option_says_what_it_is() -> None:
    silent = [
        f"{line} {parameter.name}"
        for line, command in _generate().commands().items()
        for parameter in command.params
        if not (getattr(parameter, "help", None) or "").strip()
    ]
    silent += [line for line, command in _generate().commands().items() if not (command.help or "").strip()]
    assert not silent, f"without a help text: {', '.join(silent)}"


def test_every_command_has_a_place_in_the_guide() -> None:
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    assert not [line for line in _generate().commands() if line not in guide]


def test_moving_shows_the_difference_of_the_two_scripts() -> None:
    names = ("transformers_script.py", "whet_script.py")
    old, new = ((REPOSITORY / "examples" / name).read_text(encoding="utf-8").splitlines() for name in names)
    difference = "\n".join(line.rstrip() for line in difflib.unified_diff(old, new, *names, n=0, lineterm=""))
    (shown,) = [block.text.strip() for block in blocks(DOCS / "moving.md") if block.language == "diff"]
    assert shown == difference, f"put this into the diff block of docs/moving.md:\n{difference}"


def test_the_installed_command_answers(runs: Path) -> None:
    whet = Path(sys.executable).with_name("whet")
    command = [str(whet), "predict", "runs/reviews", "--text", "A joy.", "--no-input"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=runs, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"label": "')


# ------------------------------------------------------------------ links and what must not be published


def _links(page: Path) -> Iterator[tuple[str, str]]:
    """(path, anchor) of every relative link outside code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))],
    ids=_name,
)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for path, anchor in _links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(f"{path}: there is no such file")
        elif anchor and anchor not in _anchors(target):
            broken.append(f"{path}#{anchor}: there is no such heading")
    assert not broken, f"{_name(page)}: {'; '.join(broken)}"


def _text_files() -> Iterator[Path]:
    """What git would track: all but .git and what .gitignore names."""
    ignored = [
        line.strip("/ ")
        for line in (REPOSITORY / ".gitignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    ignored.append(".git")
    for folder, folders, files in os.walk(REPOSITORY):
        folders[:] = [name for name in folders if not any(fnmatch.fnmatch(name, one) for one in ignored)]
        for name in files:
            if not any(fnmatch.fnmatch(name, one) for one in ignored):
                yield Path(folder, name)


PRIVATE = {
    # Written in pieces, so that this file does not find itself.
    "the path of this checkout": re.escape(str(REPOSITORY)) + r"\b",
    "a path of one machine": r"(?<![\w.~])/(?:" + "|".join(("work", "home", "Users", "root")) + r")/[\w.-]+",
    "a package index": "|".join(
        ("index-" + "url", r"pypi\.(?:org|python)", "python" + "hosted", "arti" + "factory")
    ),
}


@pytest.mark.parametrize("what", PRIVATE)
def test_no_file_names_this_machine_or_a_registry(what: str) -> None:
    found = []
    for path in _text_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(REPOSITORY)}:{text.count(chr(10), 0, one.start()) + 1}: {one[0]}"
            for one in re.finditer(PRIVATE[what], text)
        ]
    assert not found, f"{what}:\n" + "\n".join(found)


# ------------------------------------------------------------------ this test can fail


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nmake demo\n```\n", "is not a whet command"),
        ("```\nwhet train\n```\n", "none of the kinds of block"),
        ("```bash\nwhet train nothing.csv\n```\n", "ended with status 1"),
        ("```bash\nwhet --version\n```\n```text\nwhet 99\n```\n", "this was not printed"),
        ("```python\nprint('a')\n```\n```text\nb\n```\n", "this was not printed"),
        ("```text\nb\n```\n", "nothing has run"),
    ],
)
def test_a_page_that_lies_is_found(
    text: str, message: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = workplace / "page.md"
    page.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", workplace)
    with pytest.raises(AssertionError, match=message):
        test_blocks_run_and_print_what_the_page_says(page, workplace)
