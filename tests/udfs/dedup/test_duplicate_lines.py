"""Keys of lines and texts without lines, against Python's own."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.dedup.duplicate_lines import line_keys, remove_lines

LINES = st.sampled_from(["", " ", "A line", "a LINE ", "\ta line", "Other", "éÉ", "x"])
TEXTS = st.lists(st.lists(LINES, max_size=8).map("\n".join), max_size=5)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_lines_have_one_key_when_they_differ_in_case_and_margins_only(texts):
    keys, rows, numbers = line_keys(pa.array(texts, pa.large_string()))
    expected = [
        (row, number, line.strip().lower())
        for row, text in enumerate(texts)
        for number, line in enumerate(text.split("\n"))
        if line.strip()
    ]
    assert list(zip(rows, numbers, strict=True)) == [entry[:2] for entry in expected]
    by_line = {entry[2]: key for entry, key in zip(expected, keys, strict=True)}
    assert [by_line[entry[2]] for entry in expected] == keys.tolist()
    assert len(set(by_line.values())) == len(by_line)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.randoms())
def test_the_given_lines_go_and_their_places_are_told(texts, random):
    chosen = [
        [n for n, line in enumerate(text.split("\n")) if line.strip() and random.random() < 0.4]
        for text in texts
    ]
    offsets = np.cumsum([0, *map(len, chosen)])
    numbers = np.array([n for found in chosen for n in found], np.int32)
    result = remove_lines(pa.array(texts, pa.large_string()), offsets, numbers)
    for row, (text, found) in enumerate(zip(texts, chosen, strict=True)):
        kept = [line for n, line in enumerate(text.split("\n")) if n not in found]
        # A newline at the end or start of a text has no line behind it.
        assert result.text[row].as_py().strip("\n") == "\n".join(kept).strip("\n")
        spans = result.removed_spans[row].as_py()
        removed = [text.encode()[s["start"] : s["end"]].decode().rstrip("\n") for s in spans]
        assert removed == [text.split("\n")[n] for n in found]
        assert result.contained[row] == len(found)
        assert result.total[row] == sum(bool(line.strip()) for line in text.split("\n"))
