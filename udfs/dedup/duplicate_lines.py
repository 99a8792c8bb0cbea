"""Copies of lines: keys of the lines of texts, and texts without given lines (spec 2.9).

A line's key is the hash of its stripped, lower-cased text; blank lines have none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import at_least, check
from udfs.dedup.ngrams import DedupResult, dedup_result
from udfs.dedup.shingles import lower_case_table
from udfs.dedup.windows import Counts, Written, window_bounds
from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Offsets, read_only, utf8_buffers
from udfs.text.hashing import mix
from udfs.text.lines import line_end_after, strip
from udfs.text.unicode import character_properties, code_point_at

Numbers = npt.NDArray[np.int32]

_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True, kw_only=True)
class LineDedupSettings:
    """Dedup by lines: pages that are left with fewer sentences are dropped (spec 2.9: 3)."""

    # Pages left with fewer sentences go.
    min_sentences: int = 3

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_sentences=at_least(0))


def line_keys(texts: pa.Array | pa.ChunkedArray) -> tuple[Counts, Counts, Numbers]:
    """Return (key, row of the text, number of the line in it) of every line that is not blank."""
    data, offsets = utf8_buffers(texts)
    return _line_keys(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), lower_case_table(), character_properties()
    )


def remove_lines(
    texts: pa.Array | pa.ChunkedArray, line_offsets: Offsets, line_numbers: Numbers
) -> DedupResult:
    """Return the texts without the lines line_numbers[line_offsets[i]:...] (ascending) of text i.

    What the result calls n-grams and windows are lines; texts without a line left are dropped.
    """
    data, offsets = utf8_buffers(texts)
    found = _remove_lines(
        readable_blocks(data), read_only(offsets), read_only(line_offsets), read_only(line_numbers),
        character_properties(),
    )  # fmt: skip
    return dedup_result(offsets, Written(*found))


@njit(cache=True, nogil=True)
def _line_keys(data, offsets, lower, properties):
    most, _ = window_bounds(data, offsets)
    keys, rows = np.empty(most, np.int64), np.empty(most, np.int64)
    numbers = np.empty(most, np.int32)
    count = 0
    for text in range(offsets.size - 1):
        position, text_end, number = offsets[text], offsets[text + 1], -1
        while position < text_end:
            line = position
            end, position = line_end_after(data, line, text_end)
            number += 1
            first, last = strip(data, line, end, properties)
            if first == last:
                continue
            state = np.uint64(last - first)
            while first < last:
                point, width = code_point_at(data, first)
                if point < lower.size:
                    point = np.int64(lower[point])
                state = mix((state ^ np.uint64(point)) * _PRIME)
                first += width
            keys[count], rows[count], numbers[count] = np.int64(state), text, number
            count += 1
    return keys[:count].copy(), rows[:count].copy(), numbers[:count].copy()


@njit(cache=True, nogil=True)
def _remove_lines(data, offsets, line_offsets, line_numbers, properties):
    num_texts = offsets.size - 1
    kept = np.empty(offsets[num_texts] - offsets[0] + 1, np.uint8)
    kept_offsets = np.zeros(num_texts + 1, np.int64)
    counts = np.zeros((5, num_texts), np.int64)
    spans = np.empty((line_numbers.size, 2), np.int64)
    span_offsets = np.zeros(num_texts + 1, np.int64)
    filled = num_spans = 0
    for text in range(num_texts):
        position, text_end, number = offsets[text], offsets[text + 1], 0
        removed, base, lines = line_offsets[text], filled, 0
        while position < text_end:
            line = position
            end, position = line_end_after(data, line, text_end)
            first, last = strip(data, line, end, properties)
            lines += first < last
            if removed < line_offsets[text + 1] and line_numbers[removed] == number:
                spans[num_spans, 0] = line - offsets[text]
                spans[num_spans, 1] = min(position, text_end) - offsets[text]
                num_spans += 1
                removed += 1
            else:
                if filled > base:
                    kept[filled] = 10
                    filled += 1
                for index in range(line, end):
                    kept[filled] = data[index]
                    filled += 1
            number += 1
        kept_offsets[text + 1] = filled
        span_offsets[text + 1] = num_spans
        counts[0, text] = counts[3, text] = num_spans - span_offsets[text]
        counts[1, text] = lines
        counts[2, text] = number
        counts[4, text] = lines == counts[0, text]
    return kept[:filled], kept_offsets, counts, spans[:num_spans], span_offsets
