"""Counts, shares, sizes, durations and rates as people read them."""

from collections.abc import Sequence
from typing import Protocol

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count_text(count: int | None) -> str:
    """Return a count with separators, or a dash where it was not taken."""
    return "–" if count is None else f"{count:,}"


def share_text(part: int, whole: int) -> str:
    """Return `part` of `whole` in per cent; small shares keep two significant digits."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def bytes_text(size: int | None) -> str:
    """Return a size in decimal units."""
    if size is None:
        return "–"
    value, unit = float(size), 0
    while abs(value) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


class LimitLike(Protocol):
    """What is compared with: a side and a value (`charts.Limit`)."""

    @property
    def side(self) -> str:
        """Return "minimum", "maximum" or "below"."""

    @property
    def value(self) -> float:
        """Return the value that is compared with."""


def limits_text(limits: Sequence[LimitLike]) -> str:
    """Return limits as text: minimum 50, maximum 100,000."""
    return ", ".join(f"{one.side} {value_text(one.value)}" for one in limits) or "–"


def duration_text(seconds: float | None) -> str:
    """Return a duration for people: 0.8 s, 12 s, 3 min 20 s, 4 h 10 min; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def value_text(value: float | None) -> str:
    """Return a number with six digits at most, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def rate_text(amount: float | None, seconds: float | None) -> str:
    """Return `amount` a second with two digits, or a dash where one of them is missing."""
    if amount is None or seconds is None or seconds <= 0:
        return "–"
    rate = amount / seconds
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.2g}"


def fixed_text(value: float | None, digits: int = 4) -> str:
    """Return a number with `digits` decimals; a missing one is N/A."""
    return "N/A" if value is None else f"{value:.{digits}f}"
