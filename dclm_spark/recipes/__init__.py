"""Recipes by name or file, with what is changed of them."""

from collections.abc import Sequence
from dataclasses import replace

from dclm_spark.errors import SettingError
from dclm_spark.recipes.fineweb2 import in_language, with_values
from dclm_spark.recipes.named import RECIPES, recipe_named
from dclm_spark.recipes.recipe import Recipe, with_quirks
from dclm_spark.settings import override
from dclm_spark.yaml_text import read_yaml
from udfs import storage
from udfs.storage.stream import shown

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

    Named `options` (OPTIONS) come first, `assignments` after them.

    The file is a path or URI. It holds the keys that it changes; its `base` names the recipe that
    it starts from (dclm_baseline unless given). Raises SettingError for unknown names, keys or
    values.
    """
    recipe = _from_file(name) if name.endswith((".yaml", ".yml")) else recipe_named(name)
    chosen = [assignment for option in options for assignment in _option(option)]
    found = override(override(recipe, chosen), assignments)
    if (found.language, found.language_limits) != (recipe.language, recipe.language_limits):
        # First what the language says, then what was typed.
        recipe = in_language(recipe, found.language, found.language_limits)
        found = replace(override(override(recipe, chosen), assignments), language=recipe.language)
    return with_quirks(found)


def _option(name: str) -> tuple[str, ...]:
    if name not in OPTIONS:
        raise SettingError(f"--options {name!r}: expected one of {', '.join(OPTIONS)}")
    return OPTIONS[name]


def _from_file(uri: str) -> Recipe:
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
        return with_values(base, values)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None


__all__ = ["OPTIONS", "RECIPES", "Recipe", "load_recipe"]
