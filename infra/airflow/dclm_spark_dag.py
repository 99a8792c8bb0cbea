"""A factory of Airflow 3 DAGs that run the baseline pipeline on EMR, Dataproc or this machine.

Import it from a file in the DAG folder (baseline_dags.py is one) and keep `infra/` as it is: the
requests come from ../emr/submit.py and ../dataproc/submit.py. Providers are imported by the target
that needs them.
"""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from airflow.sdk import DAG, Asset, Param, task

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission.job import Job
from submission.values import (
    matching,
    pairs,
    refuse_placeholders,
    refuse_too_few_shards,
    spark_settings,
    take_planned_shards,
)

INFRA = Path(__file__).resolve().parents[1]
Target = Literal["emr", "emr-serverless", "dataproc", "local"]

POLL_SECONDS = 60
# Above the job's own limit, so that the platform stops the job first and says why.
MARGIN_HOURS = 1.0


@dataclass(frozen=True, kw_only=True)
class Code:
    """Where build_baseline.py and environment-<architecture>.tar.gz lie, in a bucket."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Local:
    """An interpreter that has this package, and how Spark runs there."""

    python: str
    master: str = "local[*,3]"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every target gets: the job without its place, and the DAG's own asset."""

    dag_id: str
    arguments: tuple[str, ...]
    output: str
    asset: Asset
    hours: float
    conf: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def job(self, name: str, code: Code, architecture: str) -> Job:
        """Return the job, as the submit scripts know it."""
        prefix = code.code.rstrip("/")
        return Job(
            name=name,
            script=f"{prefix}/build_baseline.py",
            arguments=self.arguments,
            environment=f"{prefix}/environment-{architecture}.tar.gz",
            conf=self.conf,
            tags=self.tags,
            hours=self.hours,
        )


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
        last = _TARGETS[target](run, dict(platform))
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
    if target not in _TARGETS:
        raise ValueError(f"target = {target!r}: must be one of {', '.join(_TARGETS)}")
    known = {item.name: item for kind in _kinds(target) for item in fields(kind)}
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


def _kinds(target: str) -> list[type]:
    """Return the dataclasses whose fields are the keys of a target's `platform`."""
    if target == "local":
        return [Local]
    if target == "dataproc":
        return [Code, _requests("dataproc").Place, _requests("dataproc").Machines]
    return [Code, _requests("emr").Cluster if target == "emr" else _requests("emr").Serverless]


def _parts(kind: type, platform: Mapping[str, Any]) -> Any:
    names = {item.name for item in fields(kind)}
    return kind(**{key: value for key, value in platform.items() if key in names})


def _add_emr(run: Run, platform: dict[str, Any]) -> Any:
    from airflow.providers.amazon.aws.operators.emr import (
        EmrAddStepsOperator,
        EmrCreateJobFlowOperator,
        EmrTerminateJobFlowOperator,
    )

    emr = _requests("emr")
    cluster = _parts(emr.Cluster, platform)
    name = f"{run.dag_id}-{{{{ token(run_id)[:12] }}}}"
    job = run.job(name, _parts(Code, platform), cluster.architecture)
    request = emr.job_flow_request(job, cluster)
    steps = [step | {"ActionOnFailure": "CONTINUE"} for step in request.pop("Steps")]
    # The cluster waits for the step and is ended by the teardown; should Airflow be gone, by the
    # idle timeout of the request.
    request["Instances"]["KeepJobFlowAliveWhenNoSteps"] = True
    create = EmrCreateJobFlowOperator(
        task_id="create_cluster", job_flow_overrides=request, deferrable=True
    )
    step = EmrAddStepsOperator(
        task_id="run",
        job_flow_id="{{ ti.xcom_pull(task_ids='create_cluster') }}",
        steps=steps,
        wait_for_completion=True,
        deferrable=True,
        waiter_delay=POLL_SECONDS,
        waiter_max_attempts=_polls(run.hours),
    )
    delete = EmrTerminateJobFlowOperator(
        task_id="delete_cluster",
        job_flow_id="{{ ti.xcom_pull(task_ids='create_cluster') }}",
        deferrable=True,
        waiter_delay=POLL_SECONDS,
        waiter_max_attempts=30,
        retries=5,
    )
    create >> step >> delete.as_teardown(setups=create)
    return step


