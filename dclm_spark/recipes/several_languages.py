"""A recipe in several languages, or all: `language=[deu_Latn, fra_Latn]`, and the recipe of each.

A list stands in `language` with commas between its codes. `all` is every language whose limits are
known (`languages_with_limits`) and that the recipe's language model tells.
"""

from collections.abc import Sequence

from dclm_spark.errors import SettingError
from dclm_spark.recipes.fineweb2 import (
    ENGLISH,
    EVERY,
    has_limits,
    is_several,
    known_languages,
)
from dclm_spark.recipes.recipe import Recipe
from udfs import storage
from udfs.fasttext.model import labels_of
from udfs.languages.codes import code_of, is_code, nearest_codes, typed_code
from udfs.storage.cache import fetch
from udfs.storage.stream import shown

_ENDINGS = (".yml", ".yaml")


def limits_by_language(folder: str) -> dict[str, str]:
    """Return the file of each language's limits in a folder, by its code; {} for no folder.

    Raises SettingError for a folder without any.
    """
    if not folder:
        return {}
    found = {}
    for uri in storage.list_files(folder) if not folder.endswith(_ENDINGS) else ():
        name = uri.rpartition("/")[2]
        code = name.rpartition(".")[0]
        if name.endswith(_ENDINGS) and is_code(code):
            found[code] = uri
    if not found:
        raise SettingError(
            f"language_limits = {shown(folder)!r}: for several languages expected a folder "
            "of files named after their languages, such as deu_Latn.yml"
        )
    return found


def languages_with_limits(folder: str = "") -> tuple[str, ...]:
    """Return the codes of languages with limits: of the folder, of the package, and English.

    English has the limits of the recipe without a language.
    """
    return tuple(sorted({*limits_by_language(folder), *known_languages(), ENGLISH}))


def codes_of(recipe: Recipe) -> dict[str, str]:
    """Return the code of each language that a recipe names, with the file of its limits ("": ours).

    Raises SettingError that names the wrong one and says what is allowed.
    """
    files = limits_by_language(recipe.language_limits)
    model = recipe.language_model
    told = {code_of(label) for label in labels_of(fetch(model.uri, model.sha256))}
    known = languages_with_limits(recipe.language_limits)
    allowed = tuple(code for code in known if code in told)
    if recipe.language == EVERY:
        codes = allowed
    else:
        codes = tuple(typed_code(name) for name in recipe.language.split(",") if name)
        if not has_limits(recipe):
            # The rule on the language alone needs none.
            allowed = tuple(sorted(told))
    for code in codes:
        if code not in allowed:
            reason = (
                "it is no code of language and script, such as deu_Latn" if not is_code(code)
                else "no limits are known of it" if code in told
                else "the language model does not tell it"
            )  # fmt: skip
            hint = nearest_codes(code, allowed)
            more = "" if hint else f"; expected any of {', '.join(allowed)}"
            if has_limits(recipe):
                more += "; for another language give language_limits, a folder with CODE.yml"
            raise SettingError(f"language = {recipe.language!r}: {code!r}: {hint}{reason}{more}")
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise SettingError(f"language = {recipe.language!r}: it names {twice[0]} twice")
    return {code: files.get(code, "") for code in codes}


def without_language(assignments: Sequence[str]) -> list[str]:
    """Return the assignments that do not say which languages there are."""
    names = ("language", "language_limits")
    return [one for one in assignments if one.partition("=")[0].strip() not in names]


def check_one_language(recipe: Recipe, where: str = "jobs/build_baseline.py alone runs") -> None:
    """Raise SettingError for a recipe of several languages."""
    if is_several(recipe.language):
        raise SettingError(
            f"language = {recipe.language!r}: {where} a recipe in several languages; give one, "
            "such as language=deu_Latn"
        )
