"""Lines are the same however the bytes arrive."""

from hypothesis import given
from hypothesis import strategies as st

from whet.data.lines import Lines

PIECES = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\xc3\xa9", b"\xef\xbb\xbf", b" "]), max_size=14
)


def arriving(content: bytes, sizes: list[int]):
    """A read function that gives as many bytes at a time as `sizes` says, in turn."""
    state = [0, 0]

    def read(n_bytes: int) -> bytes:
        size = min(n_bytes, sizes[state[1] % len(sizes)]) if sizes else n_bytes
        piece = content[state[0] : state[0] + size]
        state[0] += size
        state[1] += 1
        return piece

    return read


@given(PIECES, st.lists(st.integers(1, 4), max_size=3))
def test_any_line_end(pieces, sizes):
    content = b"".join(pieces)
    lines = Lines("a", arriving(content, sizes))
    expected = content.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    assert list(lines) == [line.decode() for line in expected]
    assert lines.number == len(expected)


@given(PIECES, st.lists(st.integers(1, 4), max_size=3))
def test_newlines_only(pieces, sizes):
    content = b"".join(pieces)
    plain = content.removeprefix(b"\xef\xbb\xbf")
    expected = plain.splitlines(keepends=True)
    if b"\n" in plain:
        *ended, last = plain.split(b"\n")
        expected = [line + b"\n" for line in ended] + ([last] if last else [])
    assert list(Lines("a", arriving(content, sizes), only_newline=True)) == [
        line.decode() for line in expected
    ]
