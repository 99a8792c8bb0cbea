"""Every key of a recipe: meaning, unit, default, allowed values and the stage that it redoes."""

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dclm_spark.exports.reference.setting_comments import field_comment
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.settings_choices import choices_of
from udfs.checks import FRACTION, Allowed, check
from udfs.storage.reference import FileReference

# From the beginning of a key to the first stage that another value redoes; the longest fits.
# Stages after it are redone where what they read has changed.
STAGES = {
    "name": "",
    "quirks": "documents",
    "language": "documents",
    "input": "documents",
    "extraction": "documents",
    "extraction.reading": "",
    "url_lists": "documents",
    "banned_words": "documents",
    "heuristics": "documents",
    "redaction": "documents",
    "deduplication": "deduplicate",
    "deduplication.guard": "",
    "decontamination": "decontaminate",
    "quality": "score",
    "quality.threshold": "select",
    "quality.top": "select",
    "signals": "signal",
    "rules": "select",
    "bucket": "select",
    "repeat": "select",
    "sources": "mix",
    "sources.NAME.input": "documents",
    "sources.NAME.base": "documents",
    "sources.NAME.recipe": "documents",
    "mixture": "mix",
    "mixture.deduplicate": "deduplicate",
    "tokens": "shards",
    "tokens.tokenizer": "tokenize",
    "tokens.seed": "tokenize",
    "tokens.cell_size_bytes": "tokenize",
    "limits": "",
}
_UNITS = {
    "_bytes": "bytes",
    "_per_second": "1/s",
    "_seconds": "s",
    "_fraction": "fraction",
    "_share": "fraction",
    "_characters": "code points",
    "_words": "words",
    "_documents": "documents",
    "_sentences": "sentences",
    "_tokens": "tokens",
    "word_length": "code points",
}
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_FRACTIONS = (FRACTION.words, "a fraction")
_NO_DEFAULT = "required"
_INTRODUCTION = """# Recipe keys

Every key of a recipe, as `--set KEY=VALUE` and YAML files take it. `jobs/build_baseline.py
--print-recipe` prints those of a recipe with their values. "Default" is that of the key;
"dclm_baseline" stands there only where that recipe sets another value. "Redoes" is the first stage
that a run with another value does again; "-" means none. Keys named NAME are yours to choose.
Keys that name a file (`url_lists.domains`) take a URI, or `.uri` and `.sha256` below them.
`--options own_crawl` and what goes with keys is in [recipes.md](../recipes.md); rules are in
[rules.md](rules.md), words in [glossary.md](glossary.md).

This page is made from the settings classes, their comments and their checks, by
`python -m dclm_spark.exports.reference.write_pages docs/reference`; a test keeps it complete.
"""


@dataclass(frozen=True, kw_only=True)
class RecipeKey:
    """A key of a recipe. `kind` is the settings class that has it, as its field `field`."""

    key: str
    kind: type
    field: "dataclasses.Field[Any]"
    hint: Any

    @property
    def meaning(self) -> str:
        """Return what the comment in source says, "" without one."""
        words = field_comment(self.kind, self.field.name)
        for python, yaml in (("None", "null"), ("True", "true"), ("False", "false")):
            words = words.replace(f"{python}:", f"{yaml}:")
        return words

    @property
    def unit(self) -> str:
        """Return the unit of a number by its name and range, "" for none."""
        if not {int, float} & {self.hint, *typing.get_args(self.hint)}:
            return ""
        if self.allowed.startswith(_FRACTIONS):
            return "fraction"
        ends = (unit for end, unit in _UNITS.items() if self.field.name.endswith(end))
        return next(ends, "")

    @property
    def allowed(self) -> str:
        """Return the values that the class lets pass, in words."""
        if "kinds" in self.field.metadata:
            return "one of " + ", ".join(self.field.metadata["kinds"])
        found = _allowed(self.kind).get(self.field.name)
        return found.words if found else _type_words(self.hint)

    @property
    def stage(self) -> str:
        """Return the first stage that another value redoes, "" for none."""
        parts = self.key.split(".")
        starts = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        # `language_model` and `language_limits` are of what `language` is.
        return next(
            (STAGES[start] for start in starts if start in STAGES),
            STAGES[parts[0].partition("_")[0]] if parts[0].startswith("language_") else "",
        )


def recipe_keys() -> list[RecipeKey]:
    """Return all keys, those of every dedup method, shard format and family of rules, too."""
    return list(_keys(Recipe, ""))


