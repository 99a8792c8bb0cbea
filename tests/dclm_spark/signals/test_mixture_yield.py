"""The recipes of docs/recipes.md on the sample: what is planned is what is written."""

import hashlib
import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dclm_spark.beginning import RunRequest
from dclm_spark.pipeline import build_baseline, plan_mixture
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.deciding import check_decisions, score_candidates
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.signals.mixture_yield import exact_yield, render
from dclm_spark.stages.select import select
from tests.udfs.fasttext.fasttext_training import train

ROOT = Path(__file__).parents[3]
MOST_LINES = 25
BLOCKS = [
    block.split("```")[0].removeprefix("yaml\n")
    for block in (ROOT / "docs" / "recipes.md").read_text().split("```")
    if block.startswith("yaml\nname: ")
]

pytestmark = [pytest.mark.spark, pytest.mark.long]


def test_the_page_has_four_recipes_of_few_lines():
    assert [block.splitlines()[0] for block in BLOCKS] == [
        "name: ensemble", "name: curve", "name: domains", "name: union"
    ]  # fmt: skip
    assert max(len(block.splitlines()) for block in BLOCKS) <= MOST_LINES


def stand_in(folder, name, labels, texts, seed):
    """A small model of given labels, which it learnt by chance."""
    (folder / name).mkdir()
    chance = random.Random(seed)
    lines = [f"__label__{chance.choice(labels)} {' '.join(text.split()[:80])}" for text in texts]
    _, path = train(folder / name, lines, dim=4, epoch=5, lr=1.0)
    path.rename(folder / f"{name}.bin")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a crawl, the four recipes and stand-ins for their models."""
    folder = tmp_path_factory.mktemp("mixtures")
    crawl = generate_crawl(folder / "crawl", seed=7, num_pages=200)
    (folder / "models").mkdir()
    texts = [
        json.loads(line)["text"]
        for path in (crawl.positives, crawl.negatives)
        for line in path.read_text().splitlines()[:100]
    ]
    for seed, name in enumerate(("edu", "facts", "chat")):
        stand_in(folder / "models", name, ["hq", "cc"], texts, seed)
    stand_in(folder / "models", "topics", ["science", "shopping", "travel"], texts, 4)
    stand_in(folder / "models", "formats", ["list", "prose"], texts, 5)
    # The sample's recipe has a classifier, which these recipes do without.
    shutil.copy(folder / "models" / "edu.bin", folder / "quality.bin")
    for block in BLOCKS:
        name = block.splitlines()[0].removeprefix("name: ")
        (folder / f"{name}.yaml").write_text(block.replace("models/", f"{folder}/models/"))
    return folder, crawl


def recipe_of(place, name):
    folder, crawl = place
    small = [
        "tokens.sequence_length=64", "tokens.sequences_per_shard=16", "deduplication.shards=2"
    ]  # fmt: skip
    recipe = sample_recipe(load_recipe(f"{folder}/{name}.yaml", small), crawl, folder)
    # The sample has pages that all rules keep, and these are too few to be mixed.
    return replace(recipe, heuristics=replace(recipe.heuristics, enabled=False))


@pytest.fixture(scope="module")
def planned(spark, place):
    """The curve's plan, and the stages below it, which the other recipes share."""
    folder, crawl = place
    request = RunRequest(
        inputs=str(crawl.listing), output=str(folder / "run"), base=str(crawl.base)
    )
    return request, plan_mixture(spark, recipe_of(place, "curve"), request)


@pytest.fixture(scope="module")
def built(spark, place, planned):
    request, _ = planned
    given = {"inputs": request.inputs, "output": request.output, "base": request.base}
    return build_baseline(spark, recipe=recipe_of(place, "curve"), **given)


