"""Runs of several sources that end otherwise: killed, compared across sources, with removals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dclm_spark.mixed_runs.mixed_beginning import MixedRequest
from dclm_spark.mixed_runs.mixed_run import build_mixture
from dclm_spark.removal.remove import Request, remove_documents
from dclm_spark.shard_format import read_manifest
from tests.mixed_sources import checksums, provenance, recipe_of, write_sources

pytestmark = [pytest.mark.spark, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def built(spark, place):
    return build_mixture(spark, recipe_of(place), MixedRequest(output=str(place / "a run")))


def job(place, output):
    command = [
        sys.executable, str(ROOT / "jobs/build_baseline.py"), "--recipe", str(place / "mine.yaml"),
        "--output", str(output), "--master", "local[2,3]",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, start_new_session=True)


@pytest.mark.parametrize("stage", ["sources/again/stages/documents", "stages/mix", "shards"])
def test_a_killed_run_goes_on_to_the_same_bytes(place, built, tmp_path, stage):
    output = tmp_path / "killed"
    process = job(place, output)
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if list(output.glob(f"{stage}/manifests/*.json")):
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (output / "report.json").exists()
    done = {
        path: path.stat().st_mtime_ns
        for path in output.glob("sources/*/stages/documents/manifests/*.json")
    }
    assert done
    assert job(place, output).wait(timeout=300) == 0
    assert checksums(output) == checksums(place / "a run")
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert json.loads((output / "report.json").read_text())["balanced"]


def test_sources_are_compared_where_the_recipe_says_so(spark, place):
    recipe = recipe_of(
        place,
        "mixture.deduplicate=true",
        "deduplication.method=minhash",
        "sources.web.weight=null",
        "sources.again.weight=null",
    )
    run = build_mixture(spark, recipe, MixedRequest(output=str(place / "compared")))
    web, again = run.shares
    assert web.corpus == web.available
    assert web.available.documents > 70
    # All of its texts stand in the first source; of five words and fewer there is no signature.
    assert again.available.documents < 5


def test_what_is_removed_goes_from_all_sources_and_their_files(spark, place, built):
    output = place / "a run"
    texts = [
        json.loads(line)["text"] for line in (place / "two files/b.jsonl").read_text().splitlines()
    ]
    spans = [row for row in provenance(output / "shards") if row["domain"] == "b.example"]
    assert {row["source"] for row in spans} == {"web", "again"}
    request = Request(
        output=str(output), entries=(("domain", "b.example"),), reason="asked to", compact=True
    )
    record = remove_documents(spark, request)
    assert record["tokens"] == sum(row["num_tokens"] for row in spans)
    for path in output.rglob("*.parquet"):
        if "removed" in path.parts:
            continue
        content = json.dumps(pq.read_table(path).to_pylist(), default=str)
        assert "b.example" not in content, path
        assert not [text for text in texts if len(text) > 60 and text in content], path
    manifest = read_manifest(str(output / "shards"))
    build_mixture(spark, recipe_of(place), MixedRequest(output=str(output)))
    assert read_manifest(str(output / "shards")) == manifest
