"""The requests that the scripts send, checked by the clouds' own models of their interfaces."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[2] / "infra"


def script(name):
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), INFRA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def aws_errors(service, operation, request):
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(service)
    report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
    return report.generate_report()


@pytest.fixture
def emr_job():
    return script("emr/submit").Job(
        name="j", script="s3://b/j.py", arguments=("--output", "s3://b/o"),
        environment="s3://b/e.tar.gz", logs="s3://b/logs/",
    )  # fmt: skip


def test_emr_takes_the_cluster_request(emr_job):
    request = script("emr/submit").job_flow_request(
        emr_job, subnets=["subnet-1"], service_role="r", profile="p"
    )
    assert aws_errors("emr", "RunJobFlow", request) == ""


def test_a_wrong_field_of_a_cluster_request_is_found(emr_job):
    request = script("emr/submit").job_flow_request(
        emr_job, subnets=["subnet-1"], service_role="r", profile="p"
    )
    request["Instances"]["InstanceFleets"][0]["TargetOnDemandCapacty"] = 1
    assert "TargetOnDemandCapacty" in aws_errors("emr", "RunJobFlow", request)


def test_emr_serverless_takes_the_job_and_its_token_is_stable(emr_job):
    build = script("emr/submit").serverless_request
    request = build(emr_job, application="a", role="arn:aws:iam::123456789012:role/x")
    assert aws_errors("emr-serverless", "StartJobRun", request) == ""
    again = build(emr_job, application="a", role="arn:aws:iam::123456789012:role/x")
    assert request["clientToken"] == again["clientToken"]


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("cluster_request", "CreateClusterRequest"),
        ("job_request", "SubmitJobRequest"),
        ("batch_request", "CreateBatchRequest"),
    ],
)
def test_dataproc_takes_the_requests(function, kind):
    dataproc = pytest.importorskip(
        "google.cloud.dataproc_v1", reason="google-cloud-dataproc is not installed"
    )
    module = script("dataproc/submit")
    job = module.Job(
        name="j", project="p", region="r", script="gs://b/j.py", arguments=(),
        environment="gs://b/e.tar.gz", staging_bucket="b",
    )  # fmt: skip
    getattr(dataproc, kind)(getattr(module, function)(job))


@pytest.mark.parametrize(
    "command",
    [
        ["emr/submit.py", "--dry-run", "--", "--output", "s3://b/o"],
        ["emr/submit.py", "--target", "serverless", "--dry-run"],
        ["dataproc/submit.py", "--dry-run"],
        ["dataproc/submit.py", "--target", "serverless", "--dry-run"],
    ],
    ids=" ".join,
)
def test_a_dry_run_prints_json_and_sends_nothing(command):
    done = subprocess.run(
        [sys.executable, str(INFRA / command[0]), *command[1:]],
        capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert json.loads(done.stdout)


def test_the_policy_allows_writing_to_the_own_bucket_alone():
    policy = json.loads((INFRA / "emr" / "policy.json").read_text())
    writes = [
        resource
        for statement in policy["Statement"]
        for resource in statement["Resource"]
        if any(
            action != "s3:GetObject" and action != "s3:ListBucket" for action in statement["Action"]
        )
    ]
    assert writes
    assert all(resource.startswith("arn:aws:s3:::MY-BUCKET/") for resource in writes)
