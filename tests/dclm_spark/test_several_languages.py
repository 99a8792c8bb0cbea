"""A recipe in several languages: how it is said, the recipe of each, and what is refused."""

import shutil
from importlib.resources import files

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.library.judging import judge_texts
from dclm_spark.preflight import check_recipe
from dclm_spark.recipes import language_recipes, load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.recipes.several_languages import codes_of, languages_with_limits
from udfs.tokens.tokenizer import train_tokenizer

OURS = files("dclm_spark") / "recipes" / "languages"


@pytest.mark.parametrize("given", ["[deu_Latn, fr]", "deu_Latn,fr", "[ 'deu_Latn','fr' ]"])
def test_a_list_is_said_with_brackets_or_commas(given):
    assert load_recipe("fineweb2", [f"language={given}"]).language == "deu_Latn,fr"
    assert list(language_recipes("fineweb2", [f"language={given}"])) == ["deu_Latn", "fra_Latn"]


def test_a_list_of_one_language_is_a_list():
    assert list(language_recipes("fineweb2", ["language=[pl]"])) == ["pol_Latn"]
    assert load_recipe("fineweb2", ["language=pl"]).language == "pol_Latn"


def test_each_recipe_is_that_of_its_language_alone_and_what_is_typed_counts_more():
    typed = ["heuristics.min_words=7"]
    found = language_recipes("fineweb2", ["language=[deu_Latn, zh]", *typed])
    for code, recipe in found.items():
        alone = load_recipe("fineweb2", [f"language={code}", *typed])
        assert recipe.name == f"fineweb2/{code}"
        assert (recipe.heuristics, recipe.language) == (alone.heuristics, code)
    assert found["deu_Latn"].heuristics.min_words == 7
    assert found["deu_Latn"].heuristics.repetition != found["cmn_Hani"].heuristics.repetition


def test_a_files_list_and_its_own_keys_hold_for_every_language(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: fineweb2\nname: mine\nlanguage: [deu_Latn, fr]\n"
        "heuristics: {min_language_score: 0.4}\n"
    )
    found = language_recipes(str(path))
    assert [one.heuristics.min_language_score for one in found.values()] == [0.4, 0.4]
    assert found["fra_Latn"].name == "mine/fra_Latn"
    assert list(language_recipes(str(path), ["language=[ru]"])) == ["rus_Cyrl"]


def test_all_is_every_language_with_limits_and_english_by_the_rules_as_they_stand():
    found = language_recipes("fineweb2", ["language=all"])
    assert tuple(found) == languages_with_limits()
    assert len(found) == 15
    english, plain = found["eng_Latn"].heuristics, load_recipe("fineweb2").heuristics
    assert english.language == "eng_Latn"
    assert (english.stop_words, english.repetition) == (plain.stop_words, plain.repetition)


def test_a_folder_of_limits_adds_languages_and_replaces_ours(tmp_path):
    shutil.copy(str(OURS / "deu_Latn.yml"), tmp_path / "ita_Latn.yml")
    text = (OURS / "deu_Latn.yml").read_text().replace("score: 0.821", "score: 0.5")
    (tmp_path / "deu_Latn.yml").write_text(text)
    found = language_recipes("fineweb2", ["language=all", f"language_limits={tmp_path}"])
    assert len(found) == 16
    assert found["ita_Latn"].heuristics.min_language_score == 0.821
    assert found["deu_Latn"].heuristics.min_language_score == 0.5
    assert found["fra_Latn"].language_limits == ""


@pytest.mark.parametrize(("language", "told"), [
    ("[deu_Latn, xx]", r"'xx': it is no code.*expected any of arb_Arab, .*eng_Latn"),
    ("[deu_Latn, ita_Latn]", r"'ita_Latn': no limits are known.*expected any of arb_Arab.*CODE"),
    ("[deu_Latm, fra_Latn]", r"'deu_Latm': did you mean deu_Latn\? the language model does not"),
    ("[de, deu_Latn]", "deu_Latn twice"),
    ("[]", "expected a code such as deu_Latn, a list of them, or all"),
])  # fmt: skip
def test_a_wrong_language_of_a_list_is_named(language, told):
    with pytest.raises(SettingError, match=told):
        language_recipes("fineweb2", [f"language={language}"])


def test_without_other_rules_any_language_that_the_model_tells_will_do():
    found = language_recipes("raw", ["language=[ita_Latn, deu_Latn]"])
    italian, german = (found[code].heuristics for code in ("ita_Latn", "deu_Latn"))
    assert (italian.enabled, italian.rules, italian.language) == (True, "language_only", "ita_Latn")
    assert (italian.min_language_score, german.min_language_score) == (0.65, 0.821)
    assert load_recipe("raw", ["language=ita_Latn"]).heuristics == italian
    assert len(language_recipes("raw", ["language=all"])) == 15
    with pytest.raises(SettingError, match=r"did you mean ita_Latn\? it is no code") as error:
        language_recipes("raw", ["language=[ita_Lat, deu_Latn]"])
    assert "limits" not in str(error.value)


def test_a_language_that_the_model_does_not_tell_is_refused_before_the_start(tmp_path):
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(train_tokenizer(iter(["a b c"]), 300))
    given = [f"tokens.tokenizer.uri={tokenizer}", "tokens.tokenizer.sha256=null"]
    check_recipe(load_recipe("raw", [*given, "language=ita_Latn"]))
    with pytest.raises(SettingError, match=r"did you mean deu_Latn\? the language model"):
        check_recipe(load_recipe("raw", [*given, "language=deu_Latm"]))


def test_one_file_of_limits_is_not_for_several_languages(tmp_path):
    recipe = load_recipe("fineweb2", ["language=all", f"language_limits={OURS / 'deu_Latn.yml'}"])
    with pytest.raises(SettingError, match="a folder of files named after"):
        codes_of(recipe)


def test_what_runs_in_one_language_refuses_several():
    recipe = load_recipe("fineweb2", ["language=all"])
    with pytest.raises(SettingError, match=r"build_baseline\.py alone runs a recipe in several"):
        check_recipe(recipe)
    with pytest.raises(SettingError, match="several languages"):
        judge_texts(None, recipe=recipe)


def test_recipes_in_one_language_are_called_what_they_were_called():
    assert recipe_hash(load_recipe("fineweb2", ["language=de"])) == recipe_hash(
        load_recipe("fineweb2", ["language=deu_Latn"])
    )
