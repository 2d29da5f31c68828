"""Seconds to decode and to score the questions of a SQuAD file, with logits made up.

    python bench/answer_speed.py FILE.json [--window 384] [--stride 128] [--questions 16]

A token is a word or a mark, and every context is cut as for a window of so many tokens, of which so many are
the question's and the special ones. Logits are normal, deviation 3; at the first true answer they are 20, so
that exact match shows whether the spans come out where they went in.
"""

import argparse
import re
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.answers import AnswerWindows, best_spans
from whet.data.lines import Lines
from whet.data.questions import question_table
from whet.data.squad import squad_batches
from whet.data.table import Table
from whet.squad_scores import answer_scores, squad_metrics

PLANTED = 20
TOKEN = re.compile(r"\w+|[^\w\s]")


def cut(lengths: list[int], window: int, stride: int, head: int) -> AnswerWindows:
    """Windows of contexts of so many tokens, each behind `head` other tokens; neighbours share `stride`."""
    rows = []
    for question, n in enumerate(lengths):
        place = 0
        while True:
            inside = min(window - head, n - place)
            rows.append((question, inside, place))
            if place + inside == n:
                break
            place += window - head - stride
    questions, insides, places = np.array(rows, np.int64).T
    boundaries = np.concatenate([[0], np.cumsum(insides + head)])
    heads = np.full(len(rows), head)
    return AnswerWindows(boundaries, questions, heads, heads + insides, places)


def plant(
    logits: NDArray[np.float32],
    windows: AnswerWindows,
    w: int,
    offsets: NDArray[np.int64],
    answers: list[dict[str, Any]],
) -> None:
    """Raise the logits of the first answer, or of no answer: logits (2, n_tokens from window w on)."""
    if not answers:
        logits[:, 0] = PLANTED
        return
    start, stop = answers[0]["start"], answers[0]["start"] + len(answers[0]["text"])
    first = np.searchsorted(offsets[:, 1], start, "right") - windows.places[w]
    last = np.searchsorted(offsets[:, 0], stop, "left") - 1 - windows.places[w]
    if 0 <= first <= last < windows.context_stops[w] - windows.context_starts[w]:
        logits[0, windows.context_starts[w] + first] = PLANTED
        logits[1, windows.context_starts[w] + last] = PLANTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--window", type=int, default=384)
    parser.add_argument("--stride", type=int, default=128)
    parser.add_argument("--questions", type=int, default=16)
    options = parser.parse_args()
    began = time.perf_counter()
    with open(options.file, "rb") as file:
        ((columns, _),) = squad_batches(Lines(options.file, file.read), 10_000_000)
    table, problems = question_table(Table(options.file, columns))
    print(f"{len(table):,} questions read in {time.perf_counter() - began:.2f} s, {len(problems)} problems")

    contexts = table.column("context").to_pylist()
    answers = table.column("answers").to_pylist()
    of = {text: np.array([match.span() for match in TOKEN.finditer(text)]) for text in set(contexts)}
    windows = cut([len(of[text]) for text in contexts], options.window, options.stride, options.questions)
    logits = np.random.default_rng(0).normal(0, 3, (2, windows.boundaries[-1])).astype(np.float32)
    for w, question in enumerate(windows.questions.tolist()):
        plant(logits[:, windows.boundaries[w] :], windows, w, of[contexts[question]], answers[question])
    print(f"{len(windows.questions):,} windows, {windows.boundaries[-1]:,} tokens")

    began = time.perf_counter()
    found = best_spans(*logits, windows, len(table))
    decoded = time.perf_counter()
    none = found.no_answer() > 0
    texts = []
    for i, text in enumerate(contexts):
        offsets = of[text]
        texts.append("" if none[i] else text[offsets[found.starts[i, 0], 0] : offsets[found.ends[i, 0], 1]])
    scores = answer_scores(texts, [[answer["text"] for answer in one] for one in answers])
    figures = squad_metrics(scores)
    ended = time.perf_counter()
    print(f"decoded in {decoded - began:.2f} s, scored in {ended - decoded:.2f} s: {figures}")


if __name__ == "__main__":
    main()
