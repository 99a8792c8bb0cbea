"""A run in several languages: one pass, a corpus each, resumed, widened, reported, explained."""

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dclm_spark.beginning import RunRequest
from dclm_spark.errors import InputError, SettingError
from dclm_spark.explain import describe, explain, run_recipes
from dclm_spark.exports.text_corpus import read_corpus
from dclm_spark.mixed_runs.language_run import (
    LanguageRecipes,
    build_languages,
    check_languages,
)
from dclm_spark.recipes import language_recipes, load_recipe
from udfs.tokens.tokenizer import train_tokenizer

pytestmark = [pytest.mark.spark, pytest.mark.long]

GERMAN = (
    "der Fluss durch die Stadt, den Menschen im Tal so lange vertraut wie sie Bücher schreiben",
    "die ältesten davon sagen, dass er einst breit genug für Schiffe war, was niemand mehr glaubt",
    "im Sommer springen die Kinder über den Bach, um zu den Obstgärten auf der anderen Seite zu "
    "kommen, wo die Äpfel früh reif werden",
    "mit dem Herbst wurde das Wasser kalt, und als der erste Schnee fiel, war es im Haus still",
)
FRENCH = (
    "la rivière qui traverse la ville était connue des habitants de la vallée depuis longtemps",
    "les plus anciens disent que des bateaux pouvaient y passer, ce que plus personne ne croit",
    "les enfants sautent en été le petit ruisseau pour aller dans les vergers de l'autre côté, où "
    "les pommes sont mûres avant celles de la colline",
    "avec l'automne l'eau devint froide, et quand la première neige tomba, tout fut calme",
)
ITALIAN = "Il fiume che attraversa la città era noto agli abitanti della valle da molto tempo."
COUNTS = {"deu_Latn": 6, "fra_Latn": 4, "ita_Latn": 2}


def pages(sentences, count):
    chance = random.Random(3)
    for _ in range(count):
        yield ". ".join(one.capitalize() for one in chance.sample(sentences, 4)) + "."


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("languages")
    texts = [*pages(GERMAN, 6), *pages(FRENCH, 4), ITALIAN, ITALIAN, "!!! --- ..."]
    (folder / "tokenizer.json").write_text(train_tokenizer(texts, 300))
    (folder / "in").mkdir()
    for name, part in (("a", texts[:8]), ("b", texts[8:])):
        lines = [
            json.dumps({"url": f"https://{name}.example/{number}", "text": text}) + "\n"
            for number, text in enumerate(part)
        ]
        (folder / "in" / f"{name}.jsonl").write_text("".join(lines))
    return folder


def recipes_of(place, language):
    given = [
        f"language={language}", "deduplication.method=none", "heuristics.min_words=20",
        "heuristics.min_language_score=0.5", "heuristics.repetition.repeated_5_grams=1",
        f"tokens.tokenizer.uri={place / 'tokenizer.json'}", "tokens.sequence_length=32",
    ]  # fmt: skip
    recipe = load_recipe("fineweb2", given)
    return LanguageRecipes(whole=recipe, by_language=language_recipes("fineweb2", given))


def request_of(place, **changes):
    return RunRequest(inputs=str(place / "in"), output=str(place / "run"), **changes)


@pytest.fixture(scope="module")
def built(spark, place):
    return build_languages(spark, recipes_of(place, "[deu_Latn,fr,pl]"), request_of(place))


def committed(place):
    return {
        str(path.relative_to(place)): path.stat().st_mtime_ns
        for path in (place / "run").rglob("manifests/*.json")
    }


def report_of(place):
    report = json.loads((place / "run" / "report.json").read_text())
    assert report["complete"]
    assert report["balanced"]
    return report


def test_each_language_has_a_corpus_of_its_own(place, built):
    assert list(built) == ["deu_Latn", "fra_Latn"]
    for code, output in built.items():
        folder = place / "run" / "languages" / code
        assert (folder / "shards" / "manifest.json").exists()
        assert (folder / "report.html").exists()
        assert output.documents.documents()["kept"] == COUNTS[code]
        languages = {
            row["language"]
            for path in (folder / "stages" / "documents" / "kept").glob("*.parquet")
            for row in pq.read_table(path).to_pylist()
        }
        assert languages == {code}


def test_the_report_has_a_row_a_language_and_no_page_is_lost(place, built):
    report = report_of(place)
    rows = {row["language"]: row for row in report["language_corpora"]}
    assert {code: row["documents"] for code, row in rows.items()} == {**COUNTS, "": 1}
    assert {code: row["kept"] for code, row in rows.items() if row["has_corpus"]} == {
        code: output.selected.documents()["kept"] for code, output in built.items()
    }
    assert all(rows[code]["tokens"] > 0 for code in built)
    assert report["documents_in"] == 13
    by_rule = {row["rule"]: row["documents"] for row in report["rules"]}
    assert by_rule["language_not_listed"] == 2
    assert by_rule["no_language"] == 1
    html = (place / "run" / "report.html").read_text()
    assert 'href="languages/fra_Latn/report.html"' in html
    assert "ita_Latn <small>no corpus" in html


def test_a_page_is_explained_with_what_its_language_made_of_it(place, built):
    (german,) = explain(str(place / "run"), "https://a.example/0")
    assert [row.stage for row in german][:4] == [
        "documents", "languages", "documents", "deduplicate",
    ]  # fmt: skip
    told = describe(german, run_recipes(german)).split("\n")
    limits = run_recipes(german)[str(place / "run" / "languages" / "deu_Latn")].heuristics
    assert "  documents (deu_Latn): kept" in told
    # The pass over all languages judges by none of their limits.
    own = told[told.index("  documents (deu_Latn): kept") :]
    (score,) = (one for one in own if one.startswith("    language_score = "))
    assert score.endswith(f"(minimum {limits.min_language_score:g})")
    (italian,) = explain(str(place / "run"), "https://b.example/2")
    assert italian[-1].row["rule"] == "language_not_listed"
    with pytest.raises(InputError, match=r"several languages .*languages/deu_Latn"):
        read_corpus(str(place / "run"))


def test_the_same_run_does_nothing_again_and_another_list_reads_no_file_again(
    spark, place, built, caplog
):
    before = committed(place)
    build_languages(spark, recipes_of(place, "[deu_Latn,fr,pl]"), request_of(place))
    assert committed(place) == before
    wider = recipes_of(place, "all")
    with pytest.raises(SettingError, match="--overwrite"):
        build_languages(spark, wider, request_of(place))
    build_languages(spark, wider, request_of(place, overwrite=True))
    after = committed(place)
    redone = {name for name in before if after[name] != before[name]}
    assert {Path(name).parts[2] for name in redone} == {"languages"}
    rules = {row["rule"] for row in report_of(place)["rules"]}
    assert "language_without_limits" in rules
    assert "language_not_listed" not in rules


def test_what_cannot_be_in_several_languages_is_refused(place):
    recipes = recipes_of(place, "[deu_Latn,fr]")
    with pytest.raises(SettingError, match="--scored: run without it"):
        check_languages(recipes, request_of(place, scored="table"))
