"""The README's commands do what it says, or are marked as needing a cloud account."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECIPES = (ROOT / "docs" / "recipes.md").read_text()
CLOUD = "<!-- needs a cloud account -->"
# Commands that this file runs, with the folder of the README's example run replaced.
RUN_HERE = (
    "make baseline", "jobs/explain_page.py", "jobs/train_model.py", "jobs/annotate.py",
)  # fmt: skip
# `make test` is what runs this test.
ELSEWHERE = ("make test",)

pytestmark = pytest.mark.spark


def blocks(text=README):
    for match in re.finditer(r"```sh\n(.*?)```", text, re.DOTALL):
        before = text[: match.start()].rstrip()
        yield match.group(1), before.endswith(CLOUD)


def run(*command):
    return run_line(shlex.join([sys.executable, *command]))


def run_line(line):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        line, shell=True, cwd=ROOT, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    output = tmp_path_factory.mktemp("baseline")
    makefile = (ROOT / "Makefile").read_text()
    line = re.search(r"^\t.*\$\(VENV\)/bin/python jobs/build_baseline.py .*$", makefile, re.M)[0]
    command = line.replace("$(VENV)/bin/python", shlex.quote(sys.executable))
    run_line(command.replace("$(OUTPUT)", str(output)))
    return output


def test_every_command_is_run_here_or_needs_a_cloud_account():
    for command, needs_cloud in blocks():
        known = any(part in command for part in (*RUN_HERE, *ELSEWHERE))
        assert needs_cloud or known, command


@pytest.mark.long
def test_make_baseline_ends_with_report_shards_and_a_model(baseline):
    assert (baseline / "report.html").stat().st_size > 10_000
    assert (baseline / "shards" / "manifest.json").exists()
    assert any((baseline / "model").iterdir())


@pytest.mark.long
def test_a_page_can_be_explained(baseline):
    import pyarrow.parquet as pq

    table = next((baseline / "stages" / "documents" / "dropped").glob("*.parquet"))
    url = pq.read_table(table).column("url")[0].as_py()
    assert "dropped by" in run("jobs/explain_page.py", "--output", str(baseline), url)


@pytest.mark.long
def test_a_model_trains_on_the_shards(baseline, tmp_path):
    run(
        "jobs/train_model.py", "--scale", "tiny",
        "--set", "model.sequence_length=256", "--set", "tokens=8192",
        "--shards", str(baseline / "shards" / "manifest.json"), "--output", str(tmp_path / "m"),
    )  # fmt: skip
    assert any((tmp_path / "m").iterdir())


@pytest.mark.long
def test_a_table_is_filled_and_another_recipe_is_decided_from_it(baseline, tmp_path):
    (line,) = (command for command, _ in blocks(RECIPES) if "jobs/annotate.py" in command)
    table, output = str(tmp_path / "scored"), str(tmp_path / "out")
    line = line.replace(".venv/bin/python", shlex.quote(sys.executable))
    line = line.replace("out/scored", table).replace("out/baseline", str(baseline))
    printed = run_line(line)
    assert len(printed.splitlines()) == 4
    inputs = re.search(r"--input (\S+) --base (\S+)", line)
    tokenizer = baseline / "sample" / "tokenizer.json"
    run(
        "jobs/build_baseline.py", "--recipe", "c4", "--input", inputs[1], "--base", inputs[2],
        "--scored", table, "--output", output, "--set", "tokens.sequence_length=256",
        "--set", f"tokens.tokenizer.uri={tokenizer}", "--set", "tokens.padding_id=1",
        "--set", "deduplication.shards=2",
    )  # fmt: skip
    assert (tmp_path / "out" / "shards" / "manifest.json").exists()
    texts = [path.name for path in Path(table).glob("texts-*")]
    assert len(texts) == 1


def test_the_recipe_of_the_page_of_recipes_loads(tmp_path):
    from dclm_spark.recipes import load_recipe

    text = re.search(r"```yaml\n(# my_recipe.*?)```", RECIPES, re.DOTALL).group(1)
    (tmp_path / "my_recipe.yaml").write_text(text)
    recipe = load_recipe(str(tmp_path / "my_recipe.yaml"), ["quality.top=0.05"])
    assert (recipe.quality.top, recipe.quirks, recipe.name) == (0.05, "none", "my_recipe")
