"""Recipes by name: functions that return the whole configuration of a curation."""

import difflib
from collections.abc import Callable, Sequence

import yaml

from dclm_spark.errors import SettingError
from dclm_spark.recipes.c4 import c4
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.fineweb import fineweb, fineweb_edu
from dclm_spark.recipes.recipe import Recipe, with_quirks
from dclm_spark.recipes.refinedweb import raw, refinedweb
from dclm_spark.recipes.sample import sample
from dclm_spark.settings import override
from udfs import storage

RECIPES: dict[str, Callable[[], Recipe]] = {
    "dclm_baseline": dclm_baseline,
    "refinedweb": refinedweb,
    "raw": raw,
    "c4": c4,
    "fineweb": fineweb,
    "fineweb_edu": fineweb_edu,
    "sample": sample,
}


def load_recipe(name: str, assignments: Sequence[str] = ()) -> Recipe:
    """Return the recipe called `name`, or of the YAML file (or URI) `name`, with overrides applied.

    A YAML file holds the keys that it changes; its `base` names the recipe that it starts from
    (dclm_baseline unless given). Raises SettingError for unknown names, keys or values.
    """
    recipe = _from_file(name) if name.endswith((".yaml", ".yml")) else _by_name(name)
    return with_quirks(override(recipe, assignments))


def _by_name(name: str) -> Recipe:
    if name not in RECIPES:
        nearest = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "no recipe has a name like it;"
        raise SettingError(
            f"--recipe {name!r}: {hint} known: {', '.join(RECIPES)}, or a path ending in .yaml"
        )
    return RECIPES[name]()


def _from_file(uri: str) -> Recipe:
    if not storage.exists(uri):
        raise SettingError(f"--recipe {uri}: there is no such file")
    values = yaml.safe_load(storage.read_bytes(uri))
    if not isinstance(values, dict):
        raise SettingError(f"--recipe {uri}: expected a mapping of recipe keys to values")
    base = _by_name(values.pop("base", "dclm_baseline"))
    return override(base, [f"{key}={_inline(value)}" for key, value in _leaves(values)])


def _leaves(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    leaves: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, dict) and "uri" not in value:
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


def _inline(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("\n...\n")


__all__ = ["RECIPES", "Recipe", "load_recipe"]
