"""The main job on the embedded sample: truth, balance, sameness, resume."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from dclm_spark.explain import describe, explain, final_text
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.report.json_schema import report_schema
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from udfs.units.statistics import documents_by_fate

ROOT = Path(__file__).parents[2]
NUM_PAGES = 300

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=NUM_PAGES)


@pytest.fixture(scope="module")
def recipe(crawl):
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64"]
    return sample_recipe(load_recipe("sample", small), crawl, crawl.base)


@pytest.fixture(scope="module")
def run(spark, crawl, recipe, tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    result = build_baseline(
        spark, recipe=recipe, inputs=str(crawl.listing), output=str(output), base=str(crawl.base)
    )
    return output, result


def checksums(output):
    """Checksums of everything a run wrote except timings, times and the report."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.suffix == ".parquet" or path.name == "manifest.json"
    }


def ledger(output, stage):
    return [
        row
        for path in sorted((output / "stages" / stage).rglob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_every_record_meets_the_fate_that_was_planted(run, crawl):
    output, _ = run
    found = {(row["url"], row["warc_offset"]): row for row in ledger(output, "documents")}
    by_url = {}
    for row in found.values():
        by_url.setdefault(row["url"], []).append(row)
    wrong = []
    for line in crawl.truth.read_text().splitlines():
        truth = json.loads(line)
        if truth.get("stage") not in (None, "documents"):
            continue
        rows = by_url.get(truth["url"], [])
        fates = {(row["fate"], row["rule"]) for row in rows}
        if (truth["fate"], truth["rule"]) not in fates:
            wrong.append((truth["kind"], truth["url"], truth["fate"], truth["rule"], fates))
    assert wrong == []


def test_the_books_balance_over_the_whole_run(run):
    _, result = run
    fates = [
        documents_by_fate(stage.totals)
        for stage in (result.documents, result.deduplicated, result.selected)
    ]
    read = sum(
        unit["records"]["response"] + unit["records"]["broken"]
        for _, unit in result.documents.facts()
    )
    assert sum(fates[0].values()) == read
    assert sum(fates[1].values()) == fates[0]["kept"]
    assert sum(fates[2].values()) == fates[1]["kept"]


def test_shards_hold_what_the_manifest_promises(run):
    output, result = run
    manifest = result.shard_manifest
    train = [shard for shard in manifest["shards"] if shard["role"] == "train"]
    assert {shard["num_sequences"] for shard in train} == {manifest["sequences_per_shard"]}
    tokens = 0
    for shard in manifest["shards"]:
        path = output / "shards" / shard["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard["sha256"]
        rows = pq.read_table(path).column("tokens").to_pylist()
        assert len(rows) == shard["num_sequences"]
        assert {len(row) for row in rows} == {2 * manifest["tokens_per_row"]}
        parts = pq.read_table(str(path).replace(".parquet", ".provenance.parquet"))
        tokens += sum(parts.column("num_tokens").to_pylist())
    assert tokens == manifest["num_tokens"] - manifest["num_padding_tokens"]


def test_the_shards_hold_every_token_of_the_kept_documents(run):
    output, result = run
    selected = [row["doc_id"] for row in ledger(output, "select") if row["fate"] == "kept"]
    tokenized = ledger(output, "tokenize")
    assert [row["doc_id"] for row in tokenized] == selected
    manifest = result.shard_manifest
    total = sum(row["num_tokens"] + 1 for row in tokenized)
    assert total == manifest["num_tokens"] - manifest["num_padding_tokens"]


@pytest.mark.long
@pytest.mark.parametrize("partitions", ["1", "7", "64"])
def test_the_bytes_do_not_depend_on_partitions(spark, run, crawl, recipe, tmp_path, partitions):
    output, _ = run
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    files = sorted(str(path) for path in crawl.base.rglob("*.warc.gz"))
    random.Random(partitions).shuffle(files)
    try:
        build_baseline(
            spark,
            recipe=recipe,
            inputs=",".join(files),
            output=str(tmp_path / "again"),
            base=str(crawl.base),
        )
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert checksums(tmp_path / "again") == checksums(output)


def job(crawl, recipe_file, output):
    command = [
        sys.executable, str(ROOT / "jobs" / "build_baseline.py"), "--recipe", str(recipe_file),
        "--input", str(crawl.listing), "--base", str(crawl.base), "--output", str(output),
        "--master", "local[2,3]",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, start_new_session=True)


@pytest.mark.long
def test_a_killed_and_resumed_run_writes_the_same_bytes(run, crawl, recipe, tmp_path):
    output, _ = run
    recipe_file = output / "recipe.yaml"
    again = tmp_path / "again"
    process = job(crawl, recipe_file, again)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(again.glob("stages/documents/manifests/*.json")):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {
        path: path.stat().st_mtime_ns for path in again.glob("stages/documents/manifests/*.json")
    }
    assert finished
    assert job(crawl, recipe_file, again).wait(timeout=300) == 0
    assert checksums(again) == checksums(output)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.long
def test_a_changed_threshold_never_reuses_old_output(spark, run, crawl, recipe, tmp_path):
    from dataclasses import replace

    output, _ = run
    stricter = replace(recipe, quality=replace(recipe.quality, top=0.1))
    result = build_baseline(
        spark,
        recipe=stricter,
        inputs=str(crawl.listing),
        output=str(tmp_path),
        base=str(crawl.base),
    )
    assert checksums(tmp_path / "shards") != checksums(output / "shards")
    fewer = documents_by_fate(result.selected.totals)["kept"]
    assert fewer < sum(row["fate"] == "kept" for row in ledger(output, "select"))


def test_a_dropped_page_can_be_explained_and_read(run):
    output, _ = run
    row = next(
        row
        for row in ledger(output, "documents")
        if row["fate"] == "dropped" and row["rule"] == "page_length"
    )
    histories = explain(str(output), row["url"])
    text = describe(histories[0])
    assert f"dropped by {row['rule']}" in text
    assert final_text(str(output), histories[0])


@pytest.mark.long
def test_minhash_finds_the_near_duplicates_that_were_planted(spark, run, crawl, recipe, tmp_path):
    from dataclasses import replace

    from dclm_spark.dedup.methods import METHODS
    from dclm_spark.stages.deduplicate import deduplicate
    from udfs.units.documents import DOCUMENTS

    _, result = run
    settings = replace(recipe.deduplication, exact=(), method=METHODS["minhash"]())
    found = deduplicate(spark, result.documents, DOCUMENTS, settings, str(tmp_path / "deduplicate"))
    dropped = [
        row for file in found.files("dropped/") for row in pq.read_table(file["uri"]).to_pylist()
    ]
    assert all(row["partner"] for row in dropped)
    kept = {
        row["url"]
        for file in found.files("kept/")
        for row in pq.read_table(file["uri"], columns=["url"]).to_pylist()
    }
    truth = [json.loads(line) for line in crawl.truth.read_text().splitlines()]
    copies = [
        row
        for row in truth
        if row["duplicate_of"] not in (None, row["url"]) and (row["jaccard"] or 1) >= 0.95
    ]
    missed = [row["url"] for row in copies if row["url"] in kept and row["duplicate_of"] in kept]
    assert copies
    assert len(missed) <= len(copies) // 5


def test_the_report_counts_what_the_corpus_has_and_times_every_stage(run):
    output, result = run
    report = json.loads((output / "report.json").read_text())
    Draft202012Validator(report_schema()).validate(report)
    kept = [row for row in ledger(output, "select") if row["fate"] == "kept"]
    assert sum(one["kept"] for one in report["languages"]) == len(kept) == report["kept"]
    hosts = Counter(urlsplit(row["url"]).netloc for row in ledger(output, "tokenize"))
    assert {one["domain"]: one["kept"] for one in report["domains"]} == {
        one["domain"]: hosts[one["domain"]] for one in report["domains"]
    }
    stages = {one["name"]: one for one in report["stages"]}
    assert list(stages) == [
        "documents", "deduplicate", "dedup_evidence", "score", "select", "tokenize", "shards",
    ]  # fmt: skip
    assert all(one["seconds"] > 0 for one in stages.values())
    assert stages["score"]["documents_in"] == result.deduplicated.documents()["kept"]
    assert stages["shards"]["kept"] == len(kept)
    score = next(one for one in report["histograms"] if one["name"] == "quality_score")
    assert (score["stage"], sum(score["kept"])) == ("select", len(kept))
    sample = next(one for one in report["samples"] if one["rule"] == "language")
    row = next(
        row for row in ledger(output, "documents") if row["doc_id"].hex() == sample["doc_id"]
    )
    assert (sample["warc_path"], sample["warc_offset"], sample["language"]) == (
        row["warc_path"], row["warc_offset"], row["language"],
    )  # fmt: skip
