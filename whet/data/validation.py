"""What is wrong with labelled data, by file and row: labels, classes, texts and their lengths.

Duplicates have a file of their own beside this. Nothing here raises: whatever a table holds, it is told.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whet.data.findings import Finding, finding, quoted, visible
from whet.data.parts import Bools, Int64s, Part
from whet.data.wording import counted
from whet.errors import nearest

RARE = 5  # rows; a class with fewer is reported
SKEWED = 10  # times: the largest class beside the smallest that is not rare
SHORT = 3  # letters and digits; a text with fewer is very short
_SHOWN = 8  # classes in a message
_AROUND = 30  # characters on each side of what an example is about

# What continues a character in UTF-8, the bytes 80 to BF, as Latin-1 and as Windows-1252 have them
_CONTINUED = "\u0080-\u00bf" + bytes(range(0x80, 0xA0)).decode("cp1252", "ignore")
_PATTERNS: tuple[tuple[str, str, str, str], ...] = (
    # kind, what a text holds, the regular expression (RE2), the fix
    (
        "mojibake",
        "letters garbled by a wrong encoding (mojibake)",
        f"\ufffd|ï»¿|Ã[{_CONTINUED}]|Â[\u0080-\u00bf]|â[\u0080-\u009f€][{_CONTINUED}]|ðŸ[{_CONTINUED}]",
        "Read the file they came from as UTF-8 (it was read as Latin-1 or Windows-1252), and write it again.",
    ),
    (
        "control",
        "characters that do not print: control characters, zero-width spaces, changes of direction",
        "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\u009f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]",
        "Take them out: a tokeniser drops them or makes them tokens that say nothing.",
    ),
    (
        "markup",
        "markup: HTML or XML tags, or entities such as &amp;",
        r"</?[A-Za-z][A-Za-z0-9:-]*(?:\s+[A-Za-z_:-]+\s*=[^<>]*)?\s*/?>|&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}"
        r"|#[xX][0-9a-fA-F]{1,6});",
        "Strip it, unless the texts to predict on have it too: tags use up tokens and say little.",
    ),
)


def label_findings(
    parts: Sequence[Part], classes: Sequence[str] = (), are_balanced: bool = False
) -> Iterator[Finding]:
    """About the labels of all parts; the first is train. `classes` are those that the data declares;
    are_balanced says that training will weigh them."""
    train = parts[0]
    counts = dict.fromkeys(classes, 0) | _counts(train.labels)
    yield from _too_few(train, counts)
    yield from _spellings(parts)
    yield from _rare(train, counts)
    yield from _skewed(train, counts, are_balanced)
    for part in parts[1:]:
        yield from _unknown(part, train, counts)
    for part in parts:
        yield from _unlabelled(part)


def text_findings(part: Part) -> Iterator[Finding]:
    """About the texts of a part: empty, very short, damaged."""
    bare = [pc.equal(pc.utf8_trim_whitespace(column), "") for column in part.texts]
    empty = _any(bare)
    rows = np.flatnonzero(empty)
    if part.name == "train" and np.logical_and.reduce([column.to_numpy() for column in bare]).all():
        message = f"The text is empty in all {counted(len(rows), 'row')}, so there is nothing to learn from."
        fix = f"Name the right column with --text; there are: {', '.join(part.table.names)}."
        yield finding("error", "empty-text", part.table, rows, message, fix, example=_of(part, rows))
    elif len(rows):
        what = "text" if len(part.texts) == 1 else "first or second text"
        message = f"{counted(len(rows), 'row')} {_have(rows)} an empty {what}."
        fix = "Fill it in or drop the rows: nothing can be learnt from an empty text."
        yield finding("warning", "empty-text", part.table, rows, message, fix, example=_of(part, rows))
    few = rf"^[^\p{{L}}\p{{N}}]*(?:[\p{{L}}\p{{N}}][^\p{{L}}\p{{N}}]*){{0,{SHORT - 1}}}$"
    rows = np.flatnonzero(_any([pc.match_substring_regex(column, few) for column in part.texts]) & ~empty)
    if len(rows):
        message = f"{counted(len(rows), 'row')} {_have(rows)} fewer than {SHORT} letters and digits."
        fix = "Look whether they say anything about their label; drop those that do not."
        yield finding("warning", "short-text", part.table, rows, message, fix, example=_of(part, rows))
    for kind, what, pattern, fix in _PATTERNS:
        rows = np.flatnonzero(_any([pc.match_substring_regex(column, pattern) for column in part.texts]))
        if len(rows):
            message = f"{counted(len(rows), 'row')} {_have(rows)} {what}."
            example = _around(part, int(rows[0]), pattern)
            yield finding("warning", kind, part.table, rows, message, fix, example=example)


def cut_finding(
    part: Part, rows: Int64s, lengths: Int64s, full_lengths: Int64s, max_length: int, cut: str
) -> Iterator[Finding]:
    """rows (n,) of the part that became tokens, (n,) lengths after and before cutting; fewer than all the
    rows are a sample."""
    lost = full_lengths > lengths
    if not lost.any():
        return
    sample = "" if len(rows) == len(part) else f" (in a sample of {len(rows):,} of {len(part):,})"
    tokens = float((full_lengths - lengths).sum() / full_lengths.sum())
    longest = int(full_lengths.argmax())
    yield finding(
        "warning",
        "cut",
        part.table,
        np.sort(rows[lost]),
        f"{counted(int(lost.sum()), 'row')} ({_share(lost.mean())}) lose their {cut} at "
        f"max_length={max_length}{sample}: {_share(tokens)} of all tokens.",
        f"Raise max_length as far as the encoder goes (the longest text has {full_lengths[longest]:,} "
        "tokens), or have training keep another part: --set cut=head or cut=middle.",
        example=f"{part.table.place(int(rows[longest]))} {part.example(int(rows[longest]))}",
    )


def _too_few(train: Part, counts: Mapping[str, int]) -> Iterator[Finding]:
    if len(counts) >= 2:
        return
    if counts:
        (name,) = counts
        message = f"All {counted(sum(counts.values()), 'labelled row')} have one class, {quoted(name, 40)}."
    else:
        message = "No row has a label."
    fix = "A classifier needs two classes. Add rows of another class, or name another column with --label."
    yield Finding("error", "one-class" if counts else "no-labels", message, fix, train.source)


def _spellings(parts: Sequence[Part]) -> Iterator[Finding]:
    """Labels, as they are written, that are one but for case or space: the rarer spellings, by part."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(_counts(part.written))
    spelled: dict[str, list[str]] = {}
    for name, _ in counts.most_common():
        spelled.setdefault("".join(name.casefold().split()), []).append(name)
    several = [names for key, names in spelled.items() if key and len(names) > 1]
    words = _listed([" and ".join(_named(name, counts[name]) for name in names) for names in several])
    for part in parts:
        rows = _rows_of(part.written, [name for names in several for name in names[1:]])
        if len(rows):
            message = f"{counted(len(rows), 'row')} {_have(rows)} the rarer spelling of a label: {words}."
            fix = "Spell it in one way. Blanks at the ends are dropped, all else makes a class of its own."
            yield finding(
                "warning", "label-spelling", part.table, rows, message, fix, example=_of(part, rows)
            )


