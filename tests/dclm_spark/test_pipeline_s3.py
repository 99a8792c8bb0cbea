"""The main job with everything on s3://, behind a store that throttles, breaks and lies; gs://."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.dedup.methods import METHODS
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.settings import to_yaml
from tests.fault_server import end_after, reset_after, shortened_to, stall_after, status
from tests.gcs_store import gcs_store
from tests.s3_proxy import another_etag, lost_answer, proxy_before, refusal, refused
from tests.s3_store import CREDENTIALS, s3_store
from udfs import storage
from udfs.storage import gcs as gcs_stream
from udfs.storage import s3
from udfs.storage.stream import ReadSettings

ROOT = Path(__file__).parents[2]
# As patient as the defaults, but not as slow.
QUICK = (
    "extraction.reading.min_wait_seconds=0.02",
    "extraction.reading.max_wait_seconds=0.2",
    "extraction.reading.read_timeout_seconds=1",
)
# One session for several runs: most of the time of a small run is Spark's start.
RUNS = """
import json, logging, os, sys
logging.basicConfig(level=logging.INFO)
from dclm_spark.errors import StageError
from dclm_spark.pipeline import build_baseline
from dclm_spark.dedup.methods import METHODS
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session
spark = spark_session("tests", "local[2,3]")
spark.conf.set("spark.sql.shuffle.partitions", "2")
failures = []
for run in json.loads(sys.argv[1]):
    try:
        build_baseline(spark, recipe=load_recipe(run.pop("recipe")), **run)
        failures.append(None)
    except StageError as error:
        failures.append(str(error))
print(json.dumps(failures))
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
    s3._clients.clear()
    yield
    s3._clients.clear()


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=300)


@pytest.fixture(scope="module")
def local_recipe(crawl):
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64", *QUICK]
    return sample_recipe(load_recipe("sample", small), crawl, crawl.base)


def in_bucket(bucket, crawl, recipe, folder, output="run"):
    """Put everything that a run reads into a bucket of S3, once; return the run's arguments."""
    root = f"s3://{bucket}"
    if not storage.exists(f"{root}/{crawl.listing.relative_to(crawl.base)}"):
        s3.client(ReadSettings()).create_bucket(Bucket=bucket)
        upload_crawl(root, crawl)
    return arguments_at(root, crawl, recipe, folder, output)


def upload_crawl(root, crawl):
    for path in crawl.base.rglob("*"):
        if path.is_file():
            storage.upload(path, f"{root}/{path.relative_to(crawl.base)}")


def arguments_at(root, crawl, recipe, folder, output="run"):
    def moved(file):
        return replace(file, uri=file.uri.replace(str(crawl.base), root))

    lists = {name: moved(file) for name, file in vars(recipe.url_lists).items()}
    recipe = replace(
        recipe,
        url_lists=replace(recipe.url_lists, **lists),
        quality=replace(recipe.quality, model=moved(recipe.quality.model)),
        tokens=replace(recipe.tokens, tokenizer=moved(recipe.tokens.tokenizer)),
    )
    file = folder / f"{root.partition('://')[2]}-{output}.yaml"
    file.write_text(to_yaml(recipe))
    assert str(crawl.base) not in file.read_text()
    return {
        "recipe": str(file),
        "inputs": f"{root}/{crawl.listing.relative_to(crawl.base)}",
        "base": root,
        "output": f"{root}/{output}",
    }


