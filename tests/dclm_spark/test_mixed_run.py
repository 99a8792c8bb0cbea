"""A run of several sources: planned, written, resumed, explained; two sources share their files."""

import json
from argparse import Namespace
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.explain import explain
from dclm_spark.exports.text_corpus import read_corpus, write_text
from dclm_spark.mixed_runs.mixed_beginning import (
    MixedRequest,
    check_sources_before_start,
    request_of,
)
from dclm_spark.mixed_runs.mixed_run import build_mixture, plan_sources
from dclm_spark.preflight import check_recipe
from tests.mixed_sources import checksums, provenance, recipe_of, write_sources

pytestmark = [pytest.mark.spark, pytest.mark.long]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def planned(spark, place):
    return plan_sources(spark, recipe_of(place), MixedRequest(output=str(place / "a run")))


@pytest.fixture(scope="module")
def built(spark, place, planned):
    return build_mixture(spark, recipe_of(place), MixedRequest(output=str(place / "a run")))


def test_what_is_planned_of_each_source_is_what_the_shards_hold(planned, built):
    tokens, documents, copies = Counter(), defaultdict(set), defaultdict(set)
    for row in provenance(built.shards.directory):
        tokens[row["source"]] += row["num_tokens"]
        documents[row["source"]].add(row["doc_id"])
        copies[row["source"]].add((row["doc_id"], row["repeat"]))
    assert planned.shares == built.shares
    for share in planned.shares:
        assert share.corpus.tokens == tokens[share.name]
        assert share.corpus.documents == len(documents[share.name])
        assert share.corpus.copies == len(copies[share.name])
    manifest = built.shard_manifest
    assert manifest["num_tokens"] - manifest["num_padding_tokens"] == sum(tokens.values())
    assert [one["tokens"] for one in manifest["sources"]] == [tokens["web"], tokens["again"]]
    web, again = planned.shares
    # web is the scarcer one: each of its documents enters once.
    assert web.corpus == web.available
    assert again.repeats > 0.3
    assert again.corpus.tokens / web.corpus.tokens == pytest.approx(0.75, abs=0.05)


def test_the_plan_has_the_yield_of_each_recipe(place, planned):
    dropped = {row.rule for row in planned.rows["again"] if row.rule}
    assert dropped == {"short"}
    facts = json.loads((place / "a run" / "mixture.json").read_text())
    assert [one["name"] for one in facts["sources"]] == ["web", "again"]


def test_the_report_has_a_row_for_each_source(place, built):
    report = json.loads((place / "a run" / "report.json").read_text())
    assert report["complete"]
    assert report["balanced"]
    rows = {row["name"]: row for row in report["sources"]}
    assert {name: row["documents_in"] for name, row in rows.items()} == {"web": 80, "again": 80}
    assert [rows[one.name]["tokens"] for one in built.shares] == [
        one.corpus.tokens for one in built.shares
    ]
    assert report["funnel"][-1]["tokens"] == sum(one.corpus.tokens for one in built.shares)
    html = (place / "a run" / "report.html").read_text()
    assert "sources/again/report.html" in html
    assert (place / "a run" / "sources" / "again" / "report.html").exists()


def test_a_page_is_explained_in_each_source(place, built):
    row = next(row for row in provenance(built.shards.directory) if row["source"] == "again")
    first, second = explain(str(place / "a run"), row["doc_id"].hex())
    assert [one[-1].row["source"] for one in (first, second) if one[-1].stage == "mix"] == [
        "web",
        "again",
    ]
    assert first[-1].row["repeats"] == 1
    assert first[-2].stage == "tokenize"
    assert second[0].run == str(place / "a run" / "sources" / "again")


def test_what_needs_one_source_says_which_there_are(place, built):
    with pytest.raises(InputError, match=r"several sources \(web, again\).*sources/web"):
        read_corpus(str(place / "a run"))


def test_texts_of_a_source_have_its_name(spark, place, built):
    written = write_text(spark, str(place / "a run" / "sources" / "again"), str(place / "texts"))
    tables = [pq.read_table(file["uri"]) for file in written.files("data/")]
    assert {name for table in tables for name in table["source"].to_pylist()} == {"again"}
    assert sum(table.num_rows for table in tables) == built.shares[1].available.documents


@pytest.mark.parametrize("partitions", ["1", "7", "64"])
def test_partitions_and_a_kill_change_no_byte(spark, place, built, partitions):
    output = place / "a run"
    before = checksums(output)
    # What a kill leaves: some units without their manifests.
    for pattern in ("sources/*/stages/tokenize", "stages/mix", "shards"):
        for path in sorted(output.glob(f"{pattern}/manifests/*.json"))[::2]:
            path.unlink()
    chosen = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    try:
        again = build_mixture(spark, recipe_of(place), MixedRequest(output=str(output)))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", chosen)
    assert again.shard_manifest == built.shard_manifest
    assert checksums(output) == before


def test_other_weights_need_leave_to_overwrite_and_do_no_stage_of_a_source_again(place, built):
    other = recipe_of(place, "sources.web.weight=1")
    with pytest.raises(SettingError, match="--overwrite"):
        check_sources_before_start(other, MixedRequest(output=str(place / "a run")))


def test_errors_before_the_start_name_the_source(place, tmp_path):
    request = MixedRequest(output=str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"sources\.web: input .*nowhere"):
        check_sources_before_start(recipe_of(place, "sources.web.input=nowhere"), request)
    with pytest.raises(SettingError, match=r"sources\.again: rules\.short.*no column"):
        check_sources_before_start(
            recipe_of(place, "sources.again.recipe.rules.short=colour > 1"), request
        )
    with pytest.raises(SettingError, match=r"sources: the recipe mixed names its own inputs"):
        check_recipe(recipe_of(place))
    given = {"input": "x", "base": None, "scored": None, "limit": None, "overwrite": False}
    with pytest.raises(SettingError, match="--input x: the recipe has sources"):
        request_of(Namespace(output="out", **given))