def _rare(train: Part, counts: Mapping[str, int]) -> Iterator[Finding]:
    rare = {name: n for name, n in counts.items() if n < RARE}
    if not rare or len(counts) < 2:
        return
    rows = _rows_of(train.labels, rare)
    names = _listed([_named(name, n) for name, n in sorted(rare.items(), key=lambda item: item[1])])
    message = f"Of {len(counts):,} classes {len(rare):,} {_have(rare)} fewer than {RARE} rows: {names}."
    fix = "Find more rows, or join them to other classes: a handful can be neither learnt nor measured."
    yield finding("warning", "rare-class", train.table, rows, message, fix, example=_of(train, rows))


def _skewed(train: Part, counts: Mapping[str, int], are_balanced: bool) -> Iterator[Finding]:
    seen = {name: n for name, n in counts.items() if n}
    if len(seen) < 2:
        return
    most, least = max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)
    if seen[most] < SKEWED * seen[least]:
        return
    share = seen[most] / sum(seen.values())
    message = (
        f"{_named(most, seen[most])} has {seen[most] / seen[least]:,.0f} times the rows of "
        f"{_named(least, seen[least])}; who always says '{visible(most)}' is right in {share:.0%}."
    )
    fix = "Judge by macro F1 or MCC, not by accuracy; add rows of the small classes if they matter."
    if not are_balanced:
        fix += (
            " --set class_weights=balanced lets them count as much in training: more of their rows are "
            "found, with more false alarms, and their probabilities lean upwards; whet eval shows how far."
        )
    yield Finding("warning", "skew", message, fix, train.source)


