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
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from airflow.sdk import DAG, Asset, Param, task

Target = Literal["emr", "emr-serverless", "dataproc", "local"]

INFRA = Path(__file__).resolve().parents[1]
POLL_SECONDS = 60
# Above the job's own limit, so that the platform stops the job first and says why.
MARGIN_HOURS = 1.0
# What each target must be told, and what it may be told.
REQUIRED = {
    "emr": {"code", "logs", "subnets", "service_role", "instance_profile"},
    "emr-serverless": {"code", "logs", "application", "role"},
    "dataproc": {"code", "project", "region", "staging_bucket"},
    "local": {"python"},
}
OPTIONAL = {
    "emr": {"core_instances", "instance_types", "on_demand_fraction"},
    "emr-serverless": set(),
    "dataproc": {"num_workers", "num_spot_workers"},
    "local": {"master"},
}


def baseline_dag(
    dag_id: str,
    *,
    target: Target,
    recipe: str,
    input: str | None,
    output: str,
    platform: Mapping[str, Any],
    settings: Sequence[str] = (),
    hours: float = 12.0,
    schedule: Any = None,
    retries: int = 1,
) -> DAG:
    """Return a DAG of one run of jobs/build_baseline.py; a re-run resumes what is committed.

    `recipe` and `input` are the defaults of the DAG's params; `settings` are `key=value` for --set;
    `platform` holds the keys of REQUIRED and OPTIONAL; `hours` limits the job. The run's asset is
    the shard manifest, `asset_of(output)`. Raises ValueError for what a target cannot do.
    """
    _check(target, input, output, platform)
    dag = DAG(
        dag_id,
        schedule=schedule,
        catchup=False,
        # Two runs would write the same output.
        max_active_runs=1,
        default_args={"retries": retries, "retry_delay": timedelta(minutes=5)},
        params=_params(recipe, input),
        user_defined_macros={"token": token},
        tags=["dclm-spark", target],
    )
    arguments = ["--recipe={{ params.recipe }}", f"--output={output}"]
    arguments += ["--input={{ params.input }}"] if input is not None else []
    arguments += [f"--set={setting}" for setting in settings]
    build = {
        "emr": _add_emr,
        "emr-serverless": _add_emr_serverless,
        "dataproc": _add_dataproc,
        "local": _add_local,
    }[target]
    with dag:
        build(dag_id, tuple(arguments), asset_of(output), dict(platform), hours)
    return dag


def asset_of(output: str) -> Asset:
    """Return the asset that a run updates last: schedule a trainer by it."""
    uri = output if "://" in output else f"file://{Path(output).absolute()}"
    return Asset(f"{uri.rstrip('/')}/shards/manifest.json")


