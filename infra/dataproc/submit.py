"""Run a job on Dataproc: a cluster that ends with the job, or a batch of Dataproc Serverless.

--dry-run prints uploads and requests and sends nothing. Without it, a Google Cloud account is
needed.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission.command import Call, add_job_arguments, carry_out, prepare, run
from submission.dataproc import (
    ARCHITECTURES,
    Machines,
    Place,
    batch_request,
    cluster_request,
    job_request,
)
from submission.errors import SubmissionError
from submission.platforms import DATAPROC


def main() -> None:
    """Build the requests, print them, and unless --dry-run is given, upload and send."""
    options = _parser().parse_args()
    serverless = options.target == "serverless"
    if options.image and not serverless:
        raise SubmissionError("--image: a Dataproc cluster runs from an archive; give --archive")
    submission = prepare(options, DATAPROC, options.architecture, image=serverless)
    options.staging_bucket = options.bucket.removeprefix("gs://").partition("/")[0]
    options.network_tags = tuple(options.network_tags)
    place = Place(**{field.name: getattr(options, field.name) for field in fields(Place)})
    if serverless:
        requests = {"create_batch": batch_request(submission.job, place, options.image)}
    else:
        named = {field.name: getattr(options, field.name) for field in fields(Machines)}
        requests = {
            "create_cluster": cluster_request(submission.job, place, Machines(**named)),
            "submit_job": job_request(submission.job, place),
        }
    calls = [Call(service="dataproc", call=call, request=requests[call]) for call in requests]
    carry_out(
        submission, calls, dry_run=options.dry_run, send=lambda call: _send(call, place.region)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_job_arguments(parser, "gs://a-bucket")
    add = parser.add_argument
    add("--target", choices=("cluster", "serverless"), default="cluster")
    add("--project", required=True)
    add("--region", required=True, help="of the cluster, and best of the bucket")
    add("--network", default="", help="or --subnet; default: the network `default`")
    add("--subnet", default="")
    add("--network-tag", dest="network_tags", action="append", default=[])
    add("--service-account", default="", help="that the job runs with; default: the project's")
    add("--kms-key", default="", help="key of disks")
    cluster = parser.add_argument_group("a cluster").add_argument
    cluster("--zone", default="", help="default: one that Dataproc chooses")
    cluster("--idle-minutes", type=int, default=Place.idle_minutes, help="then it is deleted")
    cluster("--architecture", choices=ARCHITECTURES, default=Machines.architecture)
    cluster("--worker-type", default=Machines.worker_type)
    cluster("--primary-type", default=Machines.primary_type)
    cluster("--num-workers", type=int, default=Machines.num_workers)
    cluster("--num-spot-workers", type=int, default=Machines.num_spot_workers)
    cluster("--disk-gib", type=int, default=Machines.disk_gib, help="of each machine")
    serverless = parser.add_argument_group("Dataproc Serverless").add_argument
    serverless("--image", default="", help="of infra/docker/Dockerfile, in a registry")
    return parser


def _send(call: Call, region: str) -> str:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import dataproc_v1

    options = {"api_endpoint": f"{region}-dataproc.googleapis.com:443"}
    clients = {
        "create_cluster": dataproc_v1.ClusterControllerClient,
        "submit_job": dataproc_v1.JobControllerClient,
        "create_batch": dataproc_v1.BatchControllerClient,
    }
    try:
        client = clients[call.call](client_options=options)
        answer = getattr(client, call.call)(request=call.request)
        if call.call == "create_cluster":
            answer.result()
    except (GoogleAPIError, GoogleAuthError) as error:
        raise SubmissionError(f"Dataproc in {region} answers: {error}") from error
    return "accepted"


if __name__ == "__main__":
    run(main)
