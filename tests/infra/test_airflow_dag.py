"""The DAGs in a real Airflow: they import, have the right shape and requests, and run.

Airflow lives in an environment of its own: DCLM_SPARK_AIRFLOW_PYTHON names its interpreter.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.submit_scripts import aws_errors
from tests.infra.test_emr import allows

INFRA = Path(__file__).parents[2] / "infra"
INSPECTION = Path(__file__).with_name("airflow_inspection.py")
AIRFLOW_PYTHON = os.environ.get("DCLM_SPARK_AIRFLOW_PYTHON", "")

EMR = {
    "output": "s3://corpus/runs/emr", "code": "s3://corpus/code", "logs": "s3://corpus/logs/",
    "subnets": ["subnet-0a1b2c3d"], "architecture": "x86_64",
}  # fmt: skip
CLOUDS = {
    "DCLM_SPARK_EMR": EMR,
    "DCLM_SPARK_EMR_SERVERLESS": {
        "output": "s3://corpus/runs/serverless", "code": "s3://corpus/code",
        "logs": "s3://corpus/logs/", "application": "00f1a2b3c4",
        "role": "arn:aws:iam::111122223333:role/curation",
    },
    "DCLM_SPARK_DATAPROC": {
        "output": "gs://corpus/runs/dataproc", "code": "gs://corpus/code",
        "project": "corpora-7", "region": "us-east1", "staging_bucket": "corpus",
        "subnet": "curation", "service_account": "c@corpora-7.iam.gserviceaccount.com",
    },
}  # fmt: skip

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
        **{name: json.dumps(platform) for name, platform in CLOUDS.items()},
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
    waiting = {key: task["deferrable"] for key, task in tasks(bag, name).items()}
    # It writes one event, and waits for nothing.
    assert waiting.pop("publish") is None
    assert all(waiting.values())


@pytest.mark.parametrize("name", ["baseline_emr", "baseline_emr_serverless"])
def test_the_wait_outlasts_the_job(bag, name):
    assert tasks(bag, name)["run"]["waiter_seconds"] == 13 * 3600


def test_a_dataproc_cluster_ends_even_without_airflow(bag):
    rendered = tasks(bag, "baseline_dataproc")["create_cluster"]["rendered"]["1"]
    lifecycle = rendered["cluster_config"]["lifecycle_config"]
    assert lifecycle == {"idle_delete_ttl": {"seconds": 600}, "auto_delete_ttl": {"seconds": 46800}}


def test_a_dataproc_cluster_has_the_network_and_identity_that_were_given(bag):
    rendered = tasks(bag, "baseline_dataproc")["create_cluster"]["rendered"]["1"]
    machines = rendered["cluster_config"]["gce_cluster_config"]
    assert machines["subnetwork_uri"] == "curation"
    assert machines["service_account"] == "c@corpora-7.iam.gserviceaccount.com"
    assert rendered["labels"] == {"project": "dclm-spark"}


def test_params_have_a_schema(bag):
    params = bag["dags"]["baseline_emr"]["params"]
    assert set(params) == {"recipe", "input"}
    assert all(schema["type"] == "string" and schema["pattern"] for schema in params.values())


def test_the_trainer_waits_for_the_shards_of_the_local_baseline(bag):
    outlets = tasks(bag, "baseline_local")["publish"]["outlets"]
    assert bag["dags"]["train_on_new_shards"]["schedule"] == outlets
    assert len(outlets) == 1


@pytest.mark.parametrize("name", ["baseline_emr", "baseline_emr_serverless", "baseline_dataproc"])
def test_shards_are_announced_only_after_the_run(bag, name):
    assert tasks(bag, name)["publish"]["upstream"] == ["run"]
    assert tasks(bag, name)["run"]["outlets"] == []


def output_of(found):
    return next(part for part in found if part.startswith("--output=")).removeprefix("--output=")


def test_the_output_carries_recipe_and_input_and_policy_allows_it(bag):
    request = tasks(bag, "baseline_emr")["run"]["rendered"]
    default = output_of(request["1"]["steps"][0]["HadoopJarStep"]["Args"])
    other = output_of(request["other"]["steps"][0]["HadoopJarStep"]["Args"])
    again = output_of(request["2"]["steps"][0]["HadoopJarStep"]["Args"])
    assert default == again
    assert default.startswith("s3://corpus/runs/emr/dclm_baseline-")
    assert other.startswith("s3://corpus/runs/emr/mine-")
    policy = json.loads((INFRA / "emr" / "policy.json").read_text())
    key = default.removeprefix("s3://corpus/")
    assert allows(policy, "s3:PutObject", f"arn:aws:s3:::MY-BUCKET/{key}/shards/manifest.json")
    published = tasks(bag, "baseline_emr")["publish"]["rendered"]["1"]["op_args"]
    assert published == [default]


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
    assert "m7i.4xlarge" in json.dumps(request)
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in request["Tags"]


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
        return [tasks(bag, name)[task]["rendered"][number][field] for number in "12"]

    first, second = rendered("baseline_dataproc", "run", "request_id")
    assert first != second
    first, second = rendered("baseline_emr_serverless", "run", "config")
    assert first["clientToken"] != second["clientToken"]
    first, second = rendered("baseline_dataproc", "create_cluster", "cluster_name")
    assert first == second
    assert len(first) <= 51


def test_a_wrong_call_of_the_factory_says_what_to_do(home, tmp_path):
    (tmp_path / "plan.conf").write_text("spark.dclm_spark.deduplication.shards=402\n")
    code = (
        f"PLAN = {str(tmp_path / 'plan.conf')!r}"
        + """
