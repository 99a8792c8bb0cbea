"""The main job with everything on s3://, behind a store that throttles, breaks and lies."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.recipes import load_recipe
from dclm_spark.sample.crawl import generate_crawl
from dclm_spark.sample.run import sample_recipe
from dclm_spark.settings import to_yaml
from tests.fault_server import end_after, reset_after, stall_after, status
from tests.s3_proxy import another_etag, lost_answer, proxy_before, refusal, refused
from tests.s3_store import CREDENTIALS, s3_store
from udfs import s3_stream, storage
from udfs.resuming import ReadSettings

ROOT = Path(__file__).parents[2]
# As patient as the defaults, but not as slow.
QUICK = (
    "extraction.reading.min_wait_seconds=0.02",
    "extraction.reading.max_wait_seconds=0.2",
    "extraction.reading.read_timeout_seconds=1",
)
# One session for several runs: most of the time of a small run is Spark's start.
RUNS = """
import json, os, sys
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session
spark = spark_session("tests", "local[2,3]")
spark.conf.set("spark.sql.shuffle.partitions", "2")
for run in json.loads(sys.argv[1]):
    build_baseline(spark, recipe=load_recipe(run.pop("recipe")), **run)
"""

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with s3_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture(scope="module")
def proxy(store):
    with proxy_before(store) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def direct(store, monkeypatch):
    """Let this process speak with the store itself."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": store}.items():
        monkeypatch.setenv(name, value)
    s3_stream._clients.clear()
    yield
    s3_stream._clients.clear()


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=300)


@pytest.fixture(scope="module")
def local_recipe(crawl):
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64", *QUICK]
    return sample_recipe(load_recipe("sample", small), crawl, crawl.base)


def in_bucket(bucket, crawl, recipe, folder, output="run"):
    """Put everything that a run reads into a bucket, once; return the run's arguments."""
    if not storage.exists(f"s3://{bucket}/{crawl.listing.relative_to(crawl.base)}"):
        s3_stream.client(ReadSettings()).create_bucket(Bucket=bucket)
        for path in crawl.base.rglob("*"):
            if path.is_file():
                storage.upload(path, f"s3://{bucket}/{path.relative_to(crawl.base)}")

    def moved(file):
        return replace(file, uri=file.uri.replace(str(crawl.base), f"s3://{bucket}"))

    lists = {name: moved(file) for name, file in vars(recipe.url_lists).items()}
    recipe = replace(
        recipe,
        url_lists=replace(recipe.url_lists, **lists),
        quality=replace(recipe.quality, model=moved(recipe.quality.model)),
        tokens=replace(recipe.tokens, tokenizer=moved(recipe.tokens.tokenizer)),
    )
    file = folder / f"{bucket}-{output}.yaml"
    file.write_text(to_yaml(recipe))
    assert str(crawl.base) not in file.read_text()
    return {
        "recipe": str(file),
        "inputs": f"s3://{bucket}/{crawl.listing.relative_to(crawl.base)}",
        "base": f"s3://{bucket}",
        "output": f"s3://{bucket}/{output}",
    }


