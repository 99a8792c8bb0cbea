"""Run a job on Dataproc (cluster or serverless batch). --dry-run prints the request.

Needs a Google Cloud account unless --dry-run is given.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass

# The image and runtime lines with Spark 4.
IMAGE_VERSION = "3.0"
RUNTIME_VERSION = "3.0"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run, and in which project and region."""

    name: str
    project: str
    region: str
    script: str
    arguments: tuple[str, ...]
    environment: str
    staging_bucket: str
    num_workers: int = 8
    num_spot_workers: int = 24


def spark_properties() -> dict[str, str]:
    """Return the Spark settings that every platform gets."""
    return {
        "spark.pyspark.python": "./environment/bin/python",
        "spark.executor.memoryOverheadFactor": "0.5",
        "spark.task.maxFailures": "8",
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.speculation": "true",
    }


def cluster_request(job: Job) -> dict:
    """Return the CreateCluster request: spot secondary workers, deleted when idle."""
    return {
        "project_id": job.project,
        "region": job.region,
        "cluster": {
            "project_id": job.project,
            "cluster_name": job.name,
            "config": {
                "config_bucket": job.staging_bucket,
                "software_config": {"image_version": IMAGE_VERSION},
                "master_config": {"num_instances": 1, "machine_type_uri": "n2-standard-8"},
                "worker_config": {
                    "num_instances": job.num_workers,
                    "machine_type_uri": "n2-highmem-16",
                },
                "secondary_worker_config": {
                    "num_instances": job.num_spot_workers,
                    "preemptibility": "SPOT",
                },
                "lifecycle_config": {"idle_delete_ttl": {"seconds": 600}},
            },
        },
    }


def job_request(job: Job) -> dict:
    """Return the SubmitJob request; equal jobs give the same request id."""
    return {
        "project_id": job.project,
        "region": job.region,
        "request_id": _token(job),
        "job": {
            "placement": {"cluster_name": job.name},
            "pyspark_job": {
                "main_python_file_uri": job.script,
                "args": list(job.arguments),
                "archive_uris": [f"{job.environment}#environment"],
                "properties": spark_properties(),
            },
        },
    }


def batch_request(job: Job) -> dict:
    """Return the CreateBatch request of Dataproc Serverless."""
    return {
        "parent": f"projects/{job.project}/locations/{job.region}",
        "batch_id": f"{job.name}-{_token(job)[:12]}",
        "batch": {
            "pyspark_batch": {
                "main_python_file_uri": job.script,
                "args": list(job.arguments),
                "archive_uris": [f"{job.environment}#environment"],
            },
            "runtime_config": {"version": RUNTIME_VERSION, "properties": spark_properties()},
        },
    }


def _token(job: Job) -> str:
    identity = json.dumps([job.name, job.script, job.arguments, job.project])
    return hashlib.sha256(identity.encode()).hexdigest()[:36]


def main() -> None:
    """Build the requests, print them, and send them unless --dry-run is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("cluster", "serverless"), default="cluster")
    parser.add_argument("--name", default="dclm-spark")
    parser.add_argument("--project", default="my-project")
    parser.add_argument("--region", default="us-east1")
    parser.add_argument("--bucket", default="my-bucket")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("arguments", nargs="*", help="arguments of build_baseline.py, after --")
    options = parser.parse_args()
    job = Job(
        name=options.name,
        project=options.project,
        region=options.region,
        script=f"gs://{options.bucket}/code/build_baseline.py",
        arguments=tuple(options.arguments),
        environment=f"gs://{options.bucket}/code/environment.tar.gz",
        staging_bucket=options.bucket,
    )
    if options.target == "cluster":
        requests = {"create_cluster": cluster_request(job), "submit_job": job_request(job)}
    else:
        requests = {"create_batch": batch_request(job)}
    print(json.dumps(requests, indent=2))
    if not options.dry_run:
        _send(requests, job.region)


def _send(requests: dict[str, dict], region: str) -> None:
    from google.cloud import dataproc_v1

    options = {"api_endpoint": f"{region}-dataproc.googleapis.com:443"}
    clients = {
        "create_cluster": dataproc_v1.ClusterControllerClient,
        "submit_job": dataproc_v1.JobControllerClient,
        "create_batch": dataproc_v1.BatchControllerClient,
    }
    for call, request in requests.items():
        answer = getattr(clients[call](client_options=options), call)(request=request)
        if call == "create_cluster":
            answer.result()
        print(call, "accepted", file=sys.stderr)


if __name__ == "__main__":
    main()
