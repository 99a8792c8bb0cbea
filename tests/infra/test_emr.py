"""What is sent to EMR: checked by AWS' own models, and sent to a server that speaks its API."""

import json
import shlex
import urllib.request

import pytest

from tests.infra.submit_scripts import (
    AWS,
    INFRA,
    SERVERLESS,
    aws_errors,
    confs,
    dry_run,
    refusal,
    submit,
)
from tests.s3_store import CREDENTIALS
from udfs.storage import s3


def step_arguments(requests):
    return requests["run_job_flow"]["Steps"][0]["HadoopJarStep"]["Args"]


def test_emr_takes_the_cluster_request_with_all_options():
    _, requests = dry_run(
        "emr", *AWS, "--log-kms-key", "arn:aws:kms:us-east-1:111122223333:key/a-b",
        "--security-configuration", "encrypted", "--primary-security-group", "sg-1a",
        "--core-security-group", "sg-2b", "--service-security-group", "sg-3c",
        "--tag", "team=data", "--history", "s3://corpus/history/", "--disk-gib", "700",
    )  # fmt: skip
    request = requests["run_job_flow"]
    assert aws_errors("emr", "RunJobFlow", request) == ""
    assert request["SecurityConfiguration"] == "encrypted"
    assert request["LogEncryptionKmsKeyId"].endswith("key/a-b")
    assert request["LogUri"] == "s3://corpus/logs/"
    assert request["Instances"]["EmrManagedSlaveSecurityGroup"] == "sg-2b"
    assert request["Instances"]["ServiceAccessSecurityGroup"] == "sg-3c"
    disks = request["Instances"]["InstanceFleets"][1]["InstanceTypeConfigs"][0]["EbsConfiguration"]
    assert disks["EbsBlockDeviceConfigs"][0]["VolumeSpecification"]["SizeInGB"] == 700
    assert confs(step_arguments(requests))["spark.eventLog.dir"] == "s3://corpus/history/"


def test_a_wrong_field_of_a_cluster_request_is_found():
    _, requests = dry_run("emr", *AWS)
    requests["run_job_flow"]["Instances"]["InstanceFleets"][0]["TargetOnDemandCapacty"] = 1
    found = aws_errors("emr", "RunJobFlow", requests["run_job_flow"])
    assert "TargetOnDemandCapacty" in found


def test_a_cluster_has_the_tag_without_which_its_role_may_do_nothing():
    _, requests = dry_run("emr", *AWS, "--tag", "team=data")
    request = requests["run_job_flow"]
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert request["ServiceRole"] == "EMR_DefaultRole_V2"
    assert tags["for-use-with-amazon-emr-managed-policies"] == "true"
    assert tags["team"] == "data"


def test_four_executors_fill_the_memory_that_yarn_has_on_a_machine():
    # yarn.nodemanager.resource.memory-mb of the 4xlarge types with 64 GiB.
    _, requests = dry_run("emr", *AWS)
    found = confs(step_arguments(requests))
    memory = int(found["spark.executor.memory"].removesuffix("m"))
    overhead = int(found["spark.executor.memoryOverhead"].removesuffix("m"))
    assert 4 * (memory + overhead) == 57344
    assert found["spark.executor.cores"] == "4"


def test_a_setting_of_the_user_wins():
    _, requests = dry_run(
        "emr", *AWS, "--conf", "spark.driver.memory=9g", "--conf", "spark.task.maxFailures=3"
    )
    arguments = step_arguments(requests)
    assert arguments.count("spark.driver.memory=9g") == 1
    assert not any(part.startswith("spark.driver.memory=4g") for part in arguments)
    assert confs(arguments)["spark.task.maxFailures"] == "3"


def test_types_disk_and_archive_follow_the_one_choice_of_architecture():
    _, requests = dry_run("emr", *AWS, "--architecture", "x86_64")
    text = json.dumps(requests)
    assert "m7i.4xlarge" in text
    assert "m7g" not in text
    assert "environment-x86_64.tar.gz#environment" in step_arguments(requests)[4]
    message = refusal("emr", *AWS, "--instance-type", "m7i.8xlarge")
    assert "'m7i.8xlarge' is x86_64, the cluster arm64" in message


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("m7g.4xlarge", "arm64"), ("c7gd.16xlarge", "arm64"), ("a1.xlarge", "arm64"),
        ("im4gn.large", "arm64"), ("g5g.xlarge", "arm64"), ("g5.xlarge", "x86_64"),
        ("m7i-flex.large", "x86_64"), ("i3en.24xlarge", "x86_64"), ("u-6tb1.metal", None),
    ],
)  # fmt: skip
def test_the_architecture_of_a_machine_type_is_read_from_its_name(kind, architecture):
    from submission import platforms

    if architecture:
        assert platforms.architecture_of(kind) == architecture
    else:
        with pytest.raises(ValueError, match="family and size"):
            platforms.architecture_of(kind)


