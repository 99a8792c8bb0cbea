"""What every rule of every family looks at, by the name of the rule, with the paper it is from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dclm_spark.exports.reference import fate_lines
from dclm_spark.recipes import RECIPES, load_recipe
from udfs.rules.families import FAMILIES, HeuristicSettings, rules_of

_GOPHER = "Gopher (Rae 2021, arXiv:2112.11446)"
_REFINEDWEB = "RefinedWeb (Penedo 2023, arXiv:2306.01116)"
_C4 = "C4 (Raffel 2020, arXiv:1910.10683)"
_FINEWEB = "FineWeb (Penedo 2024, arXiv:2406.17557)"
_DCLM = "DCLM (Li 2024, arXiv:2406.11794)"
# Named where a family is described.
FAMILY_SOURCES = {
    "refinedweb": f"the 26 steps of DCLM-BASELINE, after {_REFINEDWEB}; {_DCLM}",
    "c4": f"{_C4}, as DCLM's `c4.yaml` has it",
    "fineweb": _FINEWEB,
    "fineweb2": "FineWeb2 (Penedo 2025, arXiv:2506.20920)",
    "language_only": "the rule on the language alone, which `raw` has once it has a `language`",
}
_FAMILY_RECIPES = {"refinedweb": "dclm_baseline"}


class RuleLine(NamedTuple):
    """A rule in one line: what it looks at, when it drops a page, by which settings, its source.

    `settings` are fields of HeuristicSettings, dotted where they are nested.
    """

    looks_at: str
    drops: str
    settings: tuple[str, ...]
    source: str

    @property
    def limits(self) -> tuple[tuple[str, str], ...]:
        """The settings that the rule's value is compared with, each with the side that is kept.

        A side is "minimum", "maximum" or "below"; rules that only look whether something is
        there, or left, have none.
        """
        if self.drops in ("nothing is left", "any"):
            return ()
        sides = [(_side(name), name) for name in self.settings]
        known = [(side, name) for side, name in sides if side]
        # Two limits of one quantity have one name but for the side; further settings say what is
        # counted.
        quantity = {name.replace("min_", "max_") for _, name in known[:1]}
        return tuple(one for one in known if one[1].replace("min_", "max_") in quantity)


def _side(setting: str) -> str:
    if setting == "min_soft_url_words":
        return "below"
    if setting.startswith("repetition."):
        return "maximum"
    prefix = setting.rpartition(".")[2][:4]
    return {"min_": "minimum", "max_": "maximum"}.get(prefix, "")


def _repetitions(repeated: str, again: str, prefix: str = "") -> dict[str, RuleLine]:
    """Return the lines of what is repeated, for families that count it in the given words."""
    looks = {}
    for name in ("lines", "paragraphs"):
        looks[f"repeated_{name}"] = f"{name} {repeated} / all {name}"
        looks[f"repeated_{name[:-1]}_characters"] = f"characters of {name} {repeated} / characters"
    for n in (2, 3, 4):
        looks[f"top_{n}_gram"] = (
            f"characters of the commonest run of {n} words x how often it occurs / all"
        )
    for n in range(5, 11):
        looks[f"repeated_{n}_grams"] = f"characters of words in runs of {n} words {again} / all"
    return {
        f"{prefix}{rule}": RuleLine(what, "share above limit", (f"repetition.{rule}",), _GOPHER)
        for rule, what in looks.items()
    }


# By the rule's name; a family's own variant by "family.rule".
RULE_LINES: dict[str, RuleLine] = {
    "url_unreadable": RuleLine(
        "the address", "it cannot be split into its parts: the reference fails on it", (), _DCLM
    ),
    "url_domain": RuleLine(
        "host of the address", "`url_lists.domains` bans it", (), _REFINEDWEB
    ),
    "url_strict_word": RuleLine(
        "the address without ignored characters",
        "an entry of `url_lists.strict_words` stands anywhere in it",
        ("ignored_url_characters",), _REFINEDWEB,
    ),
    "url_hard_word": RuleLine(
        "the address", "an entry of `url_lists.hard_words` stands in it as a whole word", (),
        _REFINEDWEB,
    ),
    "url_soft_words": RuleLine(
        "different entries of `url_lists.soft_words` in the address, as whole words",
        "at least so many", ("min_soft_url_words",), _REFINEDWEB,
    ),
    "url_removal": RuleLine(
        "the text once addresses are cut out", "nothing is left", ("cleaning.remove_urls",), _DCLM
    ),
    "language": RuleLine(
        "the likeliest language and its probability",
        "another language, or a probability that is not above the limit",
        ("language", "min_language_score"), f"{_REFINEDWEB}; fastText lid.176",
    ),
    "page_length": RuleLine(
        "words that are more than punctuation", "fewer or more than the limits",
        ("min_words", "max_words"), _GOPHER,
    ),
    "refinedweb.page_length": RuleLine(
        "words, as DCLM counts them", "fewer or more than the limits", ("min_words", "max_words"),
        _GOPHER,
    ),
    "c4.page_length": RuleLine(
        "code points of the text", "more than the limit", ("c4.max_characters",), _DCLM
    ),
    "mean_word_length": RuleLine(
        "code points of words / words", "below or above the limits, or no word",
        ("min_mean_word_length", "max_mean_word_length"), _GOPHER,
    ),
    "symbol_ratio": RuleLine(
        "number signs and ellipses / words", "ratio above limit", ("max_symbol_ratio",), _GOPHER
    ),
    "hash_symbols": RuleLine(
        "number signs / words", "ratio above limit", ("max_symbol_ratio",), _GOPHER
    ),
    "ellipses": RuleLine("ellipses / words", "ratio above limit", ("max_symbol_ratio",), _GOPHER),
    "bullet_lines": RuleLine(
        "lines that begin with a bullet / lines", "share above limit",
        ("max_bullet_line_fraction",), _GOPHER,
    ),
    "ellipsis_lines": RuleLine(
        "lines that end with an ellipsis / lines", "share above limit",
        ("max_ellipsis_line_fraction",), _GOPHER,
    ),
    "alphabetic_words": RuleLine(
        "words without a letter / words", "share above limit, or no word",
        ("max_non_alphabetic_word_fraction",), _GOPHER,
    ),
    "stop_words": RuleLine(
        "stop words in the text, repeats included", "fewer than the limit",
        ("stop_words", "min_stop_words"), _GOPHER,
    ),
    **_repetitions("that came before", "that came before"),
    **_repetitions("that occur more than once", "that occur more than once", "refinedweb."),
    "uppercase_lines": RuleLine(
        "lines with too large a share of upper-case characters, which are removed",
        "nothing is left", ("cleaning.max_uppercase_fraction",), _REFINEDWEB,
    ),
    "numeric_lines": RuleLine(
        "lines with too large a share of digits, which are removed", "nothing is left",
        ("cleaning.max_numeric_fraction",), _REFINEDWEB,
    ),
    "counter_lines": RuleLine(
        'lines such as "3 likes", which are removed', "nothing is left",
        ("cleaning.remove_counter_lines",), _REFINEDWEB,
    ),
    "line_length": RuleLine(
        "lines of too few words, which are removed", "nothing is left",
        ("cleaning.min_words_per_line",), _REFINEDWEB,
    ),
    "items_in_cart": RuleLine(
        "a phrase in short lines, which is deleted", "nothing is left",
        ("cleaning.phrase_anywhere", "cleaning.max_words_around_phrase"), _REFINEDWEB,
    ),
    "read_more": RuleLine(
        "a phrase at the end of short lines, which is deleted", "nothing is left",
        ("cleaning.phrase_at_line_end", "cleaning.max_words_around_phrase"), _REFINEDWEB,
    ),
    "sign_in": RuleLine(
        "a phrase at the start of short lines, which is deleted", "nothing is left",
        ("cleaning.phrase_at_line_start", "cleaning.max_words_around_phrase"), _REFINEDWEB,
    ),
    "word_removal": RuleLine(
        "words that the removal of lines and phrases took / words before",
        "share above limit, or no word before", ("max_word_removal_fraction",), _REFINEDWEB,
    ),
    "lorem_ipsum": RuleLine('lines with "lorem ipsum"', "any", (), _C4),
    "curly_bracket": RuleLine("lines with a curly bracket", "any", (), _C4),
    "c4.few_sentences": RuleLine(
        "sentences of the lines that stay", "fewer than the limit",
        ("c4.min_sentences", "c4.min_words_per_line", "c4.max_word_length"), _C4,
    ),
    "fineweb.few_sentences": RuleLine(
        "sentences of the lines that stay", "fewer than the limit",
        ("fineweb.min_sentences", "fineweb.min_words_per_line", "fineweb.max_word_length"), _C4,
    ),
    "banned_words": RuleLine(
        "entries of `banned_words` in the text, as whole words in any case", "any", (), _C4
    ),
}  # fmt: skip


def _line_shapes(family: str) -> dict[str, RuleLine]:
    rules = {
        "line_punctuation": (
            "lines whose last mark ends a sentence / lines that are not blank",
            "share below limit, or no line", ("min_terminated_line_fraction",),
        ),
        "short_lines": (
            "short lines / lines that are not blank", "share above limit",
            ("max_short_line_fraction", "short_line_characters"),
        ),
        "duplicate_line_characters": (
            "characters of copies of lines / characters of lines", "share above limit",
            ("max_duplicate_line_character_fraction",),
        ),
        "newlines_per_word": (
            "newlines / words", "ratio above limit", ("max_newlines_per_word",)
        ),
    }  # fmt: skip
    return {
        f"{family}.{rule}": RuleLine(
            looks, drops, tuple(f"{family}.{name}" for name in settings), _FINEWEB
        )
        for rule, (looks, drops, settings) in rules.items()
    }


for _family in ("fineweb", "fineweb2"):
    RULE_LINES |= _line_shapes(_family)

_INTRODUCTION = """# Rules

