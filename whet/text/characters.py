"""Which characters of a text its tokens are: what the tokenizers library says of them, put right.

The library counts characters by what is left of a text after normalisation. So a token may have the blank
before it among its characters (byte-level BPE, Metaspace), and what a normaliser drops or joins into the
character before it (accents, joiners, variation selectors) may belong to no token.
"""

import numpy as np
from numpy.typing import NDArray

from whet.data.spans import blanks, marks

Offsets = NDArray[np.int32]
_Codes = NDArray[np.int64]


def exact(text: str, offsets: Offsets) -> Offsets:
    """First character and last + 1 of each token (n_tokens, 2), as the library says -> the same without
    blanks at the ends, and with what no token has.

    A token of blanks alone becomes empty. Characters between two tokens go to the one before them, from the
    first punctuation mark or symbol on to the one behind, and to neither beyond a blank: so the tokens of a
    word rebuild it. Several tokens of one character all have that character."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    is_blank = _is(blanks(), codes)
    places = np.arange(len(codes) + 1)
    # The first character from each on that is no blank, and the last + 1 before each: (n_characters + 1,).
    following = np.where(np.append(is_blank, False), len(codes), places)
    following = np.minimum.accumulate(following[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(np.append(True, is_blank), 0, places))
    starts, ends = following[offsets[:, 0]], preceding[offsets[:, 1]]
    is_empty = starts >= ends
    starts, ends = np.where(is_empty, offsets[:, 1], starts), np.where(is_empty, offsets[:, 1], ends)
    full = np.flatnonzero(~is_empty)
    reached = np.maximum.accumulate(np.append(0, ends[full]))  # what the tokens before each have, and all
    nexts = np.append(starts[full], len(codes))
    n_before = np.append(0, np.cumsum(~is_blank))  # characters that are no blanks
    has_more = (reached < nexts) & (n_before[np.maximum(nexts, reached)] > n_before[reached])
    for i in np.flatnonzero(has_more).tolist():
        first, stop = int(reached[i]), int(nexts[i])
        gap = is_blank[first:stop]
        is_border = gap | (_is(marks(), codes[first:stop]) if 0 < i < len(full) else False)
        clinging = int(np.argmax(np.append(is_border, True))) if i > 0 else 0
        leading = int(np.argmax(np.append(gap[clinging:][::-1], True))) if i < len(full) else 0
        if clinging:
            ends[full[i - 1]] = first + clinging
        if leading:
            starts[full[i]] = stop - leading
    return np.stack([starts, ends], axis=1).astype(np.int32)


def _is(table: NDArray[np.bool_], codes: _Codes) -> NDArray[np.bool_]:
    return np.asarray(table[np.minimum(codes, len(table) - 1)])
