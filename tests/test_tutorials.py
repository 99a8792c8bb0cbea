"""The tutorials: every command names a job, options and keys that there are, and works."""

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from dclm_spark.exports.reference.job_options import job_options
from dclm_spark.exports.reference.recipe_keys import recipe_keys

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
CLOUD = "<!-- needs a cloud account -->"
KEYS = {one.key for one in recipe_keys()}


def blocks(path):
    """Return (commands, whether they need a cloud account) of each block of a page."""
    text = path.read_text()
    return [
        (match.group(1), text[: match.start()].rstrip().endswith(CLOUD))
        for match in re.finditer(r"```sh\n(.*?)```", text, re.DOTALL)
    ]


def job_lines(path):
    """Return the words of each command that runs a job."""
    for commands, _ in blocks(path):
        without_files = re.sub(r"<<'END'.*?^END$", "", commands, flags=re.DOTALL | re.MULTILINE)
        for line in without_files.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words[:1] == ["python"] and len(words) > 1 and words[1].startswith("jobs/"):
                yield words[1:]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_commands_name_jobs_options_and_keys_that_there_are(path):
    for job, *words in job_lines(path):
        known = {name for option in job_options(Path(job).stem) for name in option.names}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, (job, given - known)
        for before, word in pairwise(words):
            if before == "--set":
                key = word.partition("=")[0]
                # A file is named by its parts: uri, sha256.
                assert key in KEYS or key.rpartition(".")[0] in KEYS, word


def test_every_tutorial_is_on_the_first_page_and_has_commands():
    index = (ROOT / "docs" / "tutorials" / "index.md").read_text()
    for path in TUTORIALS:
        if path.stem != "index":
            assert f"]({path.name})" in index
            assert blocks(path)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a folder that looks like a checkout after `make baseline`."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "infra", "dclm_spark", "udfs"):
        (folder / name).symlink_to(ROOT / name)
    shell(folder, "python jobs/build_baseline.py --recipe sample --master 'local[2]' "
          "--output out/baseline")  # fmt: skip
    return folder


def shell(folder, commands):
    python = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}\nset -e\n'
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", python + commands], cwd=folder, capture_output=True, text=True,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


# What a page says that one sees, by the page.
SEEN = {
    "my_warcs": ("report: ", "CREATE EXTERNAL TABLE IF NOT EXISTS crawl.documents_kept"),
    "json_lines_to_tokens": ("3 in, 2 kept, duplicate_text 1", "dropped by duplicate_text"),
    "another_language": ("language: de", "3 in, 2 kept, language 1"),
    "my_own_rule": ("long_enough",),
    "two_recipes": ("changed their fate", "kept -> documents: page_length"),
    "why_is_my_page_missing": ("dropped by page_length", "(minimum 50, maximum 100,000)"),
}


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_commands_of_a_tutorial_work_one_after_another(checkout, path):
    """Slow: each page starts Spark several times, on the embedded sample."""
    shown = "".join(shell(checkout, commands) for commands, cloud in blocks(path) if not cloud)
    for text in SEEN.get(path.stem, ()):
        assert text in shown
