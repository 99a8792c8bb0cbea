"""docs/seven_billion.md: its commands parse, its numbers are the code's, and it can be run."""

import runpy
import sys
from pathlib import Path

import pytest

from dclm_spark.planning.seven_billion import data_table, pool_plan, training_table
from dclm_spark.settings import override
from dclm_spark.train.scales import scale
from tests.rehearsal import PAGE, ROOT, commands, rehearse, variables

JOBS = [words for words in commands() if "jobs/" in " ".join(words)]
# That one reads its arguments in its main; the rehearsal runs it.
PARSED = [words for words in JOBS if "jobs/plan_crawl.py" not in words]


def arguments_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the job's file and its arguments, the values of variables made up."""
    place = next(n for n, word in enumerate(words) if word.startswith("jobs/"))
    given = [word.replace("$STRICT", "0.5") for word in words[place + 1 :] if word != "$SMALL"]
    return words[place], given


@pytest.mark.parametrize("words", PARSED, ids=lambda words: arguments_of(words)[0])
def test_the_arguments_of_each_command_are_known_to_its_job(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, given = arguments_of(words)
    monkeypatch.setattr(sys, "argv", [job, *given])
    module = runpy.run_path(str(ROOT / job))
    if "argument_parser" in module:
        parsed = module["argument_parser"]().parse_args(given)
    else:
        parsed = module["arguments"]()
    if "scale" in parsed:
        override(scale(parsed.scale), parsed.set)


def test_every_command_is_a_job_and_every_variable_is_set() -> None:
    assert len(JOBS) == len(commands()) > 9
    text = PAGE.read_text()
    used = {word for words in commands() for word in words if word.startswith("$")}
    names = {word.lstrip("$").split("/")[0] for word in used}
    assert names <= set(variables())
    assert all(f"${name}" in text for name in variables())


def test_the_tables_are_those_of_the_plans() -> None:
    text = PAGE.read_text()
    assert data_table() in text
    assert training_table() in text


def test_the_pool_leaves_the_tokens_of_the_long_run() -> None:
    assert pool_plan(2e12).output_tokens == pytest.approx(2e12, rel=0.01)
    assert pool_plan(1e12).workload.num_files == pytest.approx(
        pool_plan(2e12).workload.num_files / 2, rel=0.01
    )


@pytest.mark.slow  # Four Spark jobs, three trainings of two ranks and an evaluation: minutes.
def test_the_guide_runs_from_warcs_to_core_and_mmlu_in_miniature(tmp_path: Path) -> None:
    results = rehearse(tmp_path)
    for name in ("core_v2", "mmlu"):
        assert results["aggregates"][name]["value"] is not None
    assert len(results["tasks"]) == 23
