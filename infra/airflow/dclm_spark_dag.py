"""A factory of Airflow 3 DAGs that run the baseline pipeline on EMR, Dataproc or this machine.

Import it from a file in the DAG folder (baseline_dags.py is one) and keep `infra/` as it is: the
requests come from ../submission.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from airflow.sdk import DAG, Asset, Param, task
from dclm_spark_targets import TARGETS, Run, kinds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission.values import (
    matching,
    pairs,
    refuse_placeholders,
    refuse_too_few_shards,
    spark_settings,
    take_planned_shards,
)

Target = Literal["emr", "emr-serverless", "dataproc", "local"]


def baseline_dag(
    dag_id: str,
    *,
    target: Target,
    recipe: str,
    input: str | None,
    output: str,
    platform: Mapping[str, Any],
    settings: Sequence[str] = (),
    conf: Sequence[str] = (),
    conf_files: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    hours: float = 12.0,
    schedule: Any = None,
    retries: int = 1,
) -> DAG:
    """Return a DAG of runs of jobs/build_baseline.py; the same run again resumes what it has.

    `recipe` and `input` are the defaults of the DAG's params; each pair of them, with the settings,
    has a folder of its own below `output`. `settings` are `key=value` for --set; `conf` is that for
    Spark and `conf_files` are properties files, as jobs/plan_crawl.py --spark-conf writes them.
    `platform` holds what infra/<target>/submit.py needs to know, by the names of its options.
    `hours` limits the job. A run updates the asset `asset_of(output)`, whose event says where its
    shards are. Raises ValueError for what a target cannot do.
    """
    _check(target, input, output, platform, settings)
    dag = DAG(
        dag_id,
        schedule=schedule,
        catchup=False,
        # Two runs of the same params would write the same output.
        max_active_runs=1,
        default_args={"retries": retries, "retry_delay": timedelta(minutes=5)},
        params=_params(recipe, input),
        user_defined_macros={"token": token, "run_folder": run_folder},
        tags=["dclm-spark", target],
    )
    given = "params.input" if input is not None else "''"
    folder = (
        f"{output.rstrip('/')}/{{{{ run_folder(params.recipe, {given}, {list(settings)!r}) }}}}"
    )
    arguments = ["--recipe={{ params.recipe }}", f"--output={folder}"]
    arguments += ["--input={{ params.input }}"] if input is not None else []
    arguments += [f"--set={setting}" for setting in settings]
    run = Run(
        dag_id=dag_id,
        arguments=tuple(arguments),
        output=folder,
        asset=asset_of(output),
        hours=hours,
        conf=_spark_settings(conf, conf_files, settings),
        tags=tags or {},
    )
    with dag:
        last = TARGETS[target](run, dict(platform))
        last >> _publish(run)
    return dag


def asset_of(output: str) -> Asset:
    """Return the asset that every run below `output` updates last: schedule a trainer by it.

    The event's `extra` has the run's `output` and the `manifest` of its shards.
    """
    return Asset(output if "://" in output else f"file://{Path(output).absolute()}")


def token(*parts: object) -> str:
    """Return 36 hex digits, the same for the same parts; a template macro."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:36]


def run_folder(recipe: str, input: str, settings: Sequence[str]) -> str:
    """Return the folder of a run: its recipe by name, and a token of all that it is made from."""
    name = recipe.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
    return f"{name}-{token(recipe, input, *settings)[:12]}"


def _spark_settings(
    conf: Sequence[str], conf_files: Sequence[str], settings: Sequence[str]
) -> dict[str, str]:
    found = spark_settings(conf, conf_files)
    planned = take_planned_shards(found)
    if planned:
        given = pairs("settings", settings).get("deduplication.shards", "1")
        number = int(matching("deduplication.shards", given, r"\d+", "a whole number"))
        refuse_too_few_shards(number, planned)
    return found


def _publish(run: Run) -> Any:
    @task(task_id="publish", outlets=[run.asset])
    def publish(output: str, *, outlet_events: Any = None) -> None:
        outlet_events[run.asset].extra = {
            "output": output,
            "manifest": f"{output}/shards/manifest.json",
        }

    return publish(run.output)


def _params(recipe: str, input: str | None) -> dict[str, Param]:
    # Values become one argument each, never a shell's words.
    params = {
        "recipe": Param(
            recipe,
            type="string",
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./:-]*$",
            description="name of a recipe, or a .yaml file that the driver can read",
        )
    }
    if input is not None:
        params["input"] = Param(
            input,
            type="string",
            minLength=1,
            pattern=r"^[^\s{}]+$",
            description="*.paths.gz listing, glob, directory or files, separated by commas",
        )
    return params


def _check(
    target: str,
    input: str | None,
    output: str,
    platform: Mapping[str, Any],
    settings: Sequence[str],
) -> None:
    if target not in TARGETS:
        raise ValueError(f"target = {target!r}: must be one of {', '.join(TARGETS)}")
    known = {item.name: item for kind in kinds(target) for item in fields(kind)}
    for name, item in known.items():
        if item.default is MISSING and item.default_factory is MISSING and name not in platform:
            raise ValueError(f"platform: the key {name!r} is required for target {target!r}")
    unknown = sorted(set(platform) - set(known))
    if unknown:
        names = ", ".join(sorted(known))
        raise ValueError(f"platform: unknown key {unknown[0]!r} for {target!r}; known are {names}")
    pairs("settings", settings)
    if target == "local":
        return
    if input is None or not output.startswith(("s3://", "gs://")):
        raise ValueError(
            f"input = {input!r}, output = {output!r}: {target} needs an input and an output on "
            "s3:// or gs://; the embedded sample runs with target 'local' alone"
        )
    refuse_placeholders({"platform": platform, "output": output})
