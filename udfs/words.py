"""The words of texts: UAX-29 segments (W_uniseg and BFF tokens of spec 2.1 and 3.1.3)."""

import numpy as np
from numba import njit

from udfs.columns import Bytes, Offsets
from udfs.read_only import read_only
from udfs.word_breaks import (
    ALPHANUMERIC,
    WHITE,
    entry_at,
    segment_end,
    word_table,
)

WORD_KINDS = ("not_space", "alphanumeric")


def word_spans(
    data: Bytes, offsets: Offsets, kind: str = "not_space"
) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, word_offsets) of the UAX-29 segments that are words of `kind`.

    Word k is data[starts[k]:ends[k]]; text i = data[offsets[i]:offsets[i + 1]] has the words
    word_offsets[i] to word_offsets[i + 1]. "not_space" are all segments but those of White_Space
    characters alone (punctuation counts; BFF), "alphanumeric" are those whose first character is
    str.isalnum (W_uniseg). Raises ValueError for another kind.
    """
    if kind not in WORD_KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; allowed are {', '.join(WORD_KINDS)}")
    return _word_spans(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), kind == "alphanumeric", word_table()
    )


@njit(cache=True, nogil=True)
def _is_white(data, position, end, table):  # type: ignore[no-untyped-def]
    while position < end:
        entry, width = entry_at(data, position, table)
        if not entry & WHITE:
            return False
        position += width
    return True


@njit(cache=True, nogil=True)
def _word_spans(data, offsets, alphanumeric, table):  # type: ignore[no-untyped-def]
    num_texts = offsets.size - 1
    starts = np.empty((offsets[num_texts] - offsets[0]) // 4 + 16, np.int64)
    ends = np.empty(starts.size, np.int64)
    word_offsets = np.zeros(num_texts + 1, np.int64)
    count = 0
    for text in range(num_texts):
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            start = position
            position = segment_end(data, start, end, table)
            if alphanumeric:
                entry, _ = entry_at(data, start, table)
                if not entry & ALPHANUMERIC:
                    continue
            elif _is_white(data, start, position, table):
                continue
            if count == starts.size:
                starts = np.concatenate((starts, np.empty(count, np.int64)))
                ends = np.concatenate((ends, np.empty(count, np.int64)))
            starts[count], ends[count] = start, position
            count += 1
        word_offsets[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), word_offsets
