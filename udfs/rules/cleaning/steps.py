"""The steps of the recipe that change texts: 6, 7 and 19 to 25 (spec 2.2).

Texts go in and come out as the flat buffers of `udfs.text.columns.utf8_buffers`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.checks import FRACTION, at_least, check, one_of
from udfs.quirks import QUIRKS, follows_reference
from udfs.rules.cleaning.line_kernels import LineRules, clean_texts
from udfs.rules.cleaning.line_patterns import (
    ANYWHERE,
    COUNTER,
    LINE_END,
    LINE_START,
    NUMERIC,
    SHORT,
    UPPERCASE,
    WILDCARD,
    counted_things,
)
from udfs.rules.cleaning.url_removal import remove_urls
from udfs.text.byte_masks import BLOCK, append, first_bits, in_range, lowest, readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.unicode import character_properties

__all__ = ["CleaningSettings", "cap_newlines", "clean_lines", "remove_urls"]

_NEWLINE = 10


@dataclass(frozen=True, kw_only=True)
class CleaningSettings:
    """What the cleaning steps change; None or False switches a step off.

    Defaults: DCLM's `dclm_baseline_refinedweb.yaml` (spec 2.2).
    """

    # The recipe's `quirks`; set that one alone.
    quirks: str = "dclm-2024"
    # Step 6: addresses are cut out of texts.
    remove_urls: bool = True
    # Step 7: longer runs of newlines are cut to this many.
    max_consecutive_newlines: int | None = 2
    # Step 19: lines with a larger fraction of upper-case characters are removed.
    max_uppercase_fraction: float | None = 0.5
    # Step 20: lines with a larger fraction of digits are removed.
    max_numeric_fraction: float | None = 0.999999
    # Step 21: lines such as "3 likes".
    remove_counter_lines: bool = True
    # Step 22: non-empty lines with fewer white-space-separated words are removed.
    min_words_per_line: int | None = 2
    # Step 23: deleted, whatever its case, from lines of few words. In all three phrases a dot
    # stands for any character under "dclm-2024".
    phrase_anywhere: str | None = "items in cart"
    # Step 24: deleted at the end of lines of few words.
    phrase_at_line_end: str | None = "Read more..."
    # Step 25: deleted at the start of lines of few words.
    phrase_at_line_start: str | None = "Sign-in"
    # The most words of a line that steps 23 to 25 look at.
    max_words_around_phrase: int = 10

    def __post_init__(self) -> None:
        """Refuse unknown quirks and phrases that the kernels cannot look for."""
        check(self, quirks=one_of(QUIRKS), max_consecutive_newlines=at_least(1))
        check(self, max_uppercase_fraction=FRACTION, max_numeric_fraction=FRACTION)
        check(self, min_words_per_line=at_least(0), max_words_around_phrase=at_least(0))
        for name in _PHRASE_STEPS:
            phrase = getattr(self, name)
            if phrase is not None and not (phrase.isascii() and phrase.isprintable() and phrase):
                raise ValueError(
                    f"{name}: {phrase!r} cannot be looked for; write printable ASCII characters, "
                    "or null to switch the step off"
                )


_PHRASE_STEPS = {
    "phrase_anywhere": ANYWHERE,
    "phrase_at_line_end": LINE_END,
    "phrase_at_line_start": LINE_START,
}


def cap_newlines(
    data: Bytes, offsets: Offsets, max_consecutive_newlines: int = 2
) -> tuple[Bytes, Offsets]:
    """Return the texts with every longer run of newlines cut to the maximum (step 7).

    Where no text changes, these are the very buffers that came in.
    """
    blocks, offsets = readable_blocks(data), read_only(offsets)
    if not _has_long_run(blocks, offsets, max_consecutive_newlines):
        return data, offsets
    new_data = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    new_offsets = np.zeros(len(offsets), np.int64)
    size = _cap_newlines(blocks, offsets, new_data, new_offsets, max_consecutive_newlines)
    return new_data[:size], new_offsets


@njit(cache=True, nogil=True)
def _next_run(data, position, end, size):
    """Return where the next `size` newlines (1 to 3) in a row are, `end` for nowhere."""
    while position < end:
        runs = newlines = in_range(data, position, _NEWLINE, 1) & first_bits(end - position)
        for shift in range(1, size):
            runs &= newlines >> np.uint64(shift)
        if runs != 0:
            return position + lowest(runs)
        position += BLOCK + 1 - size
    return end


@njit(cache=True, nogil=True)
def _next_long_run(data, position, end, most):
    """Return (start, end) of the next run of more than `most` newlines, both `end` for none."""
    run_end = position
    while run_end < end:
        run = run_end = _next_run(data, run_end, end, min(most + 1, 3))
        while run_end < end and data[run_end] == _NEWLINE:
            run_end += 1
        if run_end - run > most:
            return run, run_end
    return end, end


@njit(cache=True, nogil=True)
def _has_long_run(data, offsets, most):
    for document in range(offsets.size - 1):
        end = offsets[document + 1]
        if _next_long_run(data, offsets[document], end, most)[0] < end:
            return True
    return False


@njit(cache=True, nogil=True)
def _cap_newlines(data, offsets, new_data, new_offsets, most):
    filled = 0
    for document in range(offsets.size - 1):
        copied, end = offsets[document], offsets[document + 1]
        while copied < end:
            run, run_end = _next_long_run(data, copied, end, most)
            stop = min(run + most, end)
            filled = append(data, copied, stop, new_data, filled)
            copied = run_end
        new_offsets[document + 1] = filled
    return filled


def clean_lines(
    data: Bytes, offsets: Offsets, settings: CleaningSettings
) -> tuple[Bytes, Offsets, npt.NDArray[np.uint8]]:
    """Return the texts after steps 19 to 25, and the step at which each became empty (0: none)."""
    new_data = np.empty(max(int(offsets[-1] - offsets[0]), BLOCK), np.uint8)
    new_offsets = np.zeros(len(offsets), np.int64)
    emptied_at = np.zeros(len(offsets) - 1, np.uint8)
    rules = LineRules(
        enabled=_enabled_steps(settings),
        limits=_limits(settings),
        phrases=_folded_phrases(settings),
        counted=counted_things(),
        properties=character_properties(),
    )
    blocks, offsets = readable_blocks(data), read_only(offsets)
    size = clean_texts(blocks, offsets, new_data, new_offsets, emptied_at, rules)
    return new_data[:size], new_offsets, emptied_at


def _enabled_steps(settings: CleaningSettings) -> int:
    switches = {
        UPPERCASE: settings.max_uppercase_fraction is not None,
        NUMERIC: settings.max_numeric_fraction is not None,
        COUNTER: settings.remove_counter_lines,
        SHORT: settings.min_words_per_line is not None,
    } | {step: getattr(settings, name) is not None for name, step in _PHRASE_STEPS.items()}
    return sum(1 << (step - UPPERCASE) for step, is_on in switches.items() if is_on)


def _limits(settings: CleaningSettings) -> npt.NDArray[np.float64]:
    limits = (
        settings.max_uppercase_fraction,
        settings.max_numeric_fraction,
        settings.min_words_per_line,
        settings.max_words_around_phrase,
    )
    return np.array([0 if limit is None else limit for limit in limits], np.float64)


def _folded_phrases(settings: CleaningSettings) -> npt.NDArray[np.int32]:
    dot_is_any = follows_reference(settings.quirks)
    phrases = [getattr(settings, name) or "" for name in _PHRASE_STEPS]
    folded = np.zeros((len(phrases), 1 + max(map(len, phrases))), np.int32)
    for row, phrase in zip(folded, phrases, strict=True):
        row[0] = len(phrase)
        for index, character in enumerate(phrase.lower(), start=1):
            row[index] = WILDCARD if dot_is_any and character == "." else ord(character)
    return folded
