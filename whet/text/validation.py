"""Whether a tokeniser belongs to its encoder and to the texts, and what a row looks like as tokens."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from whet.data.findings import Finding, finding, quoted, visible
from whet.data.parts import Int64s, Part
from whet.data.wording import counted
from whet.text.encoding import Encoded
from whet.text.tokeniser_files import ROLES, special_tokens
from whet.text.tokens import Tokeniser

UNKNOWN = 0.01  # share of tokens that the vocabulary does not have, from which on it is told
UNUSED = 0.05  # share of an encoder's embeddings that no token reaches; some are padded to round sizes
_SHOWN_TOKENS = 24


def tokeniser_findings(tokeniser: Tokeniser, config: Mapping[str, Any], source: str) -> Iterator[Finding]:
    """Vocabulary size and special tokens beside the encoder's config.json."""
    own, theirs = tokeniser.vocab_size, config.get("vocab_size")
    fix = "Use the tokeniser files that the checkpoint was published with."
    if isinstance(theirs, int) and own > theirs:
        message = f"The tokeniser has {own:,} tokens and the encoder {theirs:,}: they do not belong together."
        yield Finding("warning", "tokeniser", message, f"{fix} `whet train` refuses these.", source)
    elif isinstance(theirs, int) and own < (1 - UNUSED) * theirs:
        message = (
            f"The tokeniser has {own:,} tokens and the encoder {theirs:,}, so it knows only some of them."
        )
        yield Finding("warning", "tokeniser", message, fix, source)
    special = special_tokens(tokeniser.source)
    wrong = []
    for role in ROLES:
        token, expected = special.get(role), config.get(f"{role}_token_id")
        number = None if token is None else tokeniser.backend.token_to_id(token)
        if token is not None and number is None:
            wrong.append(f"{role} token '{token}' is not in the vocabulary")
        elif number is not None and isinstance(expected, int) and number != expected:
            wrong.append(f"{role} token '{token}' is {number}, and config.json says {expected}")
    if tokeniser.template(1).n_special == 0:
        wrong.append("no special token is put around a text, and a pooled head reads the first one")
    if wrong:
        message = f"Special tokens of the tokeniser and of the encoder disagree: {'; '.join(wrong)}."
        yield Finding("warning", "tokeniser", message, fix, source)


def unknown_findings(part: Part, rows: Int64s, encoded: Encoded, tokeniser: Tokeniser) -> Iterator[Finding]:
    """Rows (n,) of the part whose tokens, encoded, hold the one for what the vocabulary does not have."""
    token = special_tokens(tokeniser.source).get("unk")
    number = None if token is None else tokeniser.backend.token_to_id(token)
    if number is None or not len(encoded.ids):
        return
    unknown = encoded.ids == number
    share = float(unknown.mean())
    if share < UNKNOWN:
        return
    owner = np.repeat(np.arange(len(rows)), encoded.lengths)
    hit = np.unique(owner[unknown])
    sample = "" if len(rows) == len(part) else f" (in a sample of {len(rows):,} rows)"
    first = int(rows[hit[0]])
    yield finding(
        "warning",
        "unknown-tokens",
        part.table,
        np.sort(rows[hit]),
        f"{share:.1%} of all tokens, in {counted(len(hit), 'row')}, are {token}: the encoder does not know "
        f"what stands there{sample}.",
        "Take an encoder that was trained on this language and these signs.",
        example=f"{part.table.place(first)} {part.example(first)}",
    )


def row_finding(
    part: Part, row: int, tokeniser: Tokeniser, target: str, max_length: int, cut: Any
) -> Finding:
    """One row as the encoder sees it: tokens, type ids, and the target that its label becomes, in words."""
    texts = tuple(column[row].as_py() for column in part.texts)
    encoded = tokeniser.encode([texts], max_length, cut)
    tokens = [visible(str(tokeniser.backend.id_to_token(int(number)))) for number in encoded.ids]
    shown = {
        "text": " / ".join(map(quoted, texts)),
        "tokens": _shown(tokens),
        "type ids": _shown([str(number) for number in encoded.types.tolist()]),
        "target": target,
    }
    example = "\n".join(f"{name:<9}{value}" for name, value in shown.items())
    message = "How the encoder sees a row."
    fix = "Look whether this is what you meant it to read."
    return finding("note", "row", part.table, np.array([row]), message, fix, example=example)


def _shown(words: list[str]) -> str:
    more = len(words) - _SHOWN_TOKENS
    return " ".join(words[:_SHOWN_TOKENS]) + (f" ... and {more:,} more" if more > 0 else "")
