"""What of a file may stand in a message: names and values are the user's, and may be megabytes long."""

from collections.abc import Sequence

LONGEST_WORD = 80
MOST_WORDS = 12


def shortened(word: str) -> str:
    """The word, cut where it is too long to read."""
    return word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..."


def listed(words: Sequence[str]) -> str:
    """The words with commas between; of many, the first and how many more there are."""
    shown = ", ".join(shortened(word) for word in words[:MOST_WORDS])
    return shown if len(words) <= MOST_WORDS else f"{shown} and {len(words) - MOST_WORDS:,} more"


def counted(n: int, one: str, many: str | None = None) -> str:
    """ "1 row", "1,200 rows"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
