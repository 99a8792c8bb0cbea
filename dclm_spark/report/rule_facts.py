"""What a report says of a rule: what it looks at, its limits, what to do about its pages."""

from collections.abc import Sequence

from dclm_spark.exports.reference.fate_lines import FATE_LINES, WHAT_TO_DO
from dclm_spark.exports.reference.rule_lines import line_of, setting_value
from dclm_spark.html_pages.charts import Limit
from dclm_spark.recipes.recipe import Recipe
from udfs.documents.schema import DROPPED, QUARANTINED
from udfs.rules.families import rules_of

# The side that is kept, of rules outside of families whose threshold is one of what they compare.
_SIDES = {
    "contained_ngrams": "maximum",
    "near_duplicate": "below",
    "evaluation_ngrams": "below",
    "evaluation_items": "below",
    "language_prescreen": "below",
    "quality_score": "minimum",
    "header_too_large": "maximum",
    "record_too_large": "maximum",
    "http_too_large": "maximum",
    "html_too_large": "maximum",
}


def describe_rule(recipe: Recipe, stage: str, rule: str, fate: str = DROPPED) -> str:
    """Return what a rule looks at and when it takes a page, in one line; "" for an unknown one."""
    if rule in rules_of(recipe.heuristics.rules):
        line = line_of(recipe.heuristics.rules, rule)
        return f"{line.looks_at}: {line.drops}".replace("`", "")
    if stage == "select" and rule in recipe.rules:
        return f"the recipe's condition does not hold: {recipe.rules[rule]}"
    lines = FATE_LINES.get((stage, fate), {})
    # The rule of a step of a text key or address key is named after both.
    known = [name for name in lines if rule == name or rule.startswith(f"{name}_")]
    return lines[known[-1]].replace("`", "") if known else ""


def what_to_do(rule: str, fate: str) -> str:
    """Return what a person does about a quarantined record; "" for the others."""
    return WHAT_TO_DO.get(rule, "").replace("`", "") if fate == QUARANTINED else ""


def rule_limits(recipe: Recipe, rule: str, threshold: float | None) -> tuple[Limit, ...]:
    """Return the limits of a rule as the recipe sets them; `threshold` is the one in the tables."""
    family = recipe.heuristics.rules
    if rule in rules_of(family):
        return _limits(recipe, line_of(family, rule).limits)
    side = _SIDES.get(rule)
    return () if side is None or threshold is None else (Limit(side=side, value=threshold),)


def signal_limits(recipe: Recipe, signal: str) -> tuple[Limit, ...]:
    """Return the limits that the recipe's rules have for a signal, a column of the tables."""
    if signal == "contained_ngram_fraction":
        threshold = getattr(recipe.deduplication.method, "threshold", None)
        return () if threshold is None else (Limit(side="maximum", value=threshold),)
    if signal == "quality_score":
        threshold = recipe.quality.threshold if recipe.quality.top is None else None
        return () if threshold is None else (Limit(side="minimum", value=threshold),)
    family = recipe.heuristics.rules
    limits = [one for rule in rules_of(family) for one in line_of(family, rule).limits]
    found = dict.fromkeys(one for one in limits if signal in _columns_of(one[1]))
    return _limits(recipe, list(found))


def expected_value(recipe: Recipe, signal: str, rule: str | None) -> str:
    """Return what a signal that is no number had to be for `rule` to let a page pass; "" else."""
    return recipe.heuristics.language if signal == rule == "language" else ""


def _columns_of(setting: str) -> set[str]:
    """Return the names that the column which a setting limits may have."""
    name = setting.rpartition(".")[2].removeprefix("min_").removeprefix("max_")
    return {name, f"num_{name}", f"{name}_fraction"}


def _limits(recipe: Recipe, limits: Sequence[tuple[str, str]]) -> tuple[Limit, ...]:
    found = []
    for side, name in limits:
        value = setting_value(recipe.heuristics, name)
        if isinstance(value, int | float):
            found.append(Limit(side=side, value=float(value)))
    return tuple(found)


def limit_of_value(limits: Sequence[Limit], value: float | None) -> str:
    """Return which limit a page's value broke, by its side; "" where none can be told."""
    if len(limits) < 2 or value is None:
        return limits[0].side if limits else ""
    low = next((one for one in limits if one.side == "minimum"), None)
    return "minimum" if low is not None and value < low.value else "maximum"