The rules of every family (`heuristics.rules`), in the order of application. The first rule that a
page fails names its fate: column `rule` of the tables, with the value and the threshold beside it.
A maximum drops what is strictly greater, a minimum what is strictly less. Settings are below
`heuristics`, with the values of the recipe that the family is named after; what they allow says
[recipe_keys.md](recipe_keys.md). Where the reference differs from what was meant: see
[quirks.md](quirks.md).

This page is made from `dclm_spark/exports/reference/rule_lines.py` and the recipes, by
`python -m dclm_spark.exports.reference.write_pages docs/reference`; a test keeps it complete.
"""


@dataclass(frozen=True, kw_only=True)
class FamilyRules:
    """A family with its lines, in the order of application."""

    family: str
    lines: dict[str, RuleLine]


def family_rules() -> list[FamilyRules]:
    """Return all families; KeyError for a rule without a line."""
    return [
        FamilyRules(family=family, lines={rule: line_of(family, rule) for rule in rules_of(family)})
        for family in FAMILIES
    ]


def line_of(family: str, rule: str) -> RuleLine:
    """Return the line of a rule as its family has it."""
    found = RULE_LINES.get(f"{family}.{rule}") or RULE_LINES.get(rule)
    if found is None:
        raise KeyError(f"rule {rule!r} of family {family!r}: write its line in RULE_LINES")
    return found


def setting_value(heuristics: HeuristicSettings, name: str) -> object:
    """Return the value of a setting by its dotted name."""
    value: object = heuristics
    for part in name.split("."):
        value = getattr(value, part)
    return value


def page() -> str:
    """Return the page as Markdown: a table for each family, then the rules of other parts."""
    return _INTRODUCTION + "".join(map(_section, family_rules())) + fate_lines.section()


def _section(one: FamilyRules) -> str:
    if one.family not in FAMILY_SOURCES:
        raise KeyError(f"family {one.family!r}: write its line in FAMILY_SOURCES")
    recipe = _FAMILY_RECIPES.get(one.family, one.family)
    # A family without a recipe of its name has the values of its settings.
    recipe = recipe if recipe in RECIPES else "raw"
    rows = "\n".join(_rows(one, load_recipe(recipe).heuristics))
    return (
        f"\n## `{one.family}`\n\nSource: {FAMILY_SOURCES[one.family]}. Values: recipe `{recipe}`."
        f"\n\n| rule | looks at | drops when | settings | source |\n{'|---' * 5}|\n{rows}\n"
    )


def _rows(one: FamilyRules, heuristics: HeuristicSettings) -> Iterator[str]:
    for rule, line in one.lines.items():
        settings = "<br>".join(f"`{name}` = `{_value(heuristics, name)}`" for name in line.settings)
        yield f"| `{rule}` | {line.looks_at} | {line.drops} | {settings or '-'} | {line.source} |"


def _value(heuristics: HeuristicSettings, name: str) -> str:
    value = setting_value(heuristics, name)
    return " ".join(value) if isinstance(value, tuple) else str(value)