def _add_emr_serverless(run: Run, platform: dict[str, Any]) -> Any:
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

    emr = _requests("emr")
    target = _parts(emr.Serverless, platform)
    job = run.job(run.dag_id, _parts(Code, platform), target.architecture)
    request = emr.serverless_request(job, target)
    return EmrServerlessStartJobOperator(
        task_id="run",
        application_id=request["applicationId"],
        execution_role_arn=request["executionRoleArn"],
        job_driver=request["jobDriver"],
        configuration_overrides=request["configurationOverrides"],
        name=request["name"],
        # The try is part of the token: with the run's alone, a retry would get the failed job back.
        # It goes by `config` because the operator's own argument is not rendered.
        config={
            "clientToken": "{{ token(dag.dag_id, run_id, ti.try_number) }}",
            "executionTimeoutMinutes": request["executionTimeoutMinutes"],
            "tags": request["tags"],
        },
        wait_for_completion=True,
        deferrable=True,
        cancel_on_kill=True,
        waiter_delay=POLL_SECONDS,
        waiter_max_attempts=_polls(run.hours),
    )


def _add_dataproc(run: Run, platform: dict[str, Any]) -> Any:
    from airflow.providers.google.cloud.operators.dataproc import (
        DataprocCreateClusterOperator,
        DataprocDeleteClusterOperator,
        DataprocSubmitJobOperator,
    )

    dataproc = _requests("dataproc")
    place, machines = _parts(dataproc.Place, platform), _parts(dataproc.Machines, platform)
    # Names of clusters: lower case, no underscores, at most 51 characters.
    name = "dclm-{{ token(dag.dag_id, run_id)[:20] }}"
    job = run.job(name, _parts(Code, platform), machines.architecture)
    cluster = dataproc.cluster_request(job, place, machines)["cluster"]
    where = {"project_id": place.project, "region": place.region}
    create = DataprocCreateClusterOperator(
        task_id="create_cluster",
        cluster_name=job.name,
        # Waiting on Dataproc has no limit of its own: the cluster's life is the job's.
        cluster_config=cluster["config"],
        labels=cluster["labels"],
        use_if_exists=True,
        delete_on_error=True,
        deferrable=True,
        **where,
    )
    submit = DataprocSubmitJobOperator(
        task_id="run",
        job=dataproc.job_request(job, place)["job"],
        # As for EMR Serverless: a retry must not get the failed job back.
        request_id="{{ token(dag.dag_id, run_id, ti.try_number) }}",
        deferrable=True,
        cancel_on_kill=True,
        polling_interval_seconds=POLL_SECONDS,
        **where,
    )
    delete = DataprocDeleteClusterOperator(
        task_id="delete_cluster", cluster_name=job.name, deferrable=True, retries=5, **where
    )
    create >> submit >> delete.as_teardown(setups=create)
    return submit


def _add_local(run: Run, platform: dict[str, Any]) -> Any:
    """Run the job on the worker's machine, with another interpreter than Airflow's."""
    if run.conf or run.tags:
        raise ValueError("conf, tags: target 'local' starts its own Spark and has no tags")
    root = INFRA.parent
    local = _parts(Local, platform)
    command = [local.python, str(root / "jobs" / "build_baseline.py"), *run.arguments]
    command.append(f"--master={local.master}")

    @task(task_id="run", execution_timeout=timedelta(hours=run.hours))
    def start(command: list[str]) -> None:
        _run_process(command, root)

    return start(command)


_TARGETS = {
    "emr": _add_emr,
    "emr-serverless": _add_emr_serverless,
    "dataproc": _add_dataproc,
    "local": _add_local,
}


def _run_process(command: list[str], root: Path) -> None:
    """Run `command`, its output to the task's log; end the whole group when the task ends early."""
    hidden = ("AIRFLOW", "_AIRFLOW", "PYTHON")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            print(line, end="")
        status = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    if status != 0:
        raise RuntimeError(f"{Path(command[1]).name} ended with exit code {status}; see the log")


def _polls(hours: float) -> int:
    return round((hours + MARGIN_HOURS) * 3600 / POLL_SECONDS)


def _requests(platform: str) -> ModuleType:
    """Load infra/<platform>/submit.py, which builds the requests."""
    name = f"dclm_spark_{platform}_requests"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, INFRA / platform / "submit.py")
    if spec is None or spec.loader is None:
        raise ValueError(f"{INFRA / platform / 'submit.py'}: deploy the whole infra/ folder")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
