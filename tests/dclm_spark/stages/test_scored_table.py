"""The scored table: one reading of the crawl, and recipes that decide what reading it would."""

from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.stages.documents import write_documents
from dclm_spark.stages.scored_table import build_table, decide

pytestmark = pytest.mark.spark

RECIPES = ("raw", "c4", "refinedweb", "fineweb")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=5, num_pages=260)


@pytest.fixture(scope="module")
def files(crawl):
    return list_inputs(str(crawl.listing), str(crawl.base))[:3]


@pytest.fixture(scope="module")
def recipes(crawl):
    folder = crawl.base.parent
    return {name: sample_recipe(load_recipe(name), crawl, folder) for name in RECIPES}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return str(tmp_path_factory.mktemp("scored"))


def contents(stage, fate):
    return {file["unit"]: file["sha256"] for file in stage.files(f"{fate}/")}


def written(table):
    return {path: path.stat().st_mtime_ns for path in Path(table).rglob("*.parquet")}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_from_the_table_what_it_keeps_from_the_crawl(
    spark, files, recipes, table, tmp_path, name
):
    read = write_documents(spark, files, curation_settings(recipes[name]), str(tmp_path / "read"))
    decided = decide(
        spark, files, curation_settings(recipes[name]), str(tmp_path / "decided"), table
    )
    assert contents(read, "kept") == contents(decided, "kept") != {}
    counts = [
        [(e["fate"], e["stage"], e["rule"], e["documents"]) for e in stage.totals["counts"]]
        for stage in (read, decided)
    ]
    assert counts[0] == counts[1]
    assert [f["records"] for _, f in read.facts()] == [f["records"] for _, f in decided.facts()]


def test_texts_are_extracted_once_and_signals_measured_once_for_each_family(table):
    names = sorted(path.name.rsplit("-", 1)[0] for path in Path(table).iterdir())
    assert names == ["signals-c4", "signals-fineweb", "signals-refinedweb", "texts"]


def test_other_limits_measure_nothing(spark, files, recipes, table, tmp_path):
    before = written(table)
    refined = recipes["refinedweb"]
    longer = replace(refined, heuristics=replace(refined.heuristics, min_words=400))
    few = decide(spark, files, curation_settings(longer), str(tmp_path / "few"), table)
    many = decide(spark, files, curation_settings(refined), str(tmp_path / "many"), table)
    assert written(table) == before
    kept = [sum(file["rows"] for file in stage.files("kept/")) for stage in (few, many)]
    assert kept[0] < kept[1]
    read = write_documents(spark, files, curation_settings(longer), str(tmp_path / "read"))
    assert contents(read, "kept") == contents(few, "kept")


def test_another_way_of_measuring_adds_to_the_table_and_one_of_extracting_reads_again(
    spark, files, recipes, tmp_path, table
):
    before = written(table)
    corrected = load_recipe("refinedweb", ["quirks=none"])
    heuristics = replace(recipes["refinedweb"].heuristics, stop_words=("the", "of"))
    other = replace(recipes["refinedweb"], heuristics=heuristics)
    decide(spark, files, curation_settings(other), str(tmp_path / "other"), table)
    added = set(written(table)) - set(before)
    assert {path.parts[-3].rsplit("-", 1)[0] for path in added} == {"signals-refinedweb"}
    strict = replace(corrected.extraction, charset_policy="declared")
    decide(
        spark,
        files,
        curation_settings(replace(recipes["raw"], extraction=strict)),
        str(tmp_path / "raw"),
        table,
    )
    new = set(written(table)) - set(before) - added
    assert {path.parts[-3].rsplit("-", 1)[0] for path in new} == {"texts"}


def test_a_table_that_stands_is_not_built_again(spark, crawl, recipes, tmp_path):
    table = str(tmp_path)
    arguments = {"inputs": str(crawl.listing), "base": str(crawl.base), "table": table}
    few = {name: curation_settings(recipes[name]) for name in ("raw", "refinedweb")}
    lines = build_table(spark, few, **arguments)
    assert [line.split(":")[0] for line in lines] == ["raw", "refinedweb"]
    before = written(table)
    assert build_table(spark, few, **arguments) == lines
    assert written(table) == before
