"""Recipes by their names: functions that return the whole configuration of a curation."""

import difflib
from collections.abc import Callable
from typing import Any

from dclm_spark.errors import SettingError
from dclm_spark.recipes.c4 import c4
from dclm_spark.recipes.courteous import courteous
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.fineweb import fineweb, fineweb_edu
from dclm_spark.recipes.fineweb2 import fineweb2
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.recipes.refinedweb import raw, refinedweb
from dclm_spark.recipes.sample import sample

RECIPES: dict[str, Callable[[], Recipe]] = {
    "dclm_baseline": dclm_baseline,
    "refinedweb": refinedweb,
    "courteous": courteous,
    "raw": raw,
    "c4": c4,
    "fineweb": fineweb,
    "fineweb_edu": fineweb_edu,
    "fineweb2": fineweb2,
    "sample": sample,
}


def recipe_named(name: Any, where: str = "--recipe") -> Recipe:
    """Return the recipe called `name`; SettingError, for the setting `where`, if there is none."""
    if not isinstance(name, str) or name not in RECIPES:
        nearest = difflib.get_close_matches(str(name), RECIPES, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "no recipe has a name like it;"
        raise SettingError(
            f"{where} {name!r}: {hint} known: {', '.join(RECIPES)}, or a path ending in .yaml"
        )
    return RECIPES[name]()
