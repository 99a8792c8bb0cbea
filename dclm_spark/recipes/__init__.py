"""Recipes by name or file, with what is changed of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dclm_spark.errors import SettingError
from dclm_spark.recipes.fineweb2 import in_language, is_several, joined, with_values
from dclm_spark.recipes.named import RECIPES, recipe_named
from dclm_spark.recipes.recipe import Recipe, with_quirks
from dclm_spark.recipes.several_languages import codes_of, without_language
from dclm_spark.recipes.without_effect import without_effect
from dclm_spark.settings import override
from dclm_spark.yaml_text import read_yaml
from udfs import storage
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")
# Settings that belong together, by the name of what they are for. A crawl of one's own (Heritrix,
# Nutch, wget) holds redirects, errors, DNS records, which have no status, images and scripts;
# Common Crawl keeps them out of its WARCs.
OPTIONS: dict[str, tuple[str, ...]] = {
    "own_crawl": (
        "extraction.http_statuses=[200]",
        "extraction.mime_types=[text/html, application/xhtml+xml]",
    ),
}


def load_recipe(name: str, assignments: Sequence[str] = (), options: Sequence[str] = ()) -> Recipe:
    """Return the recipe called `name`, or the one in the YAML file `name`, with overrides applied.

    Named `options` (OPTIONS) come first, `assignments` after them. A recipe in several languages
    holds their names in `language`, and no limits of theirs; see `language_recipes`.

    The file is a path or URI. It holds the keys that it changes; its `base` names the recipe that
    it starts from (dclm_baseline unless given). Raises SettingError for unknown names, keys or
    values.
    """
    recipe = _loaded(name, assignments, options, {})
    for line in without_effect(recipe, assignments):
        LOGGER.warning("--set %s", line)
    return recipe


def language_recipes(
    name: str, assignments: Sequence[str] = (), options: Sequence[str] = ()
) -> dict[str, Recipe]:
    """Return the recipe of each language of a recipe in several, by its code.

    Each is what `load_recipe` gives for that language alone, but for its name. Raises SettingError
    for a language that cannot be.
    """
    whole = _loaded(name, assignments, options, {})
    others = without_language(assignments)
    found = {}
    for code, limits in codes_of(whole).items():
        given = {"language": code, "language_limits": limits}
        own = _loaded(name, others, options, given)
        found[code] = replace(own, name=f"{whole.name}/{code}")
    return found


def _loaded(
    name: str, assignments: Sequence[str], options: Sequence[str], given: Mapping[str, Any]
) -> Recipe:
    """Return a recipe; `given` keys stand in place of those of the file or the named recipe."""
    is_file = name.endswith((".yaml", ".yml"))
    recipe = _from_file(name, given) if is_file else with_values(recipe_named(name), dict(given))
    chosen = [assignment for option in options for assignment in _option(option)]
    found = override(override(recipe, chosen), assignments)
    found = replace(found, language=joined(found.language))
    if (found.language, found.language_limits) != (recipe.language, recipe.language_limits):
        if is_several(found.language):
            return with_quirks(found)
        # First what the language says, then what was typed.
        recipe = in_language(recipe, found.language, found.language_limits)
        found = replace(override(override(recipe, chosen), assignments), language=recipe.language)
    return with_quirks(found)


def _option(name: str) -> tuple[str, ...]:
    if name not in OPTIONS:
        raise SettingError(f"--options {name!r}: expected one of {', '.join(OPTIONS)}")
    return OPTIONS[name]


def _from_file(uri: str, given: Mapping[str, Any]) -> Recipe:
    where = f"--recipe {shown(uri)}"
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"{where}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except storage.MissingObjectError:
        raise SettingError(
            f"{where}: there is no such file; known names: {', '.join(RECIPES)}"
        ) from None
    values = read_yaml(text, where)
    if values is None:
        raise SettingError(f"{where}: it is empty; write at least one key, such as base: c4")
    if not isinstance(values, dict):
        raise SettingError(f"{where}: expected a mapping of recipe keys to values")
    base = recipe_named(values.pop("base", "dclm_baseline"), f"{where}: base")
    try:
        return with_values(base, {**values, **given})
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None


__all__ = ["OPTIONS", "RECIPES", "Recipe", "is_several", "language_recipes", "load_recipe"]
