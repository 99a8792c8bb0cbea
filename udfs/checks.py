"""Checks of settings: which values a field may have, and the error that says so.

A message begins with the name of the field, so that whoever built the settings from text can put
the key of the settings before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Allowed:
    """Values by a predicate and in words. NaN fails every comparison, so no range holds it."""

    holds: Callable[[Any], bool]
    words: str

    def but(self, advice: str) -> "Allowed":
        """Return the same values with advice for whoever gave another one."""
        return Allowed(self.holds, f"{self.words}; {advice}")


def at_least(low: float) -> Allowed:
    """Return the numbers from `low` on."""
    return Allowed(lambda value: value >= low, f"at least {low}")


def above(low: float) -> Allowed:
    """Return the numbers above `low`."""
    return Allowed(lambda value: value > low, f"more than {low}")


def between(low: float, high: float) -> Allowed:
    """Return the numbers from `low` to `high`, both included."""
    return Allowed(lambda value: low <= value <= high, f"{low} to {high}")


def share_above_zero() -> Allowed:
    """Return the fractions above 0, up to 1."""
    return Allowed(lambda value: 0 < value <= 1, "a fraction above 0 and at most 1")


def one_of(names: Sequence[str]) -> Allowed:
    """Return the given names."""
    words = ", ".join(name or repr(name) for name in names)
    return Allowed(lambda value: value in names, f"one of {words}")


FRACTION = between(0.0, 1.0)


def check(settings: Any, **allowed: Allowed) -> None:
    """Raise ValueError for the first field with a value outside of `allowed`; None passes."""
    for name, values in allowed.items():
        value = getattr(settings, name)
        if value is not None and not values.holds(value):
            raise ValueError(f"{name} = {value!r}: expected {values.words}")


def check_order(settings: Any, low: str, high: str) -> None:
    """Raise ValueError when the field `low` is larger than the field `high`."""
    least, most = getattr(settings, low), getattr(settings, high)
    if least > most:
        raise ValueError(f"{low} = {least!r}: expected at most {high} = {most!r}")
