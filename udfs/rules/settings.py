"""Settings that families of rules share, and the mark that tells a limit from a measurement.

A limit compares what was measured: other limits need no text again. The key of a scored table is
therefore the settings `without_limits`.
"""

import copy
import dataclasses
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from udfs.checks import FRACTION, Allowed, at_least, check, check_order, one_of
from udfs.quirks import QUIRKS
from udfs.rules.cleaning.steps import CleaningSettings

Settings = TypeVar("Settings")
ANNOTATE = ("first_failure", "all")
_IS_LIMIT, _ALLOWED = "is_limit", "allowed"
# Metadata of a field whose value is a dataclass of nothing but limits.
LIMITS = {_IS_LIMIT: True}
_COUNT, _LENGTH = at_least(0), at_least(0.0)


def limit(default: Any, allowed: Allowed | None = None) -> Any:
    """Return the field of a limit, of which values are allowed as given."""
    return field(default=default, metadata=LIMITS | {_ALLOWED: allowed})


def measured(default: Any, allowed: Allowed) -> Any:
    """Return the field of a number that changes what is measured."""
    return field(default=default, metadata={_ALLOWED: allowed})


def check_fields(settings: Any) -> None:
    """Raise ValueError for the first field whose value `limit` or `measured` does not allow."""
    for one in fields(settings):
        if allowed := one.metadata.get(_ALLOWED):
            check(settings, **{one.name: allowed})


def without_limits(settings: Settings) -> Settings:
    """Return the settings with every limit at its default, in nested ones too."""
    changed = copy.copy(settings)
    for one in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, one.name)
        if one.metadata.get(_IS_LIMIT):
            value = default_of(one)
        elif dataclasses.is_dataclass(value):
            value = without_limits(value)
        # Not by replace(), which checks: a default may contradict a value that stays.
        object.__setattr__(changed, one.name, value)
    return changed


def default_of(one: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field that has one."""
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


@dataclass(frozen=True, kw_only=True)
class RepetitionLimits:
    """Highest fractions of step 17 (spec 2.6), named as in `udfs.rules.repetition.FRACTIONS`."""

    # Share of the lines that occur more than once.
    repeated_lines: float = limit(0.30, FRACTION)
    # Share of the paragraphs that occur more than once.
    repeated_paragraphs: float = limit(0.30, FRACTION)
    # Share of the characters that stand in repeated lines.
    repeated_line_characters: float = limit(0.20, FRACTION)
    # Share of the characters that stand in repeated paragraphs.
    repeated_paragraph_characters: float = limit(0.20, FRACTION)
    # Share of the characters that the commonest pair of words has.
    top_2_gram: float = limit(0.20, FRACTION)
    # Share of the characters that the commonest run of three words has.
    top_3_gram: float = limit(0.18, FRACTION)
    # Share of the characters that the commonest run of four words has.
    top_4_gram: float = limit(0.16, FRACTION)
    # Share of the characters in repeated runs of five words.
    repeated_5_grams: float = limit(0.15, FRACTION)
    # Share of the characters in repeated runs of six words.
    repeated_6_grams: float = limit(0.14, FRACTION)
    # Share of the characters in repeated runs of seven words.
    repeated_7_grams: float = limit(0.13, FRACTION)
    # Share of the characters in repeated runs of eight words.
    repeated_8_grams: float = limit(0.12, FRACTION)
    # Share of the characters in repeated runs of nine words.
    repeated_9_grams: float = limit(0.11, FRACTION)
    # Share of the characters in repeated runs of ten words.
    repeated_10_grams: float = limit(0.10, FRACTION)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """What more than one family reads; defaults: `dclm_baseline_refinedweb.yaml` (spec 2.2).

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # False: texts pass as they are, without signals.
    enabled: bool = True
    # The recipe's `quirks`; set that one alone.
    quirks: str = "dclm-2024"
    # "first_failure": a dropped document is not looked at further, and its text is as it stood;
    # "all": every signal of every document is computed, and every text is cleaned.
    annotate: str = limit("first_failure", one_of(ANNOTATE))
    # Deleted from an address before its strict words are looked for (step 3).
    ignored_url_characters: str = limit("-.")
    # So many different soft words drop a page (step 5).
    min_soft_url_words: int = limit(2, at_least(1))
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    # Step 9: the top label must be this language, above `min_language_score`.
    language: str = limit("en")
    # The probability that the language must exceed.
    min_language_score: float = limit(0.65, FRACTION)
    # Fewest words of a page, as the family counts them.
    min_words: int = limit(50, _COUNT)
    # Most words of a page.
    max_words: int = limit(100_000, _COUNT)
    # Shortest mean length of words, in code points.
    min_mean_word_length: float = limit(3.0, _LENGTH)
    # Longest mean length of words, in code points.
    max_mean_word_length: float = limit(10.0, _LENGTH)
    # Most number signs and ellipses for each word.
    max_symbol_ratio: float = limit(0.1, _LENGTH)
    # Largest share of lines that begin with a bullet.
    max_bullet_line_fraction: float = limit(0.9, FRACTION)
    # Largest share of lines that end with an ellipsis.
    max_ellipsis_line_fraction: float = limit(0.3, FRACTION)
    # Largest share of words without a letter.
    max_non_alphabetic_word_fraction: float = limit(0.2, FRACTION)
    # Words of which a page of the language has some.
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    # Fewest of these words, repeats included.
    min_stop_words: int = limit(2, _COUNT)
    repetition: RepetitionLimits = field(default_factory=RepetitionLimits, metadata=LIMITS)
    # Largest share of the words that the cleaning of lines may take (step 26).
    max_word_removal_fraction: float = limit(0.05, FRACTION)

    def __post_init__(self) -> None:
        """Refuse unknown switches, numbers out of range and limits that no page can pass."""
        check(self, quirks=one_of(QUIRKS))
        check_fields(self)
        check_order(self, "min_words", "max_words")
        check_order(self, "min_mean_word_length", "max_mean_word_length")
        if self.min_stop_words > len(self.stop_words):
            raise ValueError(
                f"min_stop_words = {self.min_stop_words}: expected at most as many as stop_words "
                f"has, which are {len(self.stop_words)}"
            )
        if not self.ignored_url_characters.isascii():
            raise ValueError(
                f"ignored_url_characters = {self.ignored_url_characters!r}: expected ASCII"
            )
