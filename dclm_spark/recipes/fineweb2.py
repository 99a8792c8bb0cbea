"""FineWeb2 in one language, and any recipe in a language: `language=deu_Latn`."""

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from dclm_spark.errors import SettingError
from dclm_spark.recipes.fineweb import fineweb
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.settings import merge
from dclm_spark.yaml_text import read_yaml
from udfs import storage
from udfs.languages.codes import is_code, nearest_codes, typed_code
from udfs.rules.families import HeuristicSettings
from udfs.rules.fineweb2 import FineWeb2Settings
from udfs.rules.settings import RepetitionLimits
from udfs.storage.stream import shown

# Its limits are those of the rules as they stand, which were made for it.
ENGLISH = "eng_Latn"
# The rules of a recipe without rules, once it has a language.
LANGUAGE_ONLY = "language_only"
# What stands in `language` for every language with limits.
EVERY = "all"
_FOLDER = files("dclm_spark") / "recipes" / "languages"
_KEYS = {
    "dup_line_frac", "dup_n_grams", "language_score", "line_punct_thr", "max_avg_word_length",
    "max_non_alpha_words_ratio", "min_avg_word_length", "new_line_ratio", "stopwords",
    "top_n_grams",
}  # fmt: skip
# Of n-grams, in words.
_LENGTHS = {"top_n_grams": range(2, 5), "dup_n_grams": range(5, 11)}
# What FineWeb2 does not limit: 1.0 is never exceeded.
_UNLIMITED = {
    "repeated_paragraphs": 1.0, "repeated_paragraph_characters": 1.0,
    "repeated_line_characters": 1.0,
}  # fmt: skip


def fineweb2() -> Recipe:
    """Return FineWeb2's filters and FineWeb's MinHash; `language` says in which language.

    Its copies are looked for behind the filters, where FineWeb2 does it between the language and
    the other filters. Without `language` the limits are those of FineWeb in English.
    """
    recipe = fineweb()
    heuristics = replace(recipe.heuristics, rules="fineweb2")
    return replace(recipe, name="fineweb2", heuristics=heuristics)


@cache
def known_languages() -> tuple[str, ...]:
    """Return the codes of the languages whose limits come with the package."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml")))


def in_language(recipe: Recipe, language: str, limits_uri: str = "") -> Recipe:
    """Return a recipe whose rules are those of a language, by its code or a model's label.

    Limits and stop words come from `limits_uri`, a YAML file as FineWeb2 publishes them, or from
    the package; English keeps those of the recipe, as does any language where no rule but that on
    the language judges. Raises SettingError for a language without limits where there are others.
    """
    code = typed_code(language)
    if not is_code(code):
        hint = nearest_codes(language, (*known_languages(), ENGLISH))
        known = f"; limits are known of {', '.join(known_languages())}"
        raise SettingError(
            f"language = {language!r}: {hint}expected a code of language and script, such as "
            f"deu_Latn, or a label of lid.176, such as de{known if has_limits(recipe) else ''}"
        )
    shared = recipe.heuristics
    if not shared.enabled:
        # Nothing is filtered: all pages in the language.
        shared = replace(shared, enabled=True, rules=LANGUAGE_ONLY)
    own_limits = code == ENGLISH or (code not in known_languages() and not has_limits(recipe))
    if own_limits and not limits_uri:
        return replace(recipe, language=code, heuristics=replace(shared, language=code))
    values = _limits(code, limits_uri)
    heuristics = replace(shared, language=code, min_language_score=values["language_score"])
    found = replace(recipe, language=code, heuristics=heuristics)
    if not has_limits(found):
        return found
    return replace(found, heuristics=_with_words(heuristics, values, language))


def has_limits(recipe: Recipe) -> bool:
    """Say whether a recipe in a language asks more of a page than that it is in the language."""
    rules = recipe.heuristics
    return rules.enabled and rules.family.rules != ("language",)


def _with_words(
    heuristics: HeuristicSettings, values: dict[str, Any], language: str
) -> HeuristicSettings:
    """Return the settings with the language's stop words, and its limits where they are for it."""
    words, rules = tuple(values["stopwords"]), heuristics.rules
    if heuristics.family.segments_words:
        own = {rules: _own_limits(values, getattr(heuristics, rules))}
        return replace(heuristics, stop_words=words, **(_shared_limits(values) | own))
    # The other families look for ASCII words alone.
    words = tuple(word for word in words if word.isascii())
    if len(words) < heuristics.min_stop_words:
        raise SettingError(
            f"language = {language!r}: heuristics.rules = {rules!r} cannot look for its stop "
            "words; take --recipe fineweb2"
        )
    return replace(heuristics, stop_words=words)