if True:
        from dclm_spark_dag import baseline_dag
        good = dict(target="local", recipe="sample", input=None, output="/o")
        good["platform"] = {"python": "p"}
        emr = dict(target="emr", input="s3://a/b.gz", output="s3://corpus/runs")
        emr["platform"] = {"code": "s3://corpus/code", "logs": "s3://c", "subnets": ["subnet-1a"]}
        for change in (
            {"target": "glue"}, {"platform": {}}, {"platform": {"python": "p", "pyhton": "q"}},
            {"target": "dataproc", "platform": dict.fromkeys(
                ("code", "project", "region", "staging_bucket"), "x")},
            emr | {"platform": emr["platform"] | {"subnets": ["subnet-00000000"]}},
            emr | {"platform": emr["platform"] | {"core_instances": 0}},
            emr | {"conf": ["executor.cores=4"]}, emr | {"settings": ["quality.top"]},
            emr | {"conf_files": [PLAN]},
            emr | {"conf_files": [PLAN], "settings": ["deduplication.shards=402"]},
        ):
            try:
                baseline_dag("d", **(good | change))
                print("accepted")
            except ValueError as error:
                print(error)
    """
    )
    done = subprocess.run(
        [AIRFLOW_PYTHON, "-c", code], capture_output=True, text=True, check=True,
        env=airflow_environment(home),
    )  # fmt: skip
    parts = (
        "must be one of", "'python' is required", "'pyhton'", "s3://", "a placeholder",
        "core_instances = 0", "begins with 'spark.'", "KEY=VALUE", "at least 402", "accepted",
    )  # fmt: skip
    for message, part in zip(done.stdout.splitlines()[-len(parts) :], parts, strict=True):
        assert part in message


@pytest.mark.slow
def test_the_local_dag_builds_the_embedded_sample(home, tmp_path):
    output = tmp_path / "baseline"
    finished = in_airflow(
        home, "run", INFRA / "airflow", "baseline_local",
        DCLM_SPARK_PYTHON=sys.executable, DCLM_SPARK_LOCAL_OUTPUT=str(output),
    )  # fmt: skip
    assert finished["state"].endswith("success")
    assert [event["uri"] for event in finished["events"]] == [f"file://{output}"]
    manifest = Path(finished["events"][0]["extra"]["manifest"])
    assert manifest.parent.parent.name.startswith("sample-")
    assert json.loads(manifest.read_text())["num_sequences"] > 0
    assert (manifest.parents[1] / "report.html").exists()