def _keys(kind: Any, prefix: str) -> Iterator[RecipeKey]:
    hints = typing.get_type_hints(kind)
    choices = {choice.field.name: choice for choice in choices_of(kind)}
    for field in dataclasses.fields(kind):
        hint, key = hints[field.name], prefix + field.name
        nested = _nested(hint)
        named = typing.get_origin(hint) is Mapping and nested is not None
        if field.name in choices or nested is None or named:
            yield RecipeKey(key=key, kind=kind, field=field, hint=hint)
        if field.name in choices:
            for name, one in choices[field.name].kinds.items():
                yield from _keys(one, f"{prefix}{name}.")
        elif named:
            yield from _keys(nested, f"{key}.NAME.")
        elif nested is not None:
            yield from _keys(nested, f"{key}.")


def _nested(hint: Any) -> Any:
    """Return the settings class that a field holds, None for a value or a file."""
    found = [one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)]
    return found[0] if found and found[0] is not FileReference else None


def _allowed(kind: Any) -> Mapping[str, Allowed]:
    """Return what a class lets pass, as its own checks say of the defaults."""
    settings: Any = object.__new__(kind)
    found: dict[str, Allowed] = {}
    for field in dataclasses.fields(kind):
        object.__setattr__(settings, field.name, _default(field))

    def look(frame: types.FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is check.__code__:
            given = frame.f_locals
            found.update(given["allowed"] if given["settings"] is settings else {})

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        getattr(settings, "__post_init__", lambda: None)()
    except (ValueError, TypeError):
        # Defaults of a class that needs more than those; what was checked before stands.
        pass
    finally:
        sys.setprofile(before)
    return found


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _type_words(hint: Any) -> str:
    """Return a type in words: what a value is where nothing else bounds it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return f"{_type_words(arguments[0])}, or null"
    if hint is FileReference:
        return "file (URI)"
    if origin is tuple:
        return f"list of {_type_words(arguments[0])}"
    return _TYPES.get(hint, "mapping of names")


def _shown(value: Any) -> str:
    """Return a value as YAML's flow style has it, in code marks."""
    if isinstance(value, FileReference):
        value = value.uri
    if dataclasses.is_dataclass(value) or value == {}:
        value = {}
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"`{text}`"


def _default_words(one: RecipeKey) -> str:
    factory, default = one.field.default_factory, one.field.default
    if factory is dataclasses.MISSING and default is dataclasses.MISSING:
        return _NO_DEFAULT
    value = _default(one.field)
    if "kinds" in one.field.metadata:
        value = _name_of(one, value)
    return _shown(value)


def _name_of(one: RecipeKey, value: Any) -> str:
    choices = {choice.field.name: choice for choice in choices_of(one.kind)}
    return choices[one.field.name].name_of(value)


def _baseline(one: RecipeKey) -> str:
    """Return the value of dclm_baseline where it is another one than the default, else ""."""
    value: Any = dclm_baseline()
    for part in one.key.split("."):
        choices = choices_of(type(value)) if dataclasses.is_dataclass(value) else []
        for choice in choices:
            held = getattr(value, choice.field.name)
            if part == choice.name_of(held):
                value, part = held, ""
        if not part:
            continue
        if not hasattr(value, part):
            return ""
        value = getattr(value, part)
    words = _shown(_name_of(one, value) if "kinds" in one.field.metadata else value)
    return "" if words == _default_words(one) else words


def page() -> str:
    """Return the page as Markdown: a table for each part of the recipe."""
    sections = []
    # Those of the recipe itself first, else as they are declared.
    ordered = sorted(recipe_keys(), key=lambda one: "." in one.key)
    for part, keys in groupby(ordered, key=_part):
        rows = "\n".join(map(_row, keys))
        sections.append(f"## {part}\n\n{_HEADER}\n{rows}\n")
    return _INTRODUCTION + "\n" + "\n".join(sections)


_COLUMNS = ("key", "meaning", "unit", "default", "dclm_baseline", "allowed", "redoes")
_HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


def _part(one: RecipeKey) -> str:
    """Return the heading that a key stands below."""
    first, separator, _ = one.key.partition(".")
    return f"`{first}`" if separator else "The recipe itself"


def _row(one: RecipeKey) -> str:
    cells = (
        f"`{one.key}`", one.meaning, one.unit, _default_words(one), _baseline(one), one.allowed,
        one.stage or "-",
    )  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
