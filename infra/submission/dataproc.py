"""Requests to Dataproc: a cluster and its job, or a batch of Dataproc Serverless."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from submission.errors import SubmissionError
from submission.job import Job, spark_properties, token
from submission.platforms import DATAPROC
from submission.values import matching

_LABEL = r"[a-z][a-z0-9_-]{0,62}"
ARCHITECTURES = ("x86_64", "arm64")
# Arm is the c4a family; every other one has x86 processors.
_ARM_FAMILY = "c4a-"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Project, region and network of a job, the identity that it runs with, and its limits.

    `network` or `subnet` (or neither: the network `default`). An idle cluster ends after
    `idle_minutes`, and every cluster or batch after the job's hours.
    """

    project: str
    region: str
    staging_bucket: str
    network: str = ""
    subnet: str = ""
    network_tags: tuple[str, ...] = ()
    service_account: str = ""
    kms_key: str = ""
    idle_minutes: int = 10

    def __post_init__(self) -> None:
        """Raise SubmissionError for what Dataproc would refuse."""
        matching("project", self.project, r"[a-z][a-z0-9.:-]{4,61}[a-z0-9]", "a project's id")
        matching("region", self.region, r"[a-z]+-[a-z]+\d+", "a region, as us-east1")
        matching("staging_bucket", self.staging_bucket, r"[a-z0-9][a-z0-9._-]+",
                 "a bucket's name without gs://")  # fmt: skip
        if self.network and self.subnet:
            raise SubmissionError(
                f"network = {self.network!r}, subnet = {self.subnet!r}: give one of them"
            )
        if self.service_account:
            matching("service_account", self.service_account, r"[^@\s]+@[^@\s]+\.[a-z.]+",
                     "an address, as name@project.iam.gserviceaccount.com")  # fmt: skip
        if self.kms_key:
            matching("kms_key", self.kms_key, r"projects/.+/cryptoKeys/.+",
                     "projects/P/locations/L/keyRings/R/cryptoKeys/K")  # fmt: skip
        if not 5 <= self.idle_minutes <= 20160:
            raise SubmissionError(
                f"idle_minutes = {self.idle_minutes}: must be from 5 to 20160 (14 days)"
            )


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Machines of a cluster; secondary workers are spot and hold no data."""

    zone: str = ""
    architecture: str = "x86_64"
    worker_type: str = "n2-highmem-16"
    primary_type: str = "n2-standard-8"
    num_workers: int = 8
    num_spot_workers: int = 24
    disk_gib: int = 500

    def __post_init__(self) -> None:
        """Raise SubmissionError for machines that do not fit together."""
        if self.architecture not in ARCHITECTURES:
            raise SubmissionError(
                f"architecture = {self.architecture!r}: must be one of {', '.join(ARCHITECTURES)}"
            )
        for name in ("worker_type", "primary_type"):
            kind = matching(name, getattr(self, name), r"[a-z0-9-]+", "as n2-highmem-16")
            if kind.startswith(_ARM_FAMILY) != (self.architecture == "arm64"):
                raise SubmissionError(
                    f"{name} = {kind!r} does not fit architecture = {self.architecture!r}: arm64 "
                    "is the family c4a, and the archive must be packed for it"
                )
        if self.zone:
            matching("zone", self.zone, r"[a-z]+-[a-z]+\d+-[a-z]", "a zone, as us-east1-b")
        if self.num_workers < 2 or self.num_spot_workers < 0:
            raise SubmissionError(
                f"num_workers = {self.num_workers}, num_spot_workers = {self.num_spot_workers}: "
                "must be at least 2 and 0"
            )


def cluster_request(job: Job, place: Place, machines: Machines) -> dict[str, Any]:
    """Return the CreateCluster request: spot secondary workers, deleted when idle or too old."""
    network = {
        "zone_uri": machines.zone,
        "network_uri": place.network,
        "subnetwork_uri": place.subnet,
        "service_account": place.service_account,
        # Service accounts are limited by their roles; the scope is the widest for all.
        "service_account_scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "tags": list(place.network_tags),
    }
    config: dict[str, Any] = {
        "config_bucket": place.staging_bucket,
        "gce_cluster_config": _given(network),
        "software_config": {"image_version": DATAPROC.release},
        "master_config": _group(1, machines.primary_type, machines.disk_gib),
        "worker_config": _group(machines.num_workers, machines.worker_type, machines.disk_gib),
        "secondary_worker_config": {
            "num_instances": machines.num_spot_workers,
            "preemptibility": "SPOT",
            "disk_config": {"boot_disk_size_gb": machines.disk_gib},
        },
        "lifecycle_config": {
            "idle_delete_ttl": {"seconds": place.idle_minutes * 60},
            # The job's hours, and one to start and to end.
            "auto_delete_ttl": {"seconds": round((job.hours + 1) * 3600)},
        },
    }
    if place.kms_key:
        config["encryption_config"] = {"gce_pd_kms_key_name": place.kms_key}
    return {
        "project_id": place.project,
        "region": place.region,
        "cluster": {
            "project_id": place.project,
            "cluster_name": matching(
                "name", job.name, r"[a-z]([a-z0-9-]{0,49}[a-z0-9])?",
                "lower-case letters, digits and hyphens, at most 51",
            ),
            "config": config,
            "labels": _labels(job),
        },
    }  # fmt: skip


def _group(count: int, kind: str, disk_gib: int) -> dict[str, Any]:
    return {
        "num_instances": count,
        "machine_type_uri": kind,
        "disk_config": {"boot_disk_size_gb": disk_gib},
    }


def job_request(job: Job, place: Place) -> dict[str, Any]:
    """Return the SubmitJob request; equal jobs give the same request id."""
    properties = spark_properties(job) | {
        # The driver runs on a worker, where the archive is unpacked; on the primary it is not.
        "spark.submit.deployMode": "cluster",
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON": job.python,
        "spark.yarn.maxAppAttempts": "1",
    }
    return {
        "project_id": place.project,
        "region": place.region,
        "request_id": token(job, place.project, place.region),
        "job": {
            "placement": {"cluster_name": job.name},
            "pyspark_job": {
                "main_python_file_uri": job.script,
                "args": list(job.arguments),
                "archive_uris": [f"{job.environment}#environment"],
                "properties": properties,
            },
            "labels": _labels(job),
        },
    }


def batch_request(job: Job, place: Place, image: str) -> dict[str, Any]:
    """Return the CreateBatch request of Dataproc Serverless, whose `image` has the environment.

    An archive would be unpacked for executors alone, and the driver needs it, too.
    """
    if not image:
        raise SubmissionError(
            "image: Dataproc Serverless needs one (infra/docker/Dockerfile), as "
            "us-docker.pkg.dev/PROJECT/REPOSITORY/dclm-spark:TAG"
        )
    execution = {
        "service_account": place.service_account,
        "network_uri": place.network,
        "subnetwork_uri": place.subnet,
        "network_tags": list(place.network_tags),
        "kms_key": place.kms_key,
        "staging_bucket": place.staging_bucket,
        "ttl": {"seconds": round(job.hours * 3600)},
    }
    return {
        "parent": f"projects/{place.project}/locations/{place.region}",
        "batch_id": f"{job.name[:50]}-{token(job, place.project)[:12]}",
        "request_id": token(job, place.project, place.region),
        "batch": {
            "pyspark_batch": {
                "main_python_file_uri": job.script,
                "args": list(job.arguments),
            },
            "runtime_config": {
                "version": DATAPROC.release,
                "properties": _batch_properties(job),
                "container_image": image,
            },
            "environment_config": {"execution_config": _given(execution)},
            "labels": _labels(job),
        },
    }


def _batch_properties(job: Job) -> dict[str, str]:
    # Machines do not leave by themselves there, and settings of YARN and shuffle are refused.
    properties = spark_properties(job, decommission=False) | {
        "spark.dataproc.driverEnv.PYSPARK_PYTHON": job.python,
        "spark.executorEnv.PYSPARK_PYTHON": job.python,
    }
    for key, value in properties.items():
        if key.startswith(("spark.yarn.", "spark.shuffle.")):
            raise SubmissionError(
                f"--conf {key}={value}: Dataproc Serverless refuses settings of YARN and shuffle"
            )
    cores = properties["spark.executor.cores"]
    if cores not in ("4", "8", "16"):
        raise SubmissionError(
            f"spark.executor.cores = {cores}: Dataproc Serverless has 4, 8 and 16"
        )
    return properties


def _labels(job: Job) -> dict[str, str]:
    for key, value in job.labels.items():
        matching("--tag", key, _LABEL, "lower-case letters, digits, _ and -, at most 63")
        matching(f"--tag {key}", value, r"[a-z0-9_-]{0,63}", "lower-case letters, digits, _ and -")
    return job.labels


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
