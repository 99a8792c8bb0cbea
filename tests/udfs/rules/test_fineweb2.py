from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest

from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.yaml_text import read_yaml, write_yaml
from udfs.rules.families import apply, signals_of
from udfs.rules.url_lists import load_url_lists

GERMAN = (
    "Der Fluss, der durch die Stadt fließt, war den Menschen im Tal so lange vertraut, wie sie "
    "Bücher schreiben, und die ältesten davon sagen, dass er einst breit genug für Schiffe war, "
    "was heute niemand mehr von dem Bach glaubt, über den im Sommer die Kinder springen, um zu "
    "den Obstgärten auf der anderen Seite zu kommen, wo die Äpfel früh reif werden."
)


def settings(*assignments):
    return load_recipe("fineweb2", assignments).heuristics


def judged(texts, language="deu_Latn", *assignments):
    def identify(column):
        return pa.array([language] * len(column)), np.full(len(column), 0.95)

    given = settings(f"language={language}", *assignments)
    return apply(pa.array(texts), None, given, load_url_lists(), identify).rule.to_pylist()


def test_a_language_sets_its_published_limits_and_what_is_typed_counts_more():
    german = settings("language=de", "heuristics.min_words=7", "heuristics.min_language_score=0.5")
    assert (german.language, german.min_words, german.min_language_score) == ("deu_Latn", 7, 0.5)
    assert german.repetition.repeated_lines == 0.263
    assert german.repetition.repeated_10_grams == 0.098
    assert german.max_mean_word_length == 15.0
    assert german.max_non_alphabetic_word_fraction == pytest.approx(0.226)
    assert german.fineweb2.max_newlines_per_word == 0.152
    assert "für" in german.stop_words


def test_a_page_drops_by_the_first_filter_in_fineweb2s_order():
    short = " ".join(GERMAN.split()[:35])
    texts = [GERMAN, short, GERMAN.replace(" ", "  "), GERMAN.upper(), (GERMAN + "\n") * 4]
    assert judged(texts) == [None, "page_length", None, "stop_words", "repeated_lines"]
    assert judged([GERMAN[:-1]], "rus_Cyrl") == ["line_punctuation"]


def test_the_words_of_chinese_are_those_of_a_segmenter():
    text = "我们来到北京的清华大学，在这里学习了很多年，也有很多朋友。" * 3
    given = settings("language=zh")

    def identify(column):
        return pa.array(["cmn_Hani"] * len(column)), np.ones(len(column))

    found = signals_of(pa.array([text]), given, load_url_lists(), identify)
    assert 0 < found["num_words"][0].as_py() < len(text) * 0.7
    assert found["num_stop_words"][0].as_py() >= 2


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["language=xx"], "expected a code of language and script, such as deu_Latn"),
        (
            ["language=deu_Latm"],
            r"'deu_Latm': did you mean deu_Latn\? no limits are known of",
        ),
        (["language=ita_Latn"], r"'ita_Latn': no limits are known of ita_Latn, but of arb_Arab"),
        (["language=deu_Latn", "language_limits=/nowhere.yml"], "nowhere.yml"),
    ],
)
def test_a_language_without_limits_says_what_to_do(assignments, words):
    with pytest.raises(Exception, match=words):
        load_recipe("fineweb2", assignments)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stopwords: der", "expected a list of words"),
        ("stopwords: [der, 7]", "put in quotes"),
        ("top_n_grams: [[5, 0.1]]", "a length from 2 to 4 and a fraction"),
        ("dup_n_grams: {5: 0.1}", "a length from 5 to 10 and a fraction"),
        ("language_score: high", "language_score = 'high': expected a number"),
        ("# f\xfcr", "no text in UTF-8"),
    ],
)
def test_limits_of_another_form_are_named_with_their_file(tmp_path, line, words):
    key = line.partition(":")[0]
    folder = files("dclm_spark") / "recipes" / "languages"
    values = read_yaml((folder / "deu_Latn.yml").read_text("utf-8"), "deu_Latn.yml")
    values.pop(key, None)
    path = tmp_path / "own.yml"
    path.write_bytes(write_yaml(values).encode() + line.encode("latin-1"))
    with pytest.raises(SettingError, match=rf"own\.yml: .*{words}"):
        load_recipe("fineweb2", ["language=deu_Latn", f"language_limits={path}"])


def test_a_recipe_without_rules_keeps_every_page_in_its_language():
    given = load_recipe("raw", ["language=zh"]).heuristics
    assert (given.enabled, given.rules, given.language) == (True, "language_only", "cmn_Hani")
    assert not load_recipe("raw").heuristics.enabled
    assert not load_recipe("raw", ["language=zh", "heuristics.enabled=false"]).heuristics.enabled

    def identify(column):
        return pa.array(["cmn_Hani", "cmn_Hani", "jpn_Jpan"]), np.array([0.99, 0.3, 0.99])

    texts, urls = pa.array(["x", "#", "x"]), pa.array(["http://porn.example/"] * 3)
    result = apply(texts, urls, given, load_url_lists(), identify)
    assert result.rule.to_pylist() == [None, "language", "language"]
    assert result.text.to_pylist() == ["x", "#", "x"]


def test_other_families_take_the_language_and_the_stop_words_that_they_can_look_for():
    german = load_recipe("dclm_baseline", ["language=de"]).heuristics
    assert german.language == "deu_Latn"
    assert "der" in german.stop_words
    assert "für" not in german.stop_words
    with pytest.raises(SettingError, match="take --recipe fineweb2"):
        load_recipe("dclm_baseline", ["language=zh"])


def test_a_recipe_that_was_saved_is_read_again_as_it_was(tmp_path):
    from dclm_spark.settings import to_yaml

    recipe = load_recipe("fineweb2", ["language=de", "heuristics.min_words=9"])
    (tmp_path / "r.yaml").write_text(to_yaml(recipe))
    again = load_recipe(str(tmp_path / "r.yaml"))
    assert again.heuristics == recipe.heuristics
    assert again.language == "deu_Latn"
