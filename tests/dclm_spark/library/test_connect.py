"""All functions on the tests' session, on one that somebody else made, and on Spark Connect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dclm_spark
from tests.dclm_spark.library.every_function import every_function

ROOT = Path(__file__).parents[3]
# All functions on a whole run, and on a server of their own: minutes.
pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def arguments(run):
    tokens, model = run.recipe.tokens.tokenizer.uri, run.recipe.quality.model.uri
    return [str(run.crawl.listing), str(run.crawl.base), model, tokens]


@pytest.fixture(scope="module")
def found(spark, arguments, tmp_path_factory):
    return every_function(spark, *arguments, str(tmp_path_factory.mktemp("shards") / "out"))


def test_every_function_gives_rows(found):
    helpers = {"read_warc", "read_texts", "evaluation_texts"}
    assert set(found) == set(dclm_spark.__all__) - helpers
    assert all(found.values())


def test_every_function_gives_the_same_rows_on_spark_connect(found, arguments, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
    script = str(ROOT / "tests" / "dclm_spark" / "library" / "every_function.py")
    done = subprocess.run(
        [sys.executable, script, *arguments, str(tmp_path / "out")],
        capture_output=True, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == found


def test_no_function_uses_what_spark_connect_lacks():
    for path in sorted((ROOT / "dclm_spark" / "library").glob("*.py")):
        text = path.read_text()
        for missing in ("sparkContext", "_jvm", "_jdf", ".rdd", "toPandas", "foreachPartition"):
            assert missing not in text, (path.name, missing)