def test_emr_serverless_takes_the_job_and_a_second_attempt_is_another():
    _, requests = dry_run("emr", *SERVERLESS, "--hours", "30", "--tag", "team=data")
    request = requests["start_job_run"]
    assert aws_errors("emr-serverless", "StartJobRun", request) == ""
    assert request["executionTimeoutMinutes"] == 1800
    assert request["tags"] == {"project": "dclm-spark", "team": "data"}
    _, again = dry_run("emr", *SERVERLESS, "--hours", "30", "--tag", "team=data")
    assert again == requests
    _, second = dry_run("emr", *SERVERLESS, "--hours", "30", "--attempt", "2")
    assert second["start_job_run"]["clientToken"] != request["clientToken"]


def test_emr_serverless_encrypts_logs_and_disks_when_asked():
    key = "arn:aws:kms:us-east-1:111122223333:key/a-b"
    _, requests = dry_run("emr", *SERVERLESS, "--log-kms-key", key, "--disk-kms-key", key)
    overrides = requests["start_job_run"]["configurationOverrides"]
    assert aws_errors("emr-serverless", "StartJobRun", requests["start_job_run"]) == ""
    monitoring = overrides["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert monitoring == {"logUri": "s3://corpus/logs/", "encryptionKeyArn": key}
    assert overrides["diskEncryptionConfiguration"] == {"encryptionKeyArn": key}


def test_an_application_with_an_image_needs_no_archive():
    _, requests = dry_run("emr", *SERVERLESS, "--image")
    text = requests["start_job_run"]["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert "spark.pyspark.python=/opt/environment/bin/python" in text
    assert "spark.archives" not in text


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--subnet", "vpc-1"], ["subnets = 'vpc-1'", "subnet-..."]),
        (["--core-instances", "0"], ["core_instances = 0", "1 to 2000"]),
        (["--on-demand-fraction", "1.5"], ["on_demand_fraction = 1.5", "0 to 1"]),
        (["--primary-security-group", "sg-1"], ["both or none"]),
        (["--log-kms-key", "mine"], ["log_kms_key = 'mine'", "ARN"]),
        (["--region", "Frankfurt"], ["--region = 'Frankfurt'", "us-east-1"]),
        (["--hours", "900"], ["hours = 900.0", "336"]),
        (["--image"], ["--image", "--archive"]),
        (["--bucket", "corpus"], ["--bucket = 'corpus'", "s3://a-bucket"]),
        (["--conf", "driver.memory=3g"], ["driver.memory=3g", "begins with 'spark.'"]),
        (["--conf", "spark.master=yarn"], ["spark.master=yarn", "the platform decides"]),
        (["--conf", "spark.driver.memory"], ["'spark.driver.memory'", "KEY=VALUE"]),
        (["--conf-file", "/nowhere"], ["/nowhere", "plan_crawl.py --spark-conf"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)  # fmt: skip
def test_what_emr_would_refuse_is_refused_before(options, parts):
    message = refusal("emr", *AWS, *options)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--application", ""], "application = ''"),
        (["--role", "curation"], "role = 'curation': must be the ARN of a role"),
        (["--conf", "spark.executor.memoryOverhead=60g"], "4 cores 8 to 30"),
        (["--conf", "spark.executor.cores=5"], "spark.executor.cores = 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_emr_serverless_would_refuse_is_refused_before(options, part):
    assert part in refusal("emr", *SERVERLESS, *options)


@pytest.mark.parametrize(
    "options",
    [
        ["--bucket", "s3://my-bucket"],
        ["--subnet", "subnet-00000000"],
        ["--security-configuration", "<name>"],
    ],
    ids=" ".join,
)
def test_no_placeholder_is_sent(options):
    done = submit("emr", *AWS, *options)
    assert done.returncode == 2
    assert "a placeholder of the examples, and nothing was sent" in done.stderr
    dry = submit("emr", *AWS, *options, "--dry-run")
    assert dry.returncode == 0
    assert "would be refused" in dry.stderr


@pytest.fixture(scope="module")
def aws_url():
    """A server that speaks the APIs of S3, EMR and EMR Serverless."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_url, monkeypatch):
    """boto3, whose clients talk to that server, empty but for a bucket."""
    boto3 = pytest.importorskip("boto3")
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": aws_url}).items():
        monkeypatch.setenv(name, value)
    reset = urllib.request.Request(f"{aws_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    boto3.client("s3").create_bucket(Bucket="corpus")
    # A client keeps the store that it began with.
    s3._clients.clear()
    yield boto3
    s3._clients.clear()


def test_a_submission_uploads_code_and_recipe_and_starts_the_cluster(aws, tmp_path):
    boto3 = aws
    boto3.client("s3").put_object(Bucket="corpus", Key="code/environment-arm64.tar.gz", Body=b"e")
    (tmp_path / "mine.yaml").write_text("base: c4\nname: mine\n")
    job = (
        "--recipe", str(tmp_path / "mine.yaml"), "--output", "s3://corpus/runs/a",
        "--input", "https://data.commoncrawl.org/crawl-data/CC-MAIN-2026-04/warc.paths.gz",
    )  # fmt: skip
    done = submit("emr", *AWS, job=job)
    assert done.returncode == 0, done.stderr
    keys = [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket="corpus")["Contents"]]
    recipe = next(key for key in keys if key.startswith("code/recipes/mine-"))
    assert "code/build_baseline.py" in keys
    clusters = boto3.client("emr").list_clusters()["Clusters"]
    assert [cluster["Name"] for cluster in clusters] == ["dclm-spark"]
    steps = boto3.client("emr").list_steps(ClusterId=clusters[0]["Id"])["Steps"]
    assert f"s3://corpus/{recipe}" in steps[0]["Config"]["Args"]
    from dclm_spark.recipes import load_recipe

    assert load_recipe(f"s3://corpus/{recipe}").name == "mine"


def test_a_submission_without_an_environment_in_the_bucket_is_refused(aws):
    boto3 = aws
    done = submit("emr", *AWS)
    assert done.returncode == 2
    assert "code/environment-arm64.tar.gz: there is no such object; give --archive" in done.stderr
    assert boto3.client("emr").list_clusters()["Clusters"] == []


def test_an_application_of_another_architecture_is_refused(aws):
    boto3 = aws
    boto3.client("s3").put_object(Bucket="corpus", Key="code/environment-arm64.tar.gz", Body=b"e")
    client = boto3.client("emr-serverless")
    application = client.create_application(
        releaseLabel="emr-7.0.0", type="SPARK", architecture="X86_64"
    )["applicationId"]
    options = (*SERVERLESS, "--application", application)
    done = submit("emr", *options)
    assert done.returncode == 2
    assert f"the application {application} is x86_64" in done.stderr


def allows(policy, action, resource):
    import fnmatch

    return any(
        fnmatch.fnmatchcase(action, asked) and fnmatch.fnmatchcase(resource, pattern)
        for statement in policy["Statement"]
        for asked in statement["Action"]
        for pattern in statement["Resource"]
    )


def test_the_policy_allows_what_a_run_does_and_no_more():
    policy = json.loads((INFRA / "emr" / "policy.json").read_text())
    own = "arn:aws:s3:::MY-BUCKET/"
    for folder in ("runs/a/x", "logs/x", "history/x"):
        assert allows(policy, "s3:PutObject", own + folder)
    for folder in ("code/recipes/r.yaml", "code/build_baseline.py", "lists/banned.txt"):
        assert allows(policy, "s3:GetObject", own + folder)
        assert not allows(policy, "s3:PutObject", own + folder)
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::commoncrawl/crawl-data/a/warc.paths.gz")
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::MY-BUCKET")
    assert not allows(policy, "s3:PutObject", "arn:aws:s3:::commoncrawl/crawl-data/a")
    assert not allows(policy, "s3:GetObject", "arn:aws:s3:::another/x")


def test_quoted_settings_come_back_as_one_argument():
    from submission.emr import _quoted

    quoted = _quoted(["--conf", "spark.driver.extraJavaOptions=-Xss4m -Da=b"])
    assert shlex.split(quoted) == ["--conf", "spark.driver.extraJavaOptions=-Xss4m -Da=b"]