def run(proxy, runs, folder):
    """Do `runs` one after the other in a process that knows the store by its proxy only."""
    environment = os.environ | CREDENTIALS | {
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": proxy.url if proxy else "",
        "DCLM_SPARK_CACHE": str(folder / "cache"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", RUNS, json.dumps(runs)],
        env=environment, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def outcomes(done):
    """Return each run's error, None where it succeeded."""
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


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


SLOW_DOWN = refused(503, "SlowDown")
EXPIRED, DENIED = refused(400, "ExpiredToken"), refused(403, "AccessDenied")
# By bucket, method and a part of the key: what the first requests for each such key meet.
FAULTS = {
    ("storm", "GET", "0.warc.gz"): [*[SLOW_DOWN] * 3, reset_after(9_000), SLOW_DOWN],
    ("storm", "GET", "1.warc.gz"): [refusal(status(429, "1")), end_after(5_000), reset_after(0)],
    ("storm", "GET", "2.warc.gz"): [stall_after(7_000, 2.0), refused(500, "InternalError")],
    ("storm", "GET", "3.warc.gz"): [end_after(4_000), another_etag],
    ("storm", "GET", "4.warc.gz"): [shortened_to(6_000), shortened_to(0)],
    ("storm", "GET", "paths.gz"): [end_after(20)],
    ("storm", "GET", "quality.bin"): [end_after(20)],
    ("storm", "GET", "stages/documents/manifests"): [SLOW_DOWN],
    ("storm", "PUT", "shard-00000"): [lost_answer],
    ("storm", "PUT", "manifests/"): [SLOW_DOWN],
    # As often as a task is tried: each ends a run, and the next one has it behind it.
    ("refused", "GET", "2.warc.gz"): [EXPIRED] * 3,
    ("refused", "PUT", "stages/tokenize/tokens/shard-00000"): [DENIED] * 3,
}


class Storm:
    """`fired` has (where, which) of every fault that a request met."""

    def __init__(self):
        self.fired = set()

    def __call__(self, request):
        for where, faults in FAULTS.items():
            bucket, method, part = where
            met = (request.bucket, request.method) == (bucket, method) and part in request.key
            if met and request.attempt < len(faults):
                self.fired.add((where, request.attempt))
                return faults[request.attempt]
        return None


def test_a_run_on_s3_writes_the_bytes_of_a_local_one_through_every_fault(
    proxy, crawl, local, local_recipe, tmp_path
):
    calm = in_bucket("calm", crawl, local_recipe, tmp_path)
    storm = in_bucket("storm", crawl, local_recipe, tmp_path)
    refused_run = in_bucket("refused", crawl, local_recipe, tmp_path)
    proxy.plan = Storm()
    done = run(proxy, [local, calm, storm, *[refused_run] * 3], tmp_path)
    *fine, expired, denied, resumed = outcomes(done)
    assert [*fine, resumed] == [None] * 4
    assert "credentials have expired" in expired
    assert "run the same command again" in expired
    assert "access refused (403 AccessDenied)" in denied
    assert "a re-run resumes" in denied
    every = {(where, index) for where, faults in FAULTS.items() for index in range(len(faults))}
    assert every - proxy.plan.fired == set()
    expected = checksums(local["output"])
    assert len(expected) > 20
    assert checksums(calm["output"]) == expected
    assert checksums(storm["output"]) == expected
    assert checksums(refused_run["output"]) == expected
    assert set(proxy.gets("calm", ".warc.gz").values()) == {1}
    assert len(proxy.gets("calm", ".warc.gz")) == 6
    assert proxy.gets("calm", "quality.bin") == {"quality.bin": 1}


def timed_manifests(output):
    """The manifests of the dedup stage; a unit that was done again has other times."""
    uris = storage.list_files(f"{output}/stages/deduplicate/manifests")
    assert uris
    return [storage.read_bytes(uri) for uri in uris]


@pytest.mark.parametrize("method", ["minhash", "global"])
def test_dedup_of_the_whole_corpus_needs_no_jars_on_s3(
    proxy, crawl, local, local_recipe, tmp_path, method
):
    deduplication = replace(local_recipe.deduplication, method=METHODS[method]())
    recipe = replace(local_recipe, name=method, deduplication=deduplication)
    file = tmp_path / "recipe.yaml"
    file.write_text(to_yaml(recipe))
    near = local | {"recipe": str(file), "output": str(tmp_path / "run")}
    remote = in_bucket("calm", crawl, recipe, tmp_path, output=method)
    proxy.plan = lambda request: None
    assert outcomes(run(proxy, [near, remote], tmp_path)) == [None] * 2
    expected = checksums(near["output"])
    assert checksums(remote["output"]) == expected
    # Tables between the steps, and those for later crawls, are among them.
    for folder in ("deduplicated-working/", "deduplicated-tables/"):
        assert any(name.startswith(f"stages/{folder}") for name in expected)
    before = timed_manifests(remote["output"])
    assert outcomes(run(proxy, [remote], tmp_path)) == [None]
    assert timed_manifests(remote["output"]) == before


def test_a_run_on_gcs_writes_the_bytes_of_a_local_one(
    crawl, local, local_recipe, tmp_path, monkeypatch
):
    with gcs_store() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        gcs_stream._clients.clear()
        gcs_stream.client(ReadSettings()).create_bucket("calm")
        upload_crawl("gs://calm", crawl)
        gcs = arguments_at("gs://calm", crawl, local_recipe, tmp_path)
        done = run(None, [local, gcs, gcs], tmp_path)
        assert outcomes(done) == [None] * 3
        assert len(checksums(local["output"])) > 20
        assert checksums(gcs["output"]) == checksums(local["output"])
        assert "documents: 0 units to do, 6 already committed" in done.stderr
    gcs_stream._clients.clear()
