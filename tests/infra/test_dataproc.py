"""What is sent to Dataproc: checked by the models of Google's own client."""

import pytest

from tests.infra.submit_scripts import GOOGLE, dry_run, refusal, submit

IMAGE = "us-docker.pkg.dev/corpora-7/images/dclm-spark:1"
BATCH = (*GOOGLE, "--target", "serverless", "--image", IMAGE)
EVERYTHING = (
    "--subnet", "curation", "--network-tag", "private", "--tag", "team=data",
    "--service-account", "curator@corpora-7.iam.gserviceaccount.com",
    "--kms-key", "projects/corpora-7/locations/us-east1/keyRings/r/cryptoKeys/k", "--hours", "5",
)  # fmt: skip


@pytest.fixture
def dataproc():
    return pytest.importorskip(
        "google.cloud.dataproc_v1", reason="google-cloud-dataproc is not installed"
    )


def test_dataproc_takes_the_cluster_with_network_identity_labels_zone_and_limits(dataproc):
    _, requests = dry_run(
        "dataproc", *GOOGLE, *EVERYTHING, "--zone", "us-east1-b", "--idle-minutes", "20"
    )
    request = dataproc.CreateClusterRequest(requests["create_cluster"])
    config = request.cluster.config
    machines = config.gce_cluster_config
    assert machines.subnetwork_uri == "curation"
    assert machines.zone_uri == "us-east1-b"
    assert machines.service_account == "curator@corpora-7.iam.gserviceaccount.com"
    assert list(machines.tags) == ["private"]
    assert config.encryption_config.gce_pd_kms_key_name.endswith("cryptoKeys/k")
    assert config.lifecycle_config.idle_delete_ttl.total_seconds() == 1200
    assert config.lifecycle_config.auto_delete_ttl.total_seconds() == 6 * 3600
    assert dict(request.cluster.labels) == {"project": "dclm-spark", "team": "data"}


def test_the_driver_of_a_cluster_runs_where_the_archive_is_unpacked(dataproc):
    _, requests = dry_run("dataproc", *GOOGLE, "--conf", "spark.driver.memory=9g")
    job = dataproc.SubmitJobRequest(requests["submit_job"]).job.pyspark_job
    assert job.properties["spark.submit.deployMode"] == "cluster"
    assert job.properties["spark.pyspark.driver.python"] == "./environment/bin/python"
    assert list(job.archive_uris) == ["gs://corpus/code/environment-x86_64.tar.gz#environment"]
    assert job.properties["spark.driver.memory"] == "9g"


def test_dataproc_takes_the_batch_with_the_same_network_identity_labels_and_limit(dataproc):
    _, requests = dry_run("dataproc", *BATCH, *EVERYTHING)
    request = dataproc.CreateBatchRequest(requests["create_batch"])
    execution = request.batch.environment_config.execution_config
    assert execution.subnetwork_uri == "curation"
    assert execution.service_account == "curator@corpora-7.iam.gserviceaccount.com"
    assert execution.ttl.total_seconds() == 5 * 3600
    assert execution.kms_key.endswith("cryptoKeys/k")
    assert execution.staging_bucket == "corpus"
    assert list(execution.network_tags) == ["private"]
    assert dict(request.batch.labels) == {"project": "dclm-spark", "team": "data"}
    assert request.batch.runtime_config.container_image == IMAGE
    assert 4 <= len(request.batch_id) <= 63


def test_a_second_attempt_of_a_batch_is_another_batch():
    first, second = (
        dry_run("dataproc", *BATCH, "--attempt", number)[1]["create_batch"] for number in (1, 2)
    )
    assert first["batch_id"] != second["batch_id"]
    assert first["request_id"] != second["request_id"]


def test_an_arm_cluster_has_arm_machines_and_an_arm_archive():
    arm = ("--architecture", "arm64", "--primary-type", "c4a-standard-8",
           "--worker-type", "c4a-highmem-16")  # fmt: skip
    _, requests = dry_run("dataproc", *GOOGLE, *arm)
    archives = requests["submit_job"]["job"]["pyspark_job"]["archive_uris"]
    assert archives == ["gs://corpus/code/environment-arm64.tar.gz#environment"]
    assert "does not fit architecture" in refusal("dataproc", *GOOGLE, *arm[:2])


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--name", "Dclm_Spark"], ["name = 'Dclm_Spark'", "at most 51"]),
        (["--network", "a", "--subnet", "b"], ["give one of them"]),
        (["--service-account", "curator"], ["service_account = 'curator'", "gserviceaccount"]),
        (["--zone", "us-east1"], ["zone = 'us-east1'", "us-east1-b"]),
        (["--idle-minutes", "1"], ["idle_minutes = 1", "5 to 20160"]),
        (["--num-workers", "1"], ["num_workers = 1", "at least 2"]),
        (["--tag", "Team=data"], ["--tag = 'Team'", "lower-case"]),
        (["--tag", "team=Data"], ["--tag team = 'Data'"]),
        (["--kms-key", "k"], ["kms_key = 'k'", "keyRings"]),
        (["--bucket", "corpus"], ["--bucket = 'corpus'", "gs://a-bucket"]),
        (["--image", "a"], ["--image", "--archive"]),
        (["--target", "serverless"], ["infra/docker/Dockerfile"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)  # fmt: skip
def test_what_dataproc_would_refuse_is_refused_before(options, parts):
    message = refusal("dataproc", *GOOGLE, *options)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("spark.executor.cores=5", "4, 8 and 16"),
        ("spark.shuffle.service.enabled=true", "refuses settings of YARN and shuffle"),
    ],
)
def test_what_dataproc_serverless_would_refuse_is_refused_before(setting, part):
    assert part in refusal("dataproc", *BATCH, "--conf", setting)


def test_no_placeholder_is_sent():
    done = submit("dataproc", *GOOGLE, "--project", "my-project")
    assert done.returncode == 2
    assert "create_cluster.project_id = 'my-project': a placeholder" in done.stderr
