"""Line and symbol counts against Python's own string methods."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.text.columns import utf8_buffers
from udfs.text.lines import line_counts

PIECES = st.sampled_from(
    [".", "...", ". . .", "…", "#", "●", "•", "*", "-", " ", "\n", "\u00a0", "\x1f", "a", "é", "\r"]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=20).map("".join), st.text(max_size=30))


def slow_line_counts(text: str) -> list[int]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [
        sum(text.count(symbol) for symbol in ("#", "...", ". . .", "…")),
        len(lines),
        sum(line.startswith(("●", "•", "*", "-")) for line in lines),
        sum(line.endswith(("...", ". . .", "…")) for line in lines),
    ]


def counts_of(texts: list[str]) -> list[list[int]]:
    return line_counts(*utf8_buffers(pa.array(texts, pa.large_string()))).tolist()


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_lines_are_counted_like_python_counts_them(texts: list[str]) -> None:
    assert counts_of(texts) == [slow_line_counts(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("....... # . . . . .", [4, 1, 0, 1]),
        ("\u00a0• one \n\n - two…\u2003\n", [1, 2, 2, 1]),
        ("", [0, 0, 0, 0]),
    ],
)
def test_symbols_do_not_overlap_and_lines_are_stripped(text: str, counts: list[int]) -> None:
    assert counts_of([text]) == [counts]