def test_what_is_planned_is_what_is_written(planned, built):
    _, rows = planned
    manifest = built.shard_manifest
    kept = [row for row in rows if row.rule is None]
    assert sum(row.documents for row in kept) == built.selected.documents()["kept"]
    assert sum(row.documents for row in rows) == built.candidates.rows("kept/")
    assert (
        sum(row.corpus_tokens for row in rows)
        == manifest["num_tokens"] - manifest["num_padding_tokens"]
    )
    assert max(row.copies for row in rows) > 2
    dropped = {
        entry["rule"]: entry["documents"]
        for entry in built.tokenized.totals["counts"]
        if entry["rule"]
    }
    counted = Counter()
    for row in rows:
        if row.rule:
            counted[row.rule] += row.documents
    assert dict(counted) == dropped
    assert {"not_the_worst", "repeat"} == set(dropped)
    assert f"{sum(row.corpus_tokens for row in rows):,}" in render(rows)


def test_copies_are_numbered_in_the_provenance(built):
    copies = {}
    for path in Path(built.selected.directory).glob("kept/*.parquet"):
        for row in pq.read_table(path, columns=["doc_id", "repeats"]).to_pylist():
            copies[row["doc_id"]] = row["repeats"]
    found = {}
    for path in Path(built.shards.directory).glob("*.provenance.parquet"):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["doc_id"], set()).add(row["repeat"])
    assert found == {doc_id: set(range(count)) for doc_id, count in copies.items()}


@pytest.mark.parametrize("name", ["ensemble", "domains", "union"])
def test_each_recipe_of_the_page_decides_over_the_same_documents(spark, place, built, name):
    recipe = recipe_of(place, name)
    check_decisions(recipe, spark)
    folder = place[0] / name
    scored = score_candidates(
        spark, recipe, built.candidates, lambda stage: str(folder / stage), with_tokens=True
    )
    rows = exact_yield(spark, scored.candidates, scored.decision)
    selected = select(spark, scored.candidates, scored.decision, str(folder / "select"))
    kept = [row for row in rows if row.rule is None]
    assert sum(row.documents for row in kept) == selected.documents()["kept"] > 0
    assert len({row.bucket for row in kept}) > 1
    tables = [pq.read_table(file["uri"]).to_pylist() for file in selected.files("kept/")]
    written = sum(row["repeats"] * (row["num_tokens"] + 1) for table in tables for row in table)
    assert sum(row.corpus_tokens for row in rows) == written


def test_the_funnel_and_the_columns_stand_in_the_report(place, planned, built):
    request, _ = planned
    report = json.loads((Path(request.output) / "report.json").read_text())
    labels = [step["label"] for step in report["funnel"]]
    assert labels[-2:] == ["not_the_worst", "repeat"]
    assert report["funnel"][-1]["documents"] == built.selected.documents()["kept"]
    assert {"good", "topic_probability"} <= {one["name"] for one in report["histograms"]}
    (topics,) = report["values"]
    assert topics["name"] == "topic"
    assert sum(count for _, count in topics["values"]) == built.candidates.rows("kept/")


def checksums(output):
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in ("stages/signal-topic", "stages/select", "stages/tokenize", "shards")
        for path in sorted((Path(output) / stage).rglob("*.parquet"))
    }


@pytest.mark.parametrize(
    "partitions",
    [
        # Each makes the stages anew.
        pytest.param("1", marks=pytest.mark.slow),
        "7",
        pytest.param("64", marks=pytest.mark.slow),
    ],
)
def test_partitions_and_a_kill_change_no_byte(spark, place, planned, built, partitions):
    request, _ = planned
    before = checksums(request.output)
    for stage in (*built.signals.values(), built.selected, built.tokenized, built.shards):
        # What a kill leaves: some units without their manifests.
        manifests = sorted(Path(stage.directory).glob("manifests/*.json"))
        for manifest in manifests if stage is built.shards else manifests[::2]:
            manifest.unlink()
    chosen = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    try:
        given = {"inputs": request.inputs, "output": request.output, "base": request.base}
        again = build_baseline(spark, recipe=recipe_of(place, "curve"), **given)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", chosen)
    assert again.shard_manifest == built.shard_manifest
    assert checksums(request.output) == before
