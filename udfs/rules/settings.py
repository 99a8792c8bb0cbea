"""Settings that families of rules share, and the mark that tells a limit from a measurement.

A limit compares what was measured: other limits need no text again. The key of a scored table is
therefore the settings `without_limits`.
"""

import dataclasses
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from udfs.quirks import follows_reference
from udfs.rules.cleaning.steps import CleaningSettings

Settings = TypeVar("Settings")
ANNOTATE = ("first_failure", "all")
_IS_LIMIT, _RANGE = "is_limit", "range"
# Metadata of a field whose value is a dataclass of nothing but limits.
LIMITS = {_IS_LIMIT: True}


def limit(default: Any, least: float | None = None, most: float | None = None) -> Any:
    """Return the field of a limit, whose value lies in [least, most] where these are given."""
    return field(default=default, metadata=LIMITS | {_RANGE: (least, most)})


def in_range(default: Any, least: float | None = None, most: float | None = None) -> Any:
    """Return the field of a number in [least, most] that changes what is measured."""
    return field(default=default, metadata={_RANGE: (least, most)})


def fraction_limit(default: float) -> Any:
    """Return the field of a limit on a fraction, from 0 to 1."""
    return limit(default, 0.0, 1.0)


def check_ranges(settings: Any) -> None:
    """Raise ValueError, naming the field and its range, for a number outside or not finite."""
    for one in fields(settings):
        if _RANGE not in one.metadata:
            continue
        value, (least, most) = getattr(settings, one.name), one.metadata[_RANGE]
        is_number = isinstance(value, (int, float)) and math.isfinite(value)
        low, high = -math.inf if least is None else least, math.inf if most is None else most
        if (is_number and not low <= value <= high) or (isinstance(value, float) and not is_number):
            allowed = "a finite number"
            if least is not None:
                allowed = f"{least} or more" if most is None else f"from {least} to {most}"
            raise ValueError(f"{one.name}: {value!r} is out of range; write {allowed}")


def check_order(settings: Any, least: str, most: str) -> None:
    """Raise ValueError where the minimum `least` lies above the maximum `most`."""
    low, high = getattr(settings, least), getattr(settings, most)
    if low > high:
        raise ValueError(
            f"{least}: {low!r} is above {most}, {high!r}, so that no page passes; lower {least} "
            f"or raise {most}"
        )


def without_limits(settings: Settings) -> Settings:
    """Return the settings with every limit at its default, in nested ones too."""
    changes: dict[str, Any] = {}
    for one in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, one.name)
        if one.metadata.get(_IS_LIMIT):
            changes[one.name] = default_of(one)
        elif dataclasses.is_dataclass(value):
            changes[one.name] = without_limits(value)
    return replace(settings, **changes)  # type: ignore[type-var]


def default_of(one: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field that has one."""
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


@dataclass(frozen=True, kw_only=True)
class RepetitionLimits:
    """Highest fractions of step 17 (spec 2.6), named as in `udfs.rules.repetition.FRACTIONS`."""

    repeated_lines: float = fraction_limit(0.30)
    repeated_paragraphs: float = fraction_limit(0.30)
    repeated_line_characters: float = fraction_limit(0.20)
    repeated_paragraph_characters: float = fraction_limit(0.20)
    top_2_gram: float = limit(0.20, 0.0)
    top_3_gram: float = limit(0.18, 0.0)
    top_4_gram: float = limit(0.16, 0.0)
    repeated_5_grams: float = limit(0.15, 0.0)
    repeated_6_grams: float = limit(0.14, 0.0)
    repeated_7_grams: float = limit(0.13, 0.0)
    repeated_8_grams: float = limit(0.12, 0.0)
    repeated_9_grams: float = limit(0.11, 0.0)
    repeated_10_grams: float = limit(0.10, 0.0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """What more than one family reads; defaults: `dclm_baseline_refinedweb.yaml` (spec 2.2).

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # False: texts pass as they are, without signals.
    enabled: bool = True
    quirks: str = "dclm-2024"
    # "first_failure": a dropped document is not looked at further, and its text is as it stood;
    # "all": every signal of every document is computed, and every text is cleaned.
    annotate: str = limit("first_failure")
    # Steps 3 and 5.
    ignored_url_characters: str = limit("-.")
    min_soft_url_words: int = limit(2, 1)
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    # Step 9: the top label must be this language, with a probability above the other.
    language: str = limit("en")
    min_language_score: float = fraction_limit(0.65)
    min_words: int = limit(50, 0)
    max_words: int = limit(100_000, 0)
    # In code points.
    min_mean_word_length: float = limit(3.0, 0.0)
    max_mean_word_length: float = limit(10.0, 0.0)
    max_symbol_ratio: float = limit(0.1, 0.0)
    max_bullet_line_fraction: float = fraction_limit(0.9)
    max_ellipsis_line_fraction: float = fraction_limit(0.3)
    max_non_alphabetic_word_fraction: float = fraction_limit(0.2)
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    min_stop_words: int = limit(2, 0)
    repetition: RepetitionLimits = field(default_factory=RepetitionLimits, metadata=LIMITS)
    max_word_removal_fraction: float = fraction_limit(0.05)

    def __post_init__(self) -> None:
        """Refuse unknown switches, numbers out of range and limits that no page can pass."""
        follows_reference(self.quirks)
        if self.annotate not in ANNOTATE:
            raise ValueError(
                f"annotate: {self.annotate!r} is not known; write one of "
                f"{', '.join(map(repr, ANNOTATE))}"
            )
        if not self.ignored_url_characters.isascii():
            raise ValueError(
                f"ignored_url_characters: {self.ignored_url_characters!r} is not ASCII; write "
                "ASCII characters"
            )
        check_ranges(self)
        check_order(self, "min_words", "max_words")
        check_order(self, "min_mean_word_length", "max_mean_word_length")