def _unknown(part: Part, train: Part, counts: Mapping[str, int]) -> Iterator[Finding]:
    unknown = {name: n for name, n in _counts(part.labels).items() if name not in counts}
    if not unknown or not counts:
        return
    rows = _rows_of(part.labels, unknown)
    names = _listed([_named(name, n) for name, n in unknown.items()])
    message = f"{counted(len(rows), 'row')} {_have(rows)} a label that {train.name} lacks: {names}."
    fix = f"Correct or drop these rows, or add such rows to {train.source}."
    near = nearest(next(iter(unknown)), counts)
    yield finding("error", "unknown-class", part.table, rows, message, fix + near, example=_of(part, rows))


def _unlabelled(part: Part) -> Iterator[Finding]:
    if part.labels is None or not part.labels.null_count:
        return
    rows = np.flatnonzero(part.labels.is_null().to_numpy())
    message = f"{counted(len(rows), 'row')} {_have(rows)} no label."
    fix = "Nothing needs to be done: they are left out of training and of figures."
    yield finding("note", "unlabelled", part.table, rows, message, fix, example=_of(part, rows))


def _counts(labels: pa.ChunkedArray | None) -> dict[str, int]:
    """Label -> rows, in order of first appearance."""
    if labels is None:
        return {}
    counts = pc.value_counts(labels.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _rows_of(labels: pa.ChunkedArray | None, names: Iterable[str]) -> Int64s:
    if labels is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(pc.is_in(labels, value_set=pa.array(list(names), pa.large_string())).to_numpy())


def _any(columns: Sequence[pa.ChunkedArray]) -> Bools:
    found: Bools = np.logical_or.reduce([column.to_numpy() for column in columns])
    return found


def _of(part: Part, rows: Int64s) -> str:
    return f"{part.table.place(int(rows[0]))} {part.example(int(rows[0]))}" if len(rows) else ""


def _around(part: Part, row: int, pattern: str) -> str:
    """The first match in a row with what stands around it."""
    for column in part.texts:
        whole = f"(?s)(?P<before>.*?)(?P<match>{pattern})(?P<after>.*)"
        cut = pc.extract_regex(column.slice(row, 1), whole)[0]
        if cut.is_valid:
            before, match, after = (cut[name].as_py() for name in ("before", "match", "after"))
            words = before[-_AROUND:] + match[:_AROUND] + after[:_AROUND]
            ends = ("... " if len(before) > _AROUND else "", " ..." if len(after) > _AROUND else "")
            return f"{part.table.place(row)} {ends[0]}{quoted(words, 3 * _AROUND)}{ends[1]}"
    return part.table.place(row)


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _share(share: float) -> str:
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _named(name: str, n: int) -> str:
    return f"'{visible(name)}' ({n:,})"


def _have(rows: Sized) -> str:
    return "has" if len(rows) == 1 else "have"
