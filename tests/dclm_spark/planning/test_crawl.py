"""Plans that a person can check by hand, and predictions beside what happened."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.crawl.index import IndexCounts
from dclm_spark.crawl.listing import InputFile
from dclm_spark.errors import InputError, SettingError
from dclm_spark.planning.actual import compare, render_comparison
from dclm_spark.planning.cluster import driver_fits, propose
from dclm_spark.planning.crawl import (
    Workload,
    plan_crawl,
    plan_range,
    workload_of_files,
    workload_of_index,
)
from dclm_spark.planning.rates import ClusterSettings, PlanSettings, settings_of
from dclm_spark.planning.rendering import render, spark_conf
from dclm_spark.recipes import load_recipe
from dclm_spark.settings import override
from udfs.dedup.ngrams import NgramDedupSettings, shard_memory_bytes
from udfs.units.commit import FORMAT_VERSION

ROOT = Path(__file__).parents[3]
DEFAULTS = PlanSettings()
WORK = Workload(
    source="listing", num_files=1000, sized_files=0, size_bytes=10**12,
    streamed_pages=36_000_000, parsed_pages=36_000_000, kept_pages=7_000_000,
)  # fmt: skip


def files(*sizes, folder=None):
    """WARCs of these sizes on disk; without a folder, remote ones."""
    found = []
    for number, size in enumerate(sizes):
        uri = f"s3://b/{number}.warc.gz"
        if folder is not None:
            uri = str(folder / f"{number}.warc.gz")
            Path(uri).write_bytes(b"\0" * size)
        found.append(InputFile(crawl="c", path=f"{number}.warc.gz", uri=uri, kind="warc"))
    return found


def test_a_million_pages_take_the_floor_times_the_chain():
    plan = plan_crawl(WORK, DEFAULTS)
    assert plan.cpu_hours == pytest.approx(36e6 * 0.0036 * 1.25 / 3600)
    assert plan.core_hours == pytest.approx(plan.cpu_hours / 0.8)


def test_a_page_that_is_only_streamed_past_costs_its_reading():
    work = replace(WORK, parsed_pages=0, kept_pages=0)
    assert plan_crawl(work, DEFAULTS).cpu_hours == pytest.approx(36e6 * 0.00027 / 3600)


def test_one_request_reads_one_warc():
    assert plan_crawl(WORK, DEFAULTS).requests_read == 1000


def test_dollars_of_each_platform_follow_its_price_table():
    settings = override(DEFAULTS, ["prices.thousand_reads=0", "prices.thousand_writes=0"])
    plan = plan_crawl(WORK, settings)
    per_hour = {name: value / plan.core_hours for name, value in plan.dollars.items()}
    assert per_hour == pytest.approx(
        {
            "emr": 0.25 * 0.0408 + 0.75 * 0.0163 + 0.0102,
            "emr-serverless": 0.042094 + 4 * 0.004628,
            "dataproc": 0.25 * 0.0655 + 0.75 * 0.0262 + 0.010,
            "dataproc-serverless": (0.6 + 0.4) * 0.06,
        }
    )


def test_local_warcs_are_measured_and_remote_ones_assumed(tmp_path):
    rates = override(DEFAULTS.throughput, ["warc_size_bytes=1000", "pages_per_warc=40"])
    local = workload_of_files(files(500, 1500, folder=tmp_path), rates)
    assert (local.size_bytes, local.sized_files, local.parsed_pages) == (2000, 2, 80)
    remote = workload_of_files(files(1, 1, 1), rates)
    assert (remote.size_bytes, remote.sized_files, remote.parsed_pages) == (3000, 0, 120)


def test_documents_without_warcs_cannot_be_planned():
    file = InputFile(crawl="c", path="a.jsonl", uri="s3://b/a.jsonl", kind="json lines")
    with pytest.raises(InputError, match="no WARC"):
        workload_of_files([file], DEFAULTS.throughput)


def test_an_index_of_one_language_keeps_a_larger_share():
    counts = IndexCounts(
        num_warcs=2, streamed_records=1000, streamed_size_bytes=9, matching_records=400,
        matching_size_bytes=4,
    )  # fmt: skip
    work = workload_of_index(counts, DEFAULTS.throughput, one_language=True)
    assert (work.streamed_pages, work.parsed_pages, work.kept_pages) == (1000, 400, 180)
    assert workload_of_index(counts, DEFAULTS.throughput, one_language=False).kept_pages == 80


def test_there_are_never_more_cores_than_warcs():
    assert propose(3, 1e6, 10**9, DEFAULTS).cores == 3


def test_cores_are_enough_to_end_in_time():
    proposal = propose(10**6, 2400.0, 10**9, DEFAULTS)
    assert proposal.cores == 100
    assert proposal.hours <= 24.0


@pytest.mark.parametrize("text_size_bytes", [0, 10**9, 7 * 10**11, 3 * 10**13])
def test_the_proposed_shards_fit_the_memory_that_is_left_for_a_filter(text_size_bytes):
    proposal = propose(1000, 1000.0, text_size_bytes, DEFAULTS)
    ngrams = math.ceil(text_size_bytes / 5.5 / proposal.deduplication_shards)
    needed = shard_memory_bytes(max(1, ngrams), NgramDedupSettings()) / 2**30
    free = proposal.overhead_gib / 4 - ClusterSettings().worker_gib
    assert needed <= free
    assert needed == pytest.approx(proposal.filter_gib, rel=0.01, abs=1e-6)


def test_one_shard_fewer_would_not_fit():
    proposal = propose(1000, 1000.0, 7 * 10**11, DEFAULTS)
    ngrams = math.ceil(7e11 / 5.5 / (proposal.deduplication_shards - 1))
    free = proposal.overhead_gib / 4 - ClusterSettings().worker_gib
    settings = NgramDedupSettings(max_memory_bytes=2**50)
    assert shard_memory_bytes(ngrams, settings) / 2**30 > free


def test_heap_and_overhead_fit_the_machine():
    proposal = propose(1000, 1000.0, 10**9, DEFAULTS)
    assert proposal.executor_memory_gib + proposal.overhead_gib <= 4 * 4.0 * 0.875 + 1e-9


def test_tokens_and_storage_follow_the_shares_that_dclm_published():
    plan = plan_crawl(WORK, DEFAULTS)
    assert plan.compared_tokens == 7_000_000 * 1200
    assert plan.output_tokens == pytest.approx(7e6 * 0.69 * 0.10 * 1200)
    assert plan.stored_size_bytes["shards"] == pytest.approx(plan.output_tokens * 2.07)
    text = plan.kept_text_size_bytes * DEFAULTS.throughput.stored_text_share
    assert plan.stored_size_bytes["deduplicated"] == pytest.approx(text * 0.69)
    assert plan.stored_size_bytes["documents"] > text
    stored = sum(plan.stored_size_bytes.values())
    assert plan.storage_dollars_a_month == pytest.approx(stored / 2**30 * 0.023)


def recipe_of(*assignments):
    """Return the constants of a plan for the recipe of DCLM with these changes."""
    recipe = load_recipe("dclm_baseline", assignments)
    return settings_of(recipe.quality, recipe.deduplication.method)


def test_the_default_recipe_is_what_a_plan_without_one_means():
    assert recipe_of() == DEFAULTS


def test_a_classifier_that_judges_first_leaves_dedup_its_share():
    after = plan_crawl(WORK, recipe_of())
    before = plan_crawl(WORK, recipe_of("quality.before_deduplication=true"))
    assert (after.compared_pages, before.compared_pages) == (7_000_000, 700_000)
    assert before.output_tokens == after.output_tokens
    assert before.proposal.disk_gib < after.proposal.disk_gib
    assert before.proposal.deduplication_shards < after.proposal.deduplication_shards
    # All kept pages are scored, not 69 % of them, and written once more: a tenth with its text.
    text = 7e6 * 1200 * 4.2
    stored, first = after.stored_size_bytes, before.stored_size_bytes
    assert (stored["scores"], first["scores"]) == (round(7e6 * 0.69 * 24), 7_000_000 * 24)
    assert "quality" not in stored
    assert first["quality"] == pytest.approx(text * 0.46 * 0.1 + 6.3e6 * 150)
    assert first["deduplicated"] == pytest.approx(stored["deduplicated"] / 10)
    changed = 0.31 * text / 71.8e6 - 0.9 * text / 96.1e6
    assert before.cpu_hours - after.cpu_hours == pytest.approx(changed / 3600)
    shards = [plan.proposal.deduplication_shards for plan in (after, before)]
    assert after.requests_written == 5 * (1000 + 3 * shards[0])
    assert before.requests_written == 5 * (1000 + 3 * shards[1]) + 8 * 1000


@pytest.mark.parametrize(("setting", "share"), [("top=0.2", 0.2), ("enabled=false", 1.0)])
def test_the_share_that_a_recipe_keeps_is_the_plan_s(setting, share):
    plan = plan_crawl(WORK, recipe_of(f"quality.{setting}"))
    assert plan.output_tokens == pytest.approx(7e6 * 0.69 * share * 1200)


def test_a_method_that_sees_all_shards_gets_one_for_each_core_and_others_a_warning():
    slow = ["cluster.hours=0.2", "cluster.max_filter_gib=1"]
    sharded, by_hash = (
        plan_range(lambda rates: WORK, override(recipe_of(*changes), slow))
        for changes in ((), ("deduplication.method=minhash",))
    )
    few, many = sharded.likely.proposal, by_hash.likely.proposal
    assert many.deduplication_shards == many.cores > few.deduplication_shards
    assert many.filter_gib == 0
    idle = few.cores - few.deduplication_shards
    assert f"{idle:,} of {few.cores:,} cores idle" in render(sharded, DEFAULTS)
    assert "idle" not in render(by_hash, DEFAULTS)


def test_a_range_encloses_the_likely_plan_and_counted_pages_have_none():
    listing = plan_range(lambda rates: workload_of_files(files(1, 1), rates), DEFAULTS)
    for figure in ("core_hours", "output_tokens", "kept_text_size_bytes"):
        ends = [getattr(plan, figure) for plan in (listing.low, listing.likely, listing.high)]
        assert ends == sorted(set(ends))
    assert listing.low.workload.parsed_pages == pytest.approx(39_082, abs=1)
    counts = IndexCounts(
        num_warcs=2, streamed_records=1000, streamed_size_bytes=9, matching_records=400,
        matching_size_bytes=4,
    )  # fmt: skip
    index = plan_range(lambda rates: workload_of_index(counts, rates, one_language=True), DEFAULTS)
    assert index.low.workload.parsed_pages == index.high.workload.parsed_pages == 400
    assert index.low.workload.kept_pages < index.high.workload.kept_pages


def test_the_driver_grows_with_the_files_and_a_plan_says_when_no_machine_holds_it():
    small, large = (propose(number, 1e6, 10**9, DEFAULTS) for number in (1000, 90_000))
    grown = large.driver_overhead_gib - small.driver_overhead_gib
    assert grown == pytest.approx(89_000 * DEFAULTS.cluster.driver_mib_per_file / 1024)
    assert driver_fits(small, DEFAULTS.cluster)
    tight = override(DEFAULTS, ["cluster.cores_per_machine=1"])
    assert not driver_fits(small, tight.cluster)
    assert "the driver needs" in render(plan_range(lambda rates: WORK, tight), tight)


def test_disks_hold_the_shuffle_twice():
    proposal = propose(10**5, 24 * 1600.0, 10**12, DEFAULTS)
    assert proposal.cores == 1600
    assert proposal.disk_gib == 32 + math.ceil(2 * 0.71e12 / 100 / 2**30)


def test_the_spark_settings_of_a_plan_are_taken_by_spark_and_by_the_submit_scripts(tmp_path):
    from tests.infra.submit_scripts import AWS, JOB, dry_run

    plans = plan_range(lambda rates: WORK, DEFAULTS)
    path = tmp_path / "plan.conf"
    path.write_text(spark_conf(plans, "a listing"))
    shards = plans.likely.proposal.deduplication_shards
    job = (*JOB, "--set", f"deduplication.shards={shards}")
    _, requests = dry_run("emr", *AWS, "--conf-file", path, job=job)
    arguments = requests["run_job_flow"]["Steps"][0]["HadoopJarStep"]["Args"]
    for key, value in plans.likely.proposal.spark_settings.items():
        assert f"{key}={value}" in arguments
        assert value.removesuffix("m").isdigit()


@pytest.mark.parametrize(
    "assignment",
    [
        "cluster.hours=0",
        "throughput.utilization=0",
        "prices.on_demand_share=2",
        "cluster.memory_gib_per_core=1",
    ],
)
def test_a_constant_that_makes_no_sense_is_named(assignment):
    with pytest.raises(SettingError, match=assignment.split("=")[0]):
        plan_crawl(WORK, override(DEFAULTS, [assignment]))


@pytest.fixture
def output(tmp_path):
    """A run of two WARCs: 30 pages, 20 kept before dedup; 90 core-seconds in all."""

    def unit(stage, name, counts, seconds):
        folder = tmp_path / ("shards" if stage == "shards" else f"stages/{stage}") / "manifests"
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {
            "format_version": FORMAT_VERSION, "unit": name, "key": "k", "facts": {},
            "timing": {"seconds": seconds},
            "documents": {fate: numbers for fate, *numbers in counts},
            "files": [{"path": f"{name}.parquet", "rows": 1, "size_bytes": 1, "sha256": "0"}],
        }  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(manifest))

    unit("documents", "a", [("kept", 12, 700), ("dropped", 3, 99)], 30.0)
    unit("documents", "b", [("kept", 8, 300), ("quarantined", 7, 99)], 40.0)
    unit("deduplicate", "shard-00000", [("kept", 20, 1000)], 15.0)
    unit("shards", "shard-00000", [], 5.0)
    return str(tmp_path)


def test_a_finished_run_stands_beside_its_prediction(output):
    rows = {row.figure: row for row in compare(plan_crawl(WORK, DEFAULTS), output)}
    assert rows["input files"].actual == 2
    assert rows["pages parsed"].actual == 30
    assert rows["pages kept by heuristics"].actual == 20
    assert rows["text before dedup, bytes"].actual == 1000
    assert rows["files written"].actual == 8
    assert rows["core-hours"].actual == pytest.approx(90 / 3600)
    assert rows["milliseconds a page"].actual == pytest.approx(3000)
    assert rows["milliseconds a page"].predicted == pytest.approx(3.6 * 1.25 / 0.8)
    assert rows["core-hours of documents"].actual == pytest.approx(70 / 3600)


def test_a_folder_without_a_run_cannot_be_compared(tmp_path):
    with pytest.raises(InputError, match="--actual"):
        compare(plan_crawl(WORK, DEFAULTS), str(tmp_path))


def test_the_text_names_the_settings_to_pass_on():
    text = render(plan_range(lambda rates: WORK, DEFAULTS), DEFAULTS)
    for setting in ("spark.executor.cores=", "memoryOverhead=", "deduplication.shards="):
        assert setting in text


def test_the_table_gives_a_ratio_where_there_is_a_prediction(output):
    table = render_comparison(compare(plan_crawl(WORK, DEFAULTS), output))
    assert "| input files | 1,000 | 2 | 0.00 |" in table
    assert "| core-hours of shards |  |" in table


def job(*arguments):
    command = [sys.executable, str(ROOT / "jobs" / "plan_crawl.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_job_plans_a_listing_and_compares(tmp_path, output):
    listing = tmp_path / "warc.paths"
    listing.write_text("crawl-data/CC-MAIN-2026-04/segments/1/warc/a.warc.gz\n")
    done = job("--input", str(listing), "--base", "s3://commoncrawl", "--actual", output)
    assert done.returncode == 0, done.stderr
    assert "pages parsed     39,082" in done.stdout
    assert "| pages parsed |" in done.stdout
    assert "quality " not in done.stdout
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("quality: {before_deduplication: true}\n")
    done = job("--input", str(listing), "--base", "s3://commoncrawl", "--recipe", str(recipe))
    assert done.returncode == 0, done.stderr
    assert "kept for dedup   782 pages" in done.stdout
    assert "  quality " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--index"),
        (("--offsets", "o"), "--index"),
        (("--input", "x.warc.gz", "--set", "prices.emr=1"), "prices.emr"),
    ],
)
def test_a_mistake_in_the_command_ends_with_what_to_do(arguments, message):
    done = job(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
