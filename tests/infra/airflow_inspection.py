"""Runs inside Airflow's own environment: prints what its DagBag holds, or runs one DAG."""

import copy
import json
import sys
from datetime import UTC, datetime
from pathlib import Path


def load(folder):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(folder)


def describe(folder):
    bag = load(folder)
    dags = {dag_id: describe_dag(dag) for dag_id, dag in bag.dags.items()}
    return {"import_errors": bag.import_errors, "dags": dags}


def describe_dag(dag):
    return {
        "max_active_runs": dag.max_active_runs,
        "params": {name: param.schema for name, param in dag.params.items()},
        "schedule": scheduling_assets(dag),
        "tasks": {task.task_id: describe_task(dag, task) for task in dag.tasks},
    }


def scheduling_assets(dag):
    condition = getattr(dag.timetable, "asset_condition", None)
    return [asset.uri for asset in getattr(condition, "objects", [])]


def describe_task(dag, task):
    return {
        "type": type(task).__name__,
        "upstream": sorted(task.upstream_task_ids),
        "teardown": task.is_teardown,
        "setup": task.is_setup,
        "deferrable": getattr(task, "deferrable", None),
        "waiter_seconds": getattr(task, "waiter_delay", 0)
        * getattr(task, "waiter_max_attempts", 0),
        "outlets": [asset.uri for asset in task.outlets],
        "rendered": {try_number: render(dag, task, try_number) for try_number in (1, 2)}
        | {"other": render(dag, task, 1, recipe="s3://corpus/code/recipes/mine.yaml")},
    }


class FakeTaskInstance:
    def __init__(self, try_number):
        self.try_number = try_number

    def xcom_pull(self, task_ids):
        return f"result of {task_ids}"


def render(dag, task, try_number, **changed):
    """Return the template fields as the run `manual__1` would see them, params changed or not."""
    task = copy.copy(task)
    params = {name: param.value for name, param in dag.params.items()} | changed
    task.render_template_fields(
        {
            "dag": dag,
            "ti": FakeTaskInstance(try_number),
            "run_id": "manual__1",
            "params": params,
            **(dag.user_defined_macros or {}),
        },
        dag.get_template_env(),
    )
    fields = {name: getattr(task, name) for name in task.template_fields}
    return json.loads(json.dumps(fields, default=str))


def run(folder, dag_id):
    dag = load(folder).dags[dag_id]
    finished = dag.test(logical_date=datetime(2026, 1, 1, tzinfo=UTC))
    return {"state": str(finished.state), "events": asset_events()}


def asset_events():
    """Return what the database knows of updated assets."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        return [
            {"uri": event.asset.uri, "extra": event.extra} for event in session.query(AssetEvent)
        ]


if __name__ == "__main__":
    action, destination, *arguments = sys.argv[1:]
    found = {"describe": describe, "run": run}[action](*arguments)
    Path(destination).write_text(json.dumps(found))
