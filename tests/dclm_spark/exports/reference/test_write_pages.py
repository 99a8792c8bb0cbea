"""The pages of docs/reference are those of the code, and nothing is missing in them."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from dclm_spark.command import job_names
from dclm_spark.exports.reference.fate_lines import FATE_LINES
from dclm_spark.exports.reference.glossary import GLOSSARY
from dclm_spark.exports.reference.job_options import job_options
from dclm_spark.exports.reference.quirk_lines import QUIRK_LINES
from dclm_spark.exports.reference.recipe_keys import STAGES, recipe_keys
from dclm_spark.exports.reference.rule_lines import RULE_LINES, line_of
from dclm_spark.exports.reference.write_pages import PAGES
from dclm_spark.limits import LimitSettings
from dclm_spark.recipes import RECIPES, load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.settings import keys
from udfs.rules.families import FAMILIES, rules_of
from udfs.storage.stream import ReadSettings

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "docs" / "reference"
ASKING = re.compile(r"follows_reference\(|quirks == ")
# How modules name a rule that gives a document its fate.
NAMING = re.compile(
    r"(?:fate\([A-Z]+, STAGE, |\brule=|BrokenRecord\(\w+, |_give_up\([\w., ]+, |Parsed\(None, "
    r'|\bRULE = |NOT_UTF8 = |UNREADABLE = |STAGE, RULE = "\w+", )"(\w+)"'
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name):
    """Else: python -m dclm_spark.exports.reference.write_pages docs/reference."""
    assert (FOLDER / name).read_text() == PAGES[name]()


def test_there_is_no_page_that_code_does_not_make():
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_links_of_the_pages_lead_to_files():
    for name in PAGES:
        links = re.findall(r"\]\(([^)#]+)\)", (FOLDER / name).read_text())
        assert [link for link in links if not (FOLDER / link).is_file()] == []


def test_every_recipe_key_has_a_comment_at_its_field():
    assert [one.key for one in recipe_keys() if not one.meaning] == []


def test_no_comment_of_a_key_points_to_what_a_reader_cannot_see():
    assert [one.key for one in recipe_keys() if "spec " in one.meaning] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_key_of_every_recipe_is_there(recipe):
    listed = {one.key for one in recipe_keys()}
    found = {key.removesuffix(".uri").removesuffix(".sha256") for key in keys(load_recipe(recipe))}
    assert {key for key in found if key not in listed and f"{key}.uri" not in listed} <= {
        # Stages with a range, which the page lists by its ends.
        key
        for key in found
        if key.startswith("limits.yields.")
    } | {"tokens.tokenizer"}


def test_ranges_are_those_of_the_checks():
    allowed = {one.key: one.allowed for one in recipe_keys()}
    assert allowed["heuristics.min_language_score"] == "0.0 to 1.0"
    assert allowed["deduplication.passages.min_size_bytes"] == "at least 50"
    assert allowed["deduplication.mode"] == "one of remove, annotate"


def test_every_key_belongs_to_a_stage_or_to_none_by_name():
    parts = {one.key.split(".")[0] for one in recipe_keys()}
    assert parts - set(STAGES) == {"language_limits", "language_model"}


def test_keys_that_redo_nothing_do_not_change_what_a_recipe_makes():
    recipe = load_recipe("c4")
    reading = replace(recipe.extraction, reading=ReadSettings(max_attempts=7))
    other = replace(recipe, extraction=reading, limits=LimitSettings(action="warn"))
    assert recipe_hash(other) == recipe_hash(recipe)
    assert [STAGES["extraction.reading"], STAGES["limits"]] == ["", ""]


def test_every_line_about_a_rule_is_used_by_a_family():
    used = {id(line_of(family, rule)) for family in FAMILIES for rule in rules_of(family)}
    assert [name for name, line in RULE_LINES.items() if id(line) not in used] == []


def test_every_rule_outside_of_families_that_a_module_names_has_a_line():
    paths = [path for top in ("udfs", "dclm_spark") for path in (ROOT / top).rglob("*.py")]
    named = {rule for path in paths for rule in NAMING.findall(path.read_text())}
    listed = {rule for rules in FATE_LINES.values() for rule in rules}
    assert len(named) > 20
    assert named - listed - {rule for family in FAMILIES for rule in rules_of(family)} == set()


def test_every_module_that_asks_for_quirks_has_a_line():
    paths = [path for top in ("udfs", "dclm_spark") for path in (ROOT / top).rglob("*.py")]
    asking = {str(path.relative_to(ROOT)) for path in paths if ASKING.search(path.read_text())}
    assert asking - {"udfs/quirks.py"} == {one.module for one in QUIRK_LINES}


@pytest.mark.parametrize("job", ["annotate", "build_baseline", "plan_mixture", "write_text"])
def test_options_of_a_job_are_those_of_its_parser(job):
    parser = import_module(f"dclm_spark.jobs.{job}").argument_parser()
    actions = [action for action in parser._actions if action.dest != "help"]
    expected = [(tuple(action.option_strings), action.help) for action in actions]
    assert [(one.names, one.help) for one in job_options(job)] == expected


def test_every_option_of_every_job_has_a_meaning():
    assert {job: [] for job in job_names()} == {
        job: [one.names for one in job_options(job) if not one.help] for job in job_names()
    }


def test_the_glossary_has_the_words_that_a_report_uses():
    words = {"fate", "signal", "unit", "stage", "shard", "cell", "quirk", "family", "ledger"}
    assert words | {"manifest", "provenance", "quarantined", "recipe"} <= set(GLOSSARY)
