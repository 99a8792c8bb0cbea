"""The recipes of a recipe's sources: each the whole recipe, with what the source has of its own."""

import re
from collections.abc import Mapping
from dataclasses import replace

from dclm_spark.errors import SettingError
from dclm_spark.mixture.source_settings import MixtureSettings
from dclm_spark.recipes.fineweb2 import with_values
from dclm_spark.recipes.named import recipe_named
from dclm_spark.recipes.recipe import Recipe, with_quirks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# What holds for the whole corpus, and can be no other in one source.
_WHOLE = ("name", "quirks", "tokens", "sources", "mixture")


def source_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe of each source, by name and in order; SettingError for what cannot be."""
    _check_parts(recipe)
    return {name: _recipe_of(recipe, name) for name in recipe.sources}


def _recipe_of(recipe: Recipe, name: str) -> Recipe:
    where = f"sources.{name}.recipe."
    given = recipe.sources[name].recipe
    if not isinstance(given, Mapping):
        raise SettingError(f"{where[:-1]} = {given!r}: expected a mapping of recipe keys to values")
    values = dict(given)
    for key in _WHOLE:
        if key in values:
            raise SettingError(
                f"{where}{key}: it holds for all sources together; set {key} of the recipe"
            )
    start = recipe
    if "base" in values:
        start = recipe_named(str(values.pop("base")), f"{where}base")
        start = replace(start, quirks=recipe.quirks, tokens=recipe.tokens, limits=recipe.limits)
    start = replace(start, name=f"{recipe.name}/{name}", sources={}, mixture=MixtureSettings())
    return with_quirks(with_values(start, values, where))


def _check_parts(recipe: Recipe) -> None:
    sources = recipe.sources
    for name in sources:
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"sources: {name!r} cannot name a source; use letters, digits, _ and -, at most 64"
            )
    folded = [name.lower() for name in sources]
    if len(set(folded)) < len(folded):
        raise SettingError(
            f"sources: {', '.join(sources)}: two names differ in their case alone, and some file "
            "systems do not tell them apart"
        )
    weighted = [name for name, one in sources.items() if one.weight is not None]
    if weighted and len(weighted) < len(sources):
        without = ", ".join(name for name in sources if name not in weighted)
        raise SettingError(
            f"sources: {', '.join(weighted)} have a weight and {without} none; give all a weight, "
            "or none, and tokens where not all of a source is wanted"
        )
    if recipe.mixture.tokens is not None and not weighted:
        raise SettingError(
            f"mixture.tokens = {recipe.mixture.tokens}: it is shared out by weights; give each "
            "source a weight"
        )


def check_compared(recipes: Mapping[str, Recipe]) -> None:
    """Raise SettingError unless the sources can be deduplicated against one another."""
    kinds = {
        name: (one.deduplication.method_name, one.deduplication.method.keeps_table)
        for name, one in recipes.items()
    }
    methods = {method for method, _ in kinds.values()}
    for name, (method, keeps) in kinds.items():
        if not keeps:
            raise SettingError(
                f"mixture.deduplicate: sources.{name} has deduplication.method = {method!r}, which "
                "leaves nothing to compare with; expected global or minhash in all sources"
            )
    if len(methods) > 1:
        raise SettingError(
            f"mixture.deduplicate: the sources have the methods {', '.join(sorted(methods))}; "
            "expected one method, with the same settings, in all of them"
        )
