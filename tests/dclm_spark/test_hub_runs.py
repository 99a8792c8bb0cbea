"""Whole runs whose tokenizer and classifier come from a hub, with the settings of every recipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark.recipes import RECIPES
from dclm_spark.recipes.dclm_baseline import QUALITY_MODEL
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from tests.hub_server import serve_hub
from udfs.storage import hub
from udfs.tokens.tokenizer import GPT_NEOX

ROOT = Path(__file__).resolve().parents[2]
EDUCATION = "hf://lab/education/quality.bin"
# The served tokenizer is a small one, whatever its name says.
OTHER_FILE = ("tokens.tokenizer.sha256=null", "deduplication.shards=2")
CHANGES = {
    "fineweb_edu": (f"quality.model.uri={EDUCATION}", "quality.top=0.5"),
    "sample": (f"quality.model.uri={EDUCATION}",),
}
SCRIPT = """
import sys
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session

listing, base, output, *recipes = sys.argv[1:]
spark = spark_session("hub", "local[2]")
for one in recipes:
    name, *changes = one.split(" ")
    recipe = load_recipe(name, changes)
    build_baseline(spark, recipe=recipe, inputs=listing, base=base, output=f"{output}/{name}")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The environment of a machine that reaches a hub with what the defaults name, and a crawl."""
    folder = tmp_path_factory.mktemp("hub")
    crawl = generate_crawl(folder / "sample", seed=7, num_pages=200)
    made = sample_recipe(RECIPES["sample"](), crawl, crawl.base)
    tokenizer = Path(made.tokens.tokenizer.uri).read_bytes()
    model = Path(made.quality.model.uri).read_bytes()
    named = {uri: hub.parse(uri) for uri in (GPT_NEOX, QUALITY_MODEL, EDUCATION)}
    files = {
        (file.repository, file.path): tokenizer if uri == GPT_NEOX else model
        for uri, file in named.items()
    }
    with serve_hub(files) as server:
        server.commits |= {file.revision for file in named.values() if file.revision}
        environment = os.environ | {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(folder / "home"),
            "DCLM_SPARK_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        yield crawl, environment, server


def run(command, environment):
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def manifest(output):
    return json.loads((output / "shards" / "manifest.json").read_text())


@pytest.mark.long
@pytest.mark.spark
def test_the_default_recipe_runs_as_a_new_user_starts_it(served, tmp_path):
    crawl, environment, server = served
    command = ["jobs/build_baseline.py", "--input", str(crawl.listing), "--base", str(crawl.base)]
    command += ["--output", str(tmp_path / "out"), "--master", "local[2]"]
    for change in OTHER_FILE:
        command += ["--set", change]
    log = run(command, environment)
    assert "left out url_lists.domains: no page is dropped for its domain" in log
    assert manifest(tmp_path / "out")["num_tokens"] > 0
    assert any("/gpt-neox-20b/resolve/" in path for _, path in server.requests)
    assert any("/fasttext-oh-eli5/resolve/" in path for _, path in server.requests)


@pytest.mark.spark
@pytest.mark.slow
def test_every_recipe_runs_with_files_from_a_hub(served, tmp_path):
    crawl, environment, _ = served
    (tmp_path / "runs.py").write_text(SCRIPT)
    recipes = [" ".join([name, *OTHER_FILE, *CHANGES.get(name, ())]) for name in RECIPES]
    places = [str(crawl.listing), str(crawl.base), str(tmp_path)]
    run([str(tmp_path / "runs.py"), *places, *recipes], environment)
    assert all(manifest(tmp_path / name)["num_tokens"] > 0 for name in RECIPES)