def run(proxy, runs, folder):
    """Do `runs` one after the other in a process that knows the store by its proxy only."""
    environment = os.environ | CREDENTIALS | {
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": proxy.url,
        "DCLM_SPARK_CACHE": str(folder / "cache"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", RUNS, json.dumps(runs)],
        env=environment, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def checksums(output):
    """Checksums of every table and shard, and the shards' manifest but for its recipe's hash.

    That hash covers where lists and models lie.
    """
    found = {}
    for uri in storage.list_files(str(output)):
        name, data = uri.removeprefix(f"{output}/"), None
        if name.endswith(".parquet"):
            data = storage.read_bytes(uri)
        elif name.endswith("shards/manifest.json"):
            manifest = json.loads(storage.read_bytes(uri))
            del manifest["recipe_hash"]
            data = json.dumps(manifest, sort_keys=True).encode()
        if data is not None:
            found[name] = hashlib.sha256(data).hexdigest()
    return found


@pytest.fixture(scope="module")
def local(crawl, local_recipe, tmp_path_factory):
    """Return the arguments of the same run on local files."""
    folder = tmp_path_factory.mktemp("local")
    file = folder / "recipe.yaml"
    file.write_text(to_yaml(local_recipe))
    return {
        "recipe": str(file), "inputs": str(crawl.listing), "base": str(crawl.base),
        "output": str(folder / "run"),
    }  # fmt: skip


def a_fault_of_each_kind(request):
    """Return a fault for some first requests of every kind that a run makes."""
    if request.bucket != "storm":
        return None
    if request.method == "GET" and request.key.endswith(".warc.gz"):
        number = int(request.key.removesuffix(".warc.gz")[-1])
        return {
            0: [refused(503, "SlowDown")] * 3 + [reset_after(9_000), refused(503, "SlowDown")],
            1: [refusal(status(429, "1")), end_after(5_000), reset_after(0)],
            2: [stall_after(7_000, 2.0), refused(500, "InternalError")],
            3: [end_after(4_000), another_etag],
        }.get(number, [])[request.attempt : request.attempt + 1]
    first = request.attempt == 0
    if first and request.method == "GET" and request.key.endswith(("paths.gz", "quality.bin")):
        return [end_after(20)]
    if first and request.method == "GET" and "stages/documents/manifests" in request.key:
        return [refused(503, "SlowDown")]
    if first and request.method == "PUT" and "shard-00000" in request.key:
        return [lost_answer]
    if first and request.method == "PUT" and "manifests/" in request.key:
        return [refused(503, "SlowDown")] if "00001-" in request.key else None
    return None


def planned(request):
    fault = a_fault_of_each_kind(request)
    return fault[0] if fault else None


def test_a_run_on_s3_writes_the_bytes_of_a_local_one_through_every_fault(
    proxy, crawl, local, local_recipe, tmp_path
):
    calm = in_bucket("calm", crawl, local_recipe, tmp_path)
    storm = in_bucket("storm", crawl, local_recipe, tmp_path)
    proxy.plan = planned
    done = run(proxy, [local, calm, storm], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = checksums(local["output"])
    assert len(expected) > 20
    assert checksums(calm["output"]) == expected
    assert checksums(storm["output"]) == expected
    assert set(proxy.gets("calm", ".warc.gz").values()) == {1}
    assert len(proxy.gets("calm", ".warc.gz")) == 6
    assert proxy.gets("calm", "quality.bin") == {"quality.bin": 1}


def timed_manifests(output):
    """The manifests of the dedup stage; a unit that was done again has other times."""
    uris = storage.list_files(f"{output}/stages/deduplicated/manifests")
    assert uris
    return [storage.read_bytes(uri) for uri in uris]


@pytest.mark.parametrize("method", ["minhash", "global"])
def test_dedup_of_the_whole_corpus_needs_no_jars_on_s3(
    proxy, crawl, local, local_recipe, tmp_path, method
):
    deduplication = replace(local_recipe.deduplication, method=method)
    recipe = replace(local_recipe, name=method, deduplication=deduplication)
    file = tmp_path / "recipe.yaml"
    file.write_text(to_yaml(recipe))
    near = local | {"recipe": str(file), "output": str(tmp_path / "run")}
    remote = in_bucket("calm", crawl, recipe, tmp_path, output=method)
    proxy.plan = lambda request: None
    done = run(proxy, [near, remote], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    expected, found = checksums(near["output"]), checksums(remote["output"])
    # Tables between the steps have as many files as Spark had tasks.
    names = [name for name in expected if "/kept/" in name or name.startswith("shards/")]
    assert len(names) > 5
    assert [found[name] for name in names] == [expected[name] for name in names]
    before = timed_manifests(remote["output"])
    again = run(proxy, [remote], tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert timed_manifests(remote["output"]) == before
