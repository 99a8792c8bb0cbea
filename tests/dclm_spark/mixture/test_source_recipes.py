"""What `sources:` of a recipe says, and what it may not say."""

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.mixture.source_settings import SourceSettings
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.recipes.source_recipes import check_compared, source_recipes
from dclm_spark.settings import from_dict, settings_hash, to_dict

# Keys of recipes of several sources.
NEW = ("sources", "mixture")

YAML = """name: both
base: refinedweb
heuristics: {min_words: 60}
sources:
  web:
    input: crawl
    tokens: 2.5M
  wiki:
    input: wiki pages
    max_repeats: 4
    recipe:
      base: raw
      heuristics: {enabled: true, rules: refinedweb}
      signals: {long: {family: c4}}
  de:
    input: german
    recipe: {language: deu_Latn, base: fineweb2, repeat: "2"}
"""


@pytest.fixture
def write(tmp_path):
    def written(text=YAML, *assignments):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_recipe(str(path), assignments)

    return written


def test_each_source_has_the_recipe_with_what_is_its_own(write):
    recipe = write()
    recipes = source_recipes(recipe)
    assert list(recipes) == ["web", "wiki", "de"]
    assert recipes["web"].heuristics == recipe.heuristics
    assert recipes["web"].name == "both/web"
    assert recipes["wiki"].heuristics.enabled
    assert recipes["wiki"].signals["long"].family == "c4"
    assert recipes["wiki"].deduplication.method_name == "none"
    assert recipes["de"].repeat == "2"
    assert recipes["de"].heuristics.language == "deu_Latn"
    assert {one.tokens for one in recipes.values()} == {recipe.tokens}
    assert all(not one.sources for one in recipes.values())
    assert recipe.sources["web"].tokens == 2_500_000


def test_a_key_of_a_source_can_be_typed(write):
    recipe = write(
        YAML,
        "sources.web.recipe.heuristics.min_words=7",
        "sources.wiki.recipe.heuristics.min_words=8",
        "sources.web.tokens=3k",
    )
    recipes = source_recipes(recipe)
    assert recipes["web"].heuristics.min_words == 7
    assert recipes["wiki"].heuristics.min_words == 8
    assert recipes["wiki"].heuristics.enabled
    assert recipe.sources["web"].tokens == 3000
    assert from_dict(type(recipe), to_dict(recipe)) == recipe


def test_the_hash_sees_sources_and_is_what_it_was_without_them(write):
    recipe = write()
    assert recipe_hash(recipe) != recipe_hash(write(YAML.replace("2.5M", "2.6M")))
    one = load_recipe("raw")
    before = {name: value for name, value in to_dict(one).items() if name not in NEW}
    # So it is without the order of stages that came later.
    del before["quality"]["before_deduplication"]
    del before["limits"]["yields"]["quality"]
    assert recipe_hash(one) == settings_hash(before)
    other = load_recipe("dclm_baseline", ["quality.before_deduplication=true"])
    assert recipe_hash(other) != recipe_hash(load_recipe("dclm_baseline"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("sources.a b.input=x", "'a b' cannot name a source"),
        ("sources.Web.input=x", "differ in their case alone"),
        ("sources.web.weight=1", "weight = 1.0, tokens = 2500000"),
        ("sources.wiki.weight=1", "wiki have a weight and web, de none"),
        ("mixture.tokens=5M", "give each source a weight"),
        ("sources.web.inputs=x", "did you mean sources.web.input?"),
        ("sources.web.recipe.heuristic.min_words=3", "did you mean sources.web.recipe.heuristics?"),
        ("sources.web.recipe.tokens.seed=3", "sources.web.recipe.tokens: it holds for all"),
        ("sources.web.recipe.quirks=none", "sources.web.recipe.quirks: it holds for all"),
        ("sources.web.recipe.base=rawr", "sources.web.recipe.base 'rawr': did you mean 'raw'?"),
        ("sources.web.recipe=3", "expected a mapping of recipe keys"),
        ("sources.web.tokens=lots", "sources.web.tokens = 'lots': expected a whole number"),
        ("sources.new.weight=1", "sources.new: the key 'input' is required"),
    ],
)
def test_what_cannot_be_says_which_key_and_what_to_do(write, change, words):
    with pytest.raises(SettingError) as error:
        source_recipes(write(YAML, change))
    assert words in str(error.value)


def test_sources_are_compared_by_one_method_that_keeps_a_table(write):
    plain = source_recipes(write())
    with pytest.raises(SettingError, match=r"sources\.web has deduplication.method = 'sharded'"):
        check_compared(plain)
    text = YAML.replace("      base: raw\n", "") + "deduplication: {method: minhash}\n"
    check_compared(source_recipes(write(text)))
    with pytest.raises(SettingError, match="have the methods global, minhash"):
        check_compared(
            source_recipes(write(text, "sources.web.recipe.deduplication.method=global"))
        )


def test_an_empty_input_is_refused():
    with pytest.raises(ValueError, match="expected files"):
        SourceSettings(input=" ")
