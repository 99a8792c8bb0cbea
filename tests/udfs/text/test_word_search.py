"""Words in bytes, against regular expressions."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.text.word_search import find_word, searchable, word

PIECES = st.sampled_from(
    [
        b"robots",
        b"Robots",
        b"ROBO",
        b"ts",
        b"</head",
        b"</HEAD",
        b"\x1c/head",
        b"x" * 61,
        b"rob",
        b"<",
        b"",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(0, 100), st.integers(0, 400))
def test_words_are_found_where_a_regular_expression_finds_them(content, start, size):
    end = min(start + size, len(content))
    for text in (b"robots", b"</head"):
        found = re.compile(re.escape(text), re.IGNORECASE).search(content, start, max(start, end))
        expected = found.start() if found else -1
        assert find_word(searchable(content), start, end, word(text)) == expected
