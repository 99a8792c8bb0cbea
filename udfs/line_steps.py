"""Steps 19 to 22 on the lines of a text by what a single look at each line found.

Every step strips the text, which may change its first and last line; where white space stands
there, and where a line holds a phrase, `udfs.line_cleaning` does step after step.
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from numba import njit

from udfs.byte_copies import append
from udfs.code_points import SPACE, properties_at, properties_before

UPPERCASE, NUMERIC, COUNTER, SHORT, ANYWHERE, LINE_END, LINE_START = range(19, 26)
# A bit of a line's flags, after those of the steps.
BLANK = 1 << 7
# Results of `drop_lines` besides the step that left nothing.
CLEANED, STEP_BY_STEP = 0, -1
_NEWLINE = 10


@njit(cache=True, nogil=True)
def bit_of(step):
    """Return the bit that stands for a step."""
    return 1 << (step - UPPERCASE)


@njit(cache=True, nogil=True)
def _without(bit, lines, first, count):
    """Take out the lines with `bit` in their flags; return how many of `count` are left."""
    kept = first
    for index in range(first, first + count):
        lines[kept, 0], lines[kept, 1], lines[kept, 2] = (
            lines[index, 0], lines[index, 1], lines[index, 2],
        )  # fmt: skip
        kept += lines[index, 2] & bit == 0
    return kept - first


@njit(cache=True, nogil=True)
def _without_blank_ends(lines, first, count):
    """Return (first, count) of the lines without the blank ones at the beginning and the end."""
    while count and lines[first, 2] & BLANK:
        first += 1
        count -= 1
    while count and lines[first + count - 1, 2] & BLANK:
        count -= 1
    return first, count


@njit(cache=True, nogil=True)
def _has_white_ends(data, lines, first, count, properties):
    """Return whether stripping would shorten the first or the last line."""
    start, end = lines[first, 0], lines[first + count - 1, 1]
    before = properties_at(data, start, end, properties)
    return (before | properties_before(data, end, start, properties)) & SPACE != 0


@njit(cache=True, nogil=True)
def drop_lines(data, lines, count, enabled, properties):
    """Do the steps on `lines`, rows (start, end, flags); return (outcome, first, count) of them.

    The outcome is CLEANED, STEP_BY_STEP where that must be done instead, or the step that left
    nothing of the text.
    """
    first, found, stripped = 0, 0, False
    for index in range(count):
        found |= lines[index, 2]
    found &= enabled
    if found >= bit_of(ANYWHERE):
        return STEP_BY_STEP, first, count
    for step in range(UPPERCASE, LINE_START + 1):
        bit = bit_of(step)
        if not enabled & bit:
            continue
        if found & bit:
            count = _without(bit, lines, first, count)
            stripped = False
        if step == SHORT:
            if count == 0 or (count == 1 and lines[first, 0] == lines[first, 1]):
                return step, first, count
        elif not stripped:
            first, count = _without_blank_ends(lines, first, count)
            if count == 0:
                return step, first, count
            if _has_white_ends(data, lines, first, count, properties):
                return STEP_BY_STEP, first, count
            stripped = True
    return CLEANED, first, count


@njit(cache=True, nogil=True)
def write_lines(data, lines, first, count, target, filled):
    """Write lines, with newlines between, to target[filled:]; return where they end."""
    start = lines[first, 0]
    for index in range(first, first + count):
        end = lines[index, 1]
        if index + 1 < first + count and lines[index + 1, 0] == end + 1:
            continue
        filled = append(data, start, end, target, filled)
        if index + 1 < first + count:
            target[filled] = _NEWLINE
            filled += 1
            start = lines[index + 1, 0]
    return filled
