"""Derive udfs/resources/word_break_16.txt from the properties that uniseg carries.

Run `python -m tests.udfs.text.word_break_table` after a change of the Unicode version.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

RESOURCE = Path(__file__).resolve().parents[3] / "udfs/resources/word_break_16.txt"
HEADER = """\
# Word_Break and Extended_Pictographic of the Unicode Character Database 16.0.0 (UAX 29, UTS 51).
# Code points that are not listed are Other. Derived by tests/udfs/text/word_break_table.py.
"""


def derived_table() -> str:
    """Return the text that the resource must hold."""
    from uniseg.db import get_handle, get_value

    lines = []
    word_break, pictographic = get_handle("Word_Break"), get_handle("Extended_Pictographic")
    for first, last, name in _ranges(lambda point: get_value(word_break, point)):
        lines.append(f"{first:04X}..{last:04X} {name}\n")
    for first, last, _ in _ranges(lambda point: get_value(pictographic, point)):
        lines.append(f"{first:04X}..{last:04X} Extended_Pictographic\n")
    return HEADER + "".join(lines)


def _ranges(value_of: Callable[[int], str]) -> Iterator[tuple[int, int, str]]:
    first, value = 0, ""
    for point in range(0x110001):
        current = value_of(point) if point < 0x110000 else ""
        if current != value:
            if value:
                yield first, point - 1, value
            first, value = point, current


if __name__ == "__main__":
    RESOURCE.write_text(derived_table())
