"""The recipes c4, fineweb and fineweb_edu through the whole job on the embedded sample."""

import json
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from dclm_spark.errors import InputError
from dclm_spark.explain import describe, explain
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from udfs.rules.families import rules_of
from udfs.units.statistics import documents_by_fate

pytestmark = [pytest.mark.spark, pytest.mark.long]

SMALL = (
    "tokens.sequence_length=128",
    "tokens.sequences_per_shard=64",
    "tokens.padding_id=1",
    "deduplication.shards=2",
)


# What FineWeb does, FineWeb-Edu does too.
RUNS = ("c4", pytest.param("fineweb", marks=pytest.mark.slow), "fineweb_edu")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=200)


@pytest.fixture(scope="module", params=RUNS)
def run(request, spark, crawl, tmp_path_factory):
    output = tmp_path_factory.mktemp(request.param)
    changes = (*SMALL, "quality.top=0.5") if request.param == "fineweb_edu" else SMALL
    recipe = sample_recipe(load_recipe(request.param, changes), crawl, crawl.base)
    result = build_baseline(
        spark, recipe=recipe, inputs=str(crawl.listing), output=str(output), base=str(crawl.base)
    )
    return recipe, output, result


def rows(output, stage, fate):
    files = sorted((output / "stages" / stage / fate).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_the_books_balance(run):
    _, _, result = run
    fates = [documents_by_fate(stage.totals) for stage in result.judging]
    for before, after in pairwise(fates):
        assert before["kept"] == sum(after.values())
    records = [unit["records"] for _, unit in result.documents.facts()]
    assert sum(fates[0].values()) == sum(one["response"] + one["broken"] for one in records)
    assert fates[-1]["kept"] > 10


def test_every_rule_belongs_to_the_family_and_names_its_value(run):
    recipe, output, _ = run
    known = rules_of(recipe.heuristics.rules)
    dropped = [row for row in rows(output, "documents", "dropped") if row["rule"] in known]
    assert dropped
    assert {row["stage"] for row in dropped} == {"documents"}
    assert "language" in {row["rule"] for row in dropped}
    assert all(row["value"] is not None for row in dropped if not row["rule"].startswith("url_"))
    report = (output / "report.html").read_text()
    assert all(row["rule"] in report for row in dropped)
    history = explain(str(output), dropped[0]["url"])
    assert f"dropped by {dropped[0]['rule']}" in "\n".join(map(describe, history))


def test_c4_leaves_one_copy_of_each_line(run):
    recipe, output, _ = run
    if recipe.name != "c4":
        pytest.skip("only C4 compares lines")
    before = [row["text"] for row in rows(output, "documents", "kept")]
    after = [row["text"] for row in rows(output, "deduplicate", "kept")]
    lines = [line.strip().lower() for text in after for line in text.split("\n")]
    assert len(set(lines)) == len(lines)
    assert sum(map(len, after)) < sum(map(len, before))
    removed = [row for row in rows(output, "deduplicate", "dropped")]
    assert {row["rule"] for row in removed} <= {"duplicate_url", "few_sentences"}


def test_fineweb_edu_keeps_the_best_of_fineweb(run):
    recipe, output, result = run
    if recipe.name != "fineweb_edu":
        pytest.skip("only FineWeb-Edu asks a classifier")
    kept = documents_by_fate(result.selected.totals)
    assert kept["kept"] == pytest.approx(kept["dropped"], rel=0.2)
    assert json.loads((output / "shards" / "manifest.json").read_text())["num_tokens"] > 0


def test_fineweb_edu_asks_for_a_model_before_it_reads_anything(spark, tmp_path):
    with pytest.raises(InputError, match=r"quality\.model is not set.*train_quality"):
        build_baseline(
            spark,
            recipe=load_recipe("fineweb_edu"),
            inputs=str(tmp_path),
            output=str(tmp_path / "out"),
            base=None,
        )
