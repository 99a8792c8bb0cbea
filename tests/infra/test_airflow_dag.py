"""The DAGs in a real Airflow: they import, have the right shape and requests, and run.

Airflow lives in an environment of its own: DCLM_SPARK_AIRFLOW_PYTHON names its interpreter.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[2] / "infra"
INSPECTION = Path(__file__).with_name("airflow_inspection.py")
AIRFLOW_PYTHON = os.environ.get("DCLM_SPARK_AIRFLOW_PYTHON", "")

pytestmark = pytest.mark.skipif(
    not AIRFLOW_PYTHON,
    reason="DCLM_SPARK_AIRFLOW_PYTHON names no interpreter with Airflow 3 (docs/airflow.md)",
)


def in_airflow(home, action, *arguments, **environment):
    """Run the inspection script with an Airflow whose home and database lie in `home`."""
    destination = home / f"{action}.json"
    done = subprocess.run(
        [AIRFLOW_PYTHON, str(INSPECTION), action, str(destination), *map(str, arguments)],
        capture_output=True, text=True, env=airflow_environment(home) | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(destination.read_text())


def airflow_environment(home):
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(INFRA / "airflow"),
        "PYTHONPATH": str(INFRA / "airflow"),
        **{name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    command = [AIRFLOW_PYTHON, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True, env=airflow_environment(home))
    return home


@pytest.fixture(scope="module")
def bag(home):
    return in_airflow(home, "describe", INFRA / "airflow")


def tasks(bag, name):
    return bag["dags"][name]["tasks"]


def aws_errors(service, operation, request):
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(service)
    report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
    return report.generate_report()


def test_every_dag_imports(bag):
    assert bag["import_errors"] == {}
    assert set(bag["dags"]) == {
        "baseline_dataproc", "baseline_emr", "baseline_emr_serverless", "baseline_local",
        "train_on_new_shards",
    }  # fmt: skip


def test_no_dag_writes_one_output_twice_at_a_time(bag):
    assert {dag["max_active_runs"] for dag in bag["dags"].values()} == {1}


@pytest.mark.parametrize("name", ["baseline_emr", "baseline_dataproc"])
def test_a_cluster_is_deleted_whatever_happens(bag, name):
    found = tasks(bag, name)
    assert found["create_cluster"]["setup"]
    assert found["run"]["upstream"] == ["create_cluster"]
    assert found["delete_cluster"]["teardown"]
    assert found["delete_cluster"]["upstream"] == ["create_cluster", "run"]


@pytest.mark.parametrize("name", ["baseline_emr", "baseline_emr_serverless", "baseline_dataproc"])
def test_waiting_takes_no_worker(bag, name):
    assert all(task["deferrable"] for task in tasks(bag, name).values())


@pytest.mark.parametrize("name", ["baseline_emr", "baseline_emr_serverless"])
def test_the_wait_outlasts_the_job(bag, name):
    assert tasks(bag, name)["run"]["waiter_seconds"] == 13 * 3600


def test_a_dataproc_cluster_ends_even_without_airflow(bag):
    rendered = tasks(bag, "baseline_dataproc")["create_cluster"]["rendered"]["1"]
    lifecycle = rendered["cluster_config"]["lifecycle_config"]
    assert lifecycle == {"idle_delete_ttl": {"seconds": 600}, "auto_delete_ttl": {"seconds": 46800}}


def test_params_have_a_schema(bag):
    params = bag["dags"]["baseline_emr"]["params"]
    assert set(params) == {"recipe", "input"}
    assert all(schema["type"] == "string" and schema["pattern"] for schema in params.values())


def test_the_trainer_waits_for_the_shards_of_the_local_baseline(bag):
    outlets = tasks(bag, "baseline_local")["run"]["outlets"]
    assert bag["dags"]["train_on_new_shards"]["schedule"] == outlets
    assert outlets[0].endswith("/shards/manifest.json")


def test_emr_takes_the_rendered_cluster_and_steps(bag):
    found = tasks(bag, "baseline_emr")
    request = found["create_cluster"]["rendered"]["1"]["job_flow_overrides"]
    assert aws_errors("emr", "RunJobFlow", request) == ""
    assert "{{" not in json.dumps(request)
    run = found["run"]["rendered"]["1"]
    steps = {"JobFlowId": run["job_flow_id"], "Steps": run["steps"]}
    assert aws_errors("emr", "AddJobFlowSteps", steps) == ""
    assert run["job_flow_id"] == "result of create_cluster"
    arguments = run["steps"][0]["HadoopJarStep"]["Args"]
    assert "--recipe=dclm_baseline" in arguments
    assert "--output=s3://my-bucket/baseline/emr" in arguments


def test_emr_serverless_takes_the_rendered_job(bag):
    rendered = tasks(bag, "baseline_emr_serverless")["run"]["rendered"]["1"]
    request = {
        "applicationId": rendered["application_id"],
        "executionRoleArn": rendered["execution_role_arn"],
        "jobDriver": rendered["job_driver"],
        "configurationOverrides": rendered["configuration_overrides"],
        "name": rendered["name"],
        **rendered["config"],
    }
    assert aws_errors("emr-serverless", "StartJobRun", request) == ""
    assert len(request["clientToken"]) <= 64
    assert request["executionTimeoutMinutes"] == 720


def test_a_retry_has_a_token_of_its_own_and_a_cluster_name_does_not(bag):
    def rendered(name, task, field):
        return [tries[field] for tries in tasks(bag, name)[task]["rendered"].values()]

    first, second = rendered("baseline_dataproc", "run", "request_id")
    assert first != second
    first, second = rendered("baseline_emr_serverless", "run", "config")
    assert first["clientToken"] != second["clientToken"]
    first, second = rendered("baseline_dataproc", "create_cluster", "cluster_name")
    assert first == second
    assert len(first) <= 51


def test_a_wrong_call_of_the_factory_says_what_to_do(home):
    code = """if True:
        from dclm_spark_dag import baseline_dag
        good = dict(target="local", recipe="sample", input=None, output="/o")
        good["platform"] = {"python": "p"}
        for change in (
            {"target": "glue"}, {"platform": {}}, {"platform": {"python": "p", "pyhton": "q"}},
            {"target": "dataproc", "platform": dict.fromkeys(
                ("code", "project", "region", "staging_bucket"), "x")},
        ):
            try:
                baseline_dag("d", **(good | change))
                print("accepted")
            except ValueError as error:
                print(error)
    """
    done = subprocess.run(
        [AIRFLOW_PYTHON, "-c", code], capture_output=True, text=True, check=True,
        env=airflow_environment(home),
    )  # fmt: skip
    messages = done.stdout.splitlines()[-4:]
    for message, part in zip(
        messages, ("must be one of", "'python' is required", "'pyhton'", "s3://"), strict=True
    ):
        assert part in message


@pytest.mark.slow
def test_the_local_dag_builds_the_embedded_sample(home, tmp_path):
    output = tmp_path / "baseline"
    finished = in_airflow(
        home, "run", INFRA / "airflow", "baseline_local",
        DCLM_SPARK_PYTHON=sys.executable, DCLM_SPARK_LOCAL_OUTPUT=str(output),
    )  # fmt: skip
    assert finished["state"].endswith("success")
    manifest = json.loads((output / "shards" / "manifest.json").read_text())
    assert manifest["num_sequences"] > 0
    assert (output / "report.html").exists()
