"""The tasks of each target that a DAG of dclm_spark_dag.py can have.

Providers are imported by the target that needs them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, task

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission import dataproc, emr
from submission.job import Job

INFRA = Path(__file__).resolve().parents[1]
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


def kinds(target: str) -> list[type]:
    """Return the dataclasses whose fields are the keys of a target's `platform`."""
    return {
        "emr": [Code, emr.Cluster],
        "emr-serverless": [Code, emr.Serverless],
        "dataproc": [Code, dataproc.Place, dataproc.Machines],
        "local": [Local],
    }[target]


def _parts(kind: type, platform: Mapping[str, Any]) -> Any:
    names = {item.name for item in fields(kind)}
    return kind(**{key: value for key, value in platform.items() if key in names})


def _add_emr(run: Run, platform: dict[str, Any]) -> Any:
    from airflow.providers.amazon.aws.operators.emr import (
        EmrAddStepsOperator,
        EmrCreateJobFlowOperator,
        EmrTerminateJobFlowOperator,
    )

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


TARGETS = {
    "emr": _add_emr,
    "emr-serverless": _add_emr_serverless,
    "dataproc": _add_dataproc,
    "local": _add_local,
}