def is_several(language: str) -> bool:
    """Say whether a recipe's `language` (`joined`) names several, or all."""
    return language == EVERY or "," in language


def joined(value: Any) -> str:
    """Return what a recipe holds of a `language` as YAML or a command line give it.

    A list has commas, one of a single language too. Raises SettingError for an empty one.
    """
    parts = value
    if isinstance(value, str):
        text = value.strip()
        if not ("," in text or text.startswith("[")):
            return text
        parts = text.strip("[]").split(",")
    names = [name for part in parts if (name := str(part).strip().strip("'\""))]
    if not names:
        raise SettingError(
            f"language = {value!r}: expected a code such as deu_Latn, a list of them, or {EVERY}"
        )
    return ",".join(names) + ("," if len(names) == 1 else "")


def with_values(start: Recipe, values: dict[str, Any], where: str = "") -> Recipe:
    """Return a recipe with keys of a file: first what its language says, then the others."""
    if values.get("language"):
        values["language"] = joined(values["language"])
        if not is_several(values["language"]):
            limits = str(values.get("language_limits") or "")
            start = in_language(start, values.pop("language"), limits)
    return merge(start, values, where)


def _own_limits(values: dict[str, Any], own: FineWeb2Settings) -> FineWeb2Settings:
    return replace(
        own,
        min_terminated_line_fraction=values["line_punct_thr"],
        max_newlines_per_word=values["new_line_ratio"],
    )


def _shared_limits(values: dict[str, Any]) -> dict[str, Any]:
    top = {f"top_{n}_gram": fraction for n, fraction in values["top_n_grams"]}
    repeated = {f"repeated_{n}_grams": fraction for n, fraction in values["dup_n_grams"]}
    return {
        "min_mean_word_length": float(values["min_avg_word_length"]),
        "max_mean_word_length": float(values["max_avg_word_length"]),
        # The published number is the least share of words with a letter.
        "max_non_alphabetic_word_fraction": round(1.0 - values["max_non_alpha_words_ratio"], 9),
        "repetition": RepetitionLimits(
            repeated_lines=values["dup_line_frac"], **_UNLIMITED, **top, **repeated
        ),
    }


def _limits(code: str, uri: str) -> dict[str, Any]:
    """Return the limits of a language, as FineWeb2 names them."""
    if not uri and code not in known_languages():
        hint = nearest_codes(code, (*known_languages(), ENGLISH))
        raise SettingError(
            f"language = {code!r}: {hint}no limits are known of {code}, but of "
            f"{', '.join(known_languages())}; give language_limits, a YAML file like those of "
            "huggingface/fineweb-2 (jobs/derive_limits.py makes one)"
        )
    source = f"language_limits {shown(uri) or code}"
    content = storage.read_bytes(uri) if uri else (_FOLDER / f"{code}.yml").read_bytes()
    try:
        values = read_yaml(content.decode("utf-8-sig"), source)
    except UnicodeDecodeError as error:
        raise SettingError(f"{source}: no text in UTF-8 ({error})") from error
    missing = sorted(_KEYS - set(values if isinstance(values, dict) else {}))
    if missing:
        raise SettingError(f"{source}: it lacks {', '.join(missing)}")
    for key in sorted(_KEYS):
        _check_limit(key, values[key], source)
    return dict(values)


def _check_limit(key: str, value: Any, source: str) -> None:
    """Raise SettingError for a value of another form than FineWeb2 publishes."""
    expected, is_right = "a number", _is_number(value)
    if key == "stopwords":
        expected = "a list of words; put in quotes what YAML takes for something else"
        is_right = isinstance(value, list) and all(isinstance(word, str) for word in value)
    elif key.endswith("_n_grams"):
        known = _LENGTHS[key]
        expected = f"a list of pairs, a length from {known[0]} to {known[-1]} and a fraction"
        is_right = isinstance(value, list) and all(_is_pair(pair, known) for pair in value)
    if not is_right:
        raise SettingError(f"{source}: {key} = {value!r}: expected {expected}")


def _is_pair(value: Any, lengths: range) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return is_pair and value[0] in lengths


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
