"""What the report says of rules comes from the reference and the recipe."""

import pytest

from dclm_spark.exports.reference.fate_lines import FATE_LINES, WHAT_TO_DO
from dclm_spark.html_pages.charts import Limit
from dclm_spark.recipes import load_recipe
from dclm_spark.report.rule_facts import (
    describe_rule,
    limit_of_value,
    rule_limits,
    signal_limits,
    what_to_do,
)
from udfs.rules.families import FAMILIES, rules_of


def sides(recipe, rule, threshold=None):
    return [(one.side, one.value) for one in rule_limits(recipe, rule, threshold)]


def test_a_rule_of_two_limits_says_both_as_the_recipe_sets_them():
    recipe = load_recipe("dclm_baseline", ["heuristics.max_words=900"])
    assert sides(recipe, "page_length", 50.0) == [("minimum", 50.0), ("maximum", 900.0)]
    assert signal_limits(recipe, "num_words") == rule_limits(recipe, "page_length", 50.0)


@pytest.mark.parametrize(
    ("recipe", "rule", "limits"),
    [
        ("dclm_baseline", "stop_words", [("minimum", 2.0)]),
        ("dclm_baseline", "top_2_gram", [("maximum", 0.2)]),
        ("dclm_baseline", "url_soft_words", [("below", 2.0)]),
        ("dclm_baseline", "uppercase_lines", []),
        ("dclm_baseline", "url_domain", []),
        ("fineweb", "few_sentences", [("minimum", 5.0)]),
        ("fineweb", "line_punctuation", [("minimum", 0.12)]),
        ("c4", "page_length", [("maximum", 1_000_000.0)]),
    ],
)
def test_limits_say_the_side_that_is_kept(recipe, rule, limits):
    loaded = load_recipe(recipe, [])
    assert rule in rules_of(loaded.heuristics.rules)
    found = sides(loaded, rule)
    assert [side for side, _ in found] == [side for side, _ in limits]
    if recipe == "dclm_baseline":
        assert found == limits


def test_rules_outside_of_families_take_the_value_of_the_tables():
    recipe = load_recipe("dclm_baseline", [])
    assert sides(recipe, "quality_score", 0.25) == [("minimum", 0.25)]
    assert sides(recipe, "contained_ngrams", 0.8) == [("maximum", 0.8)]
    assert sides(recipe, "duplicate_text", 1.0) == []


def test_the_side_that_a_value_broke_is_told_of_rules_with_two():
    both = (Limit(side="minimum", value=3.0), Limit(side="maximum", value=10.0))
    assert [limit_of_value(both, value) for value in (2.0, 11.0)] == ["minimum", "maximum"]
    # Another language may have a high probability: the limit is a minimum all the same.
    assert limit_of_value(both[:1], 7.0) == "minimum"
    assert limit_of_value((), 1.0) == ""


def test_every_rule_of_every_family_is_described():
    others = {"refinedweb": ("dclm_baseline", []), "language_only": ("raw", ["language=deu_Latn"])}
    for family in FAMILIES:
        recipe = load_recipe(*others.get(family, (family, [])))
        assert recipe.heuristics.rules == family
        assert all(describe_rule(recipe, "documents", rule) for rule in rules_of(family))


def test_rules_of_recipes_and_of_steps_are_described():
    recipe = load_recipe("dclm_baseline", ["rules.long_enough=num_words > 9"])
    assert describe_rule(recipe, "select", "long_enough").endswith("hold: num_words > 9")
    told = describe_rule(recipe, "deduplicate", "duplicate_text_lowercase")
    assert told.startswith("deduplication.exact: the text is that of an earlier document")
    assert describe_rule(recipe, "deduplicate", "unheard_of") == ""


def test_every_kind_of_quarantine_says_what_to_do():
    quarantined = FATE_LINES["documents", "quarantined"]
    assert set(quarantined) == set(WHAT_TO_DO)
    assert "fetch the file again" in what_to_do("damaged_file", "quarantined")
    assert what_to_do("language", "dropped") == ""
