"""Finished work in an output: nothing of it goes unasked, and no Spark is needed to tell."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dclm_spark.beginning import check_output
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.engine.lease import LEASE
from dclm_spark.engine.run_record import run_identity, write_run_record
from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.stages.documents import unit_name
from udfs.tokens.tokenizer import train_tokenizer

ROOT = Path(__file__).parents[2]
WARCS = ("a", "b", "c")


@pytest.fixture
def finished(tmp_path):
    """An output of the recipe `raw` on three files, and these."""
    paths = []
    for name in WARCS:
        paths.append(tmp_path / "in" / f"{name}.warc.gz")
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].touch()
    recipe, output = load_recipe("raw", []), tmp_path / "out"
    files = list_inputs(",".join(map(str, paths)), None)
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    write_run_record(str(output), recipe, files, identity)
    manifests = output / "stages" / "documents" / "manifests"
    manifests.mkdir(parents=True)
    for file in files:
        (manifests / f"{unit_name(file)}.json").touch()
    return paths, output


def check(recipe, paths, output):
    check_output(recipe, ",".join(map(str, paths)), str(output))


def test_the_same_run_and_one_of_more_files_go_on_in_silence(finished, tmp_path):
    paths, output = finished
    more = tmp_path / "in" / "d.warc.gz"
    more.touch()
    patient = load_recipe(
        "raw", ["extraction.reading.max_attempts=7", "limits.max_failed_inputs=1"]
    )
    check(load_recipe("raw", []), paths, output)
    check(load_recipe("raw", []), [*paths, more], output)
    check(patient, paths, output)
    check(load_recipe("raw", []), paths, tmp_path / "another")


def test_fewer_files_are_refused_with_how_many_would_go(finished):
    paths, output = finished
    with pytest.raises(SettingError, match=r"2 finished input files .*b\.warc\.gz.*--overwrite"):
        check(load_recipe("raw", []), paths[:1], output)


def test_fewer_files_are_no_matter_where_nothing_came_of_the_others(finished):
    paths, output = finished
    for path in (output / "stages" / "documents" / "manifests").iterdir():
        if not path.name.startswith("a-"):
            path.unlink()
    check(load_recipe("raw", []), paths[:1], output)


def test_another_recipe_is_refused_with_both_names(finished):
    paths, output = finished
    with pytest.raises(SettingError, match=r"3 finished units .* raw .*this is c4.*--over"):
        check(load_recipe("c4", []), paths, output)


def job(*arguments):
    command = [sys.executable, str(ROOT / "jobs" / "build_baseline.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_the_job_refuses_before_spark_starts(finished):
    paths, output = finished
    process = job("--recipe", "raw", "--input", paths[0], "--output", output)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = [one for one in errors.splitlines() if one]
    assert line.startswith("error: --output")


@pytest.mark.long
@pytest.mark.spark
def test_ctrl_c_ends_with_one_line_and_frees_the_output(tmp_path):
    crawl = generate_crawl(tmp_path / "sample", seed=9, num_pages=200)
    output = tmp_path / "out"
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(iter(["one two three"]), 300))
    process = job(
        "--recipe", "raw", "--input", crawl.listing, "--base", crawl.base, "--output", output,
        "--master", "local[2]", "--set", f"tokens.tokenizer.uri={tmp_path / 'tokenizer.json'}",
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (output / LEASE).exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((output / LEASE).read_text())["pid"] == process.pid
    time.sleep(1)
    # As a terminal does: to every process of the group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("interrupted; the same command resumes")
    assert "Traceback" not in errors
    assert not (output / LEASE).exists()
