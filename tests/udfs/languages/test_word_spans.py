import numpy as np

from udfs.languages.word_spans import places_of


def places(lines: list[str], words: list[list[str]]) -> list[tuple[str, int]]:
    """Return (word, line) as `places_of` finds the words of each line in the lines together."""
    data = "".join(lines).encode()
    ends = np.cumsum([0, *(len(line.encode()) for line in lines)])
    told = [b"".join(f"{word}\n".encode() for word in some) for some in words]
    starts, stops, of_lines = places_of(
        np.frombuffer(data, np.uint8),
        np.stack((ends[:-1], ends[1:]), axis=1),
        np.frombuffer(b"".join(told), np.uint8),
        np.cumsum([0, *map(len, told)]),
    )
    return [
        (data[start:stop].decode(), line)
        for start, stop, line in zip(starts, stops, of_lines.tolist(), strict=True)
    ]


def test_words_are_found_one_behind_the_other_in_their_own_line():
    found = places(["都の都", "東京"], [["都", "の", "都"], ["東京"]])
    assert found == [("都", 0), ("の", 0), ("都", 0), ("東京", 1)]


def test_white_space_around_a_word_is_no_part_of_it():
    assert places(["a\u3000 b"], [["a", "\u3000", " b "]]) == [("a", 0), ("b", 0)]


def test_a_word_that_the_line_lacks_is_left_out_and_the_next_is_found():
    assert places(["ab", "xcd"], [["a", "x", "b"], ["x", "d"]]) == [
        ("a", 0), ("b", 0), ("x", 1), ("d", 1)
    ]  # fmt: skip


def test_no_line_and_no_word_have_no_place():
    assert places([], []) == []
    assert places(["ab"], [[]]) == []