def token(*parts: object) -> str:
    """Return 36 hex digits, the same for the same parts; a template macro."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:36]


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


def _check(target: str, input: str | None, output: str, platform: Mapping[str, Any]) -> None:
    if target not in REQUIRED:
        raise ValueError(f"target = {target!r}: must be one of {', '.join(REQUIRED)}")
    missing = sorted(REQUIRED[target] - set(platform))
    if missing:
        raise ValueError(f"platform: the key {missing[0]!r} is required for target {target!r}")
    unknown = sorted(set(platform) - REQUIRED[target] - OPTIONAL[target])
    if unknown:
        known = ", ".join(sorted(REQUIRED[target] | OPTIONAL[target]))
        raise ValueError(f"platform: unknown key {unknown[0]!r} for {target!r}; known are {known}")
    if target != "local" and (input is None or not output.startswith(("s3://", "gs://"))):
        raise ValueError(
            f"input = {input!r}, output = {output!r}: {target} needs an input and an output on "
            "s3:// or gs://; the embedded sample runs with target 'local' alone"
        )


def _add_emr(
    dag_id: str, arguments: tuple[str, ...], asset: Asset, platform: dict[str, Any], hours: float
) -> None:
    from airflow.providers.amazon.aws.operators.emr import (
        EmrAddStepsOperator,
        EmrCreateJobFlowOperator,
        EmrTerminateJobFlowOperator,
    )

    emr = _requests("emr")
    names = {"subnets", "service_role", "instance_profile", "code"}
    job = emr.Job(
        name=f"{dag_id}-{{{{ token(run_id)[:12] }}}}",
        arguments=arguments,
        **_code(platform["code"]),
        **{key: value for key, value in platform.items() if key not in names},
    )
    request = emr.job_flow_request(
        job,
        subnets=list(platform["subnets"]),
        service_role=platform["service_role"],
        profile=platform["instance_profile"],
    )
    steps = [step | {"ActionOnFailure": "CONTINUE"} for step in request.pop("Steps")]
    # The cluster waits for the step and is ended by the teardown; should Airflow be gone, by the
    # idle timeout of the request.
    request["Instances"]["KeepJobFlowAliveWhenNoSteps"] = True
    create = EmrCreateJobFlowOperator(
        task_id="create_cluster", job_flow_overrides=request, deferrable=True
    )
    run = EmrAddStepsOperator(
        task_id="run",
        job_flow_id="{{ ti.xcom_pull(task_ids='create_cluster') }}",
        steps=steps,
        wait_for_completion=True,
        deferrable=True,
        waiter_delay=POLL_SECONDS,
        waiter_max_attempts=_polls(hours),
        outlets=[asset],
    )
    delete = EmrTerminateJobFlowOperator(
        task_id="delete_cluster",
        job_flow_id="{{ ti.xcom_pull(task_ids='create_cluster') }}",
        deferrable=True,
        waiter_delay=POLL_SECONDS,
        waiter_max_attempts=30,
        retries=5,
    )
    create >> run >> delete.as_teardown(setups=create)


def _add_emr_serverless(
    dag_id: str, arguments: tuple[str, ...], asset: Asset, platform: dict[str, Any], hours: float
) -> None:
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

    emr = _requests("emr")
    job = emr.Job(
        name=dag_id,
        arguments=arguments,
        logs=platform["logs"],
        execution_timeout_minutes=round(hours * 60),
        **_code(platform["code"]),
    )
    request = emr.serverless_request(
        job, application=platform["application"], role=platform["role"]
    )
    EmrServerlessStartJobOperator(
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
        waiter_max_attempts=_polls(hours),
        outlets=[asset],
    )


def _add_dataproc(
    dag_id: str, arguments: tuple[str, ...], asset: Asset, platform: dict[str, Any], hours: float
) -> None:
    from airflow.providers.google.cloud.operators.dataproc import (
        DataprocCreateClusterOperator,
        DataprocDeleteClusterOperator,
        DataprocSubmitJobOperator,
    )

    dataproc = _requests("dataproc")
    job = dataproc.Job(
        # Names of clusters: lower case, no underscores, at most 51 characters.
        name="dclm-{{ token(dag.dag_id, run_id)[:20] }}",
        arguments=arguments,
        **_code(platform["code"]),
        **{key: value for key, value in platform.items() if key != "code"},
    )
    config = dataproc.cluster_request(job)["cluster"]["config"]
    # Waiting on Dataproc has no limit of its own: the cluster's life is the job's.
    config["lifecycle_config"]["auto_delete_ttl"] = {"seconds": round((hours + 1) * 3600)}
    place = {"project_id": job.project, "region": job.region}
    create = DataprocCreateClusterOperator(
        task_id="create_cluster",
        cluster_name=job.name,
        cluster_config=config,
        use_if_exists=True,
        delete_on_error=True,
        deferrable=True,
        **place,
    )
    run = DataprocSubmitJobOperator(
        task_id="run",
        job=dataproc.job_request(job)["job"],
        # As for EMR Serverless: a retry must not get the failed job back.
        request_id="{{ token(dag.dag_id, run_id, ti.try_number) }}",
        deferrable=True,
        cancel_on_kill=True,
        polling_interval_seconds=POLL_SECONDS,
        outlets=[asset],
        **place,
    )
    delete = DataprocDeleteClusterOperator(
        task_id="delete_cluster", cluster_name=job.name, deferrable=True, retries=5, **place
    )
    create >> run >> delete.as_teardown(setups=create)


def _add_local(
    dag_id: str, arguments: tuple[str, ...], asset: Asset, platform: dict[str, Any], hours: float
) -> None:
    """Run the job on the worker's machine, with another interpreter than Airflow's."""
    root = INFRA.parent
    command = [str(platform["python"]), str(root / "jobs" / "build_baseline.py"), *arguments]
    command += [f"--master={platform['master']}"] if "master" in platform else []

    @task(task_id="run", outlets=[asset], execution_timeout=timedelta(hours=hours))
    def run(command: list[str]) -> None:
        _run_process(command, root)

    run(command)


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


def _code(prefix: str) -> dict[str, str]:
    """Return where the job's script and the packed environment lie below `prefix`."""
    prefix = prefix.rstrip("/")
    return {
        "script": f"{prefix}/build_baseline.py",
        "environment": f"{prefix}/environment.tar.gz",
    }


def _requests(platform: str) -> ModuleType:
    """Load infra/<platform>/submit.py, which builds the requests."""
    name = f"dclm_spark_{platform}_requests"
    spec = importlib.util.spec_from_file_location(name, INFRA / platform / "submit.py")
    if spec is None or spec.loader is None:
        raise ValueError(f"{INFRA / platform / 'submit.py'}: deploy the whole infra/ folder")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
