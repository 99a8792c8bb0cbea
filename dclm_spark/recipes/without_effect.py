"""Settings that change nothing, for what they belong to is switched off."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from dclm_spark.recipes.recipe import Recipe
from udfs.rules.families import FAMILIES

# Keys of sections that count although the section is off.
_COUNT_ALWAYS = {"enabled", "data", "measured", "rules", "language", "quirks"}


def without_effect(recipe: Recipe, assignments: Sequence[str]) -> list[str]:
    """Return a line for each of the assignments `key=value` that changes nothing of the recipe."""
    off = list(_switched_off(recipe))
    found = []
    for key in dict.fromkeys(one.partition("=")[0].strip() for one in assignments):
        reasons = (reason for prefix, reason in off if key.startswith(f"{prefix}."))
        reason = next(reasons, None)
        if reason is not None and key.rpartition(".")[2] not in _COUNT_ALWAYS:
            found.append(f"{key} has no effect: {reason}")
    return found


def _switched_off(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield the sections that are off, each with what switches it off."""
    yield from _disabled(recipe)
    if recipe.decontamination.data is None:
        yield "decontamination", "decontamination.data is not set"
    rules = recipe.heuristics.rules
    for name in FAMILIES:
        if name != rules:
            yield f"heuristics.{name}", f"heuristics.rules is {rules}"


def _disabled(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the sections below `settings` that hold `enabled: false`, outer ones first."""
    for field in dataclasses.fields(settings):
        section, key = getattr(settings, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(section):
            if getattr(section, "enabled", True) is False:
                yield key, f"{key}.enabled is false"
            yield from _disabled(section, f"{key}.")
