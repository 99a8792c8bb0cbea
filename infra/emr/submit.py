"""Run a job on EMR: a cluster on EC2 that ends with the job, or EMR Serverless.

--dry-run prints uploads and requests and sends nothing. Without it, an AWS account is needed.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission.command import Call, add_job_arguments, carry_out, prepare, run
from submission.emr import Cluster, Serverless, job_flow_request, serverless_request
from submission.errors import SubmissionError
from submission.platforms import EMR, INSTANCE_TYPES
from submission.values import matching


def main() -> None:
    """Build the request, print it, and unless --dry-run is given, upload and send."""
    options = _parser().parse_args()
    options.logs = options.logs or f"{options.bucket.rstrip('/')}/logs/"
    if options.target == "ec2" and options.image:
        raise SubmissionError("--image: only EMR Serverless runs from an image; give --archive")
    submission = prepare(options, EMR, options.architecture, image=options.image)
    if options.target == "ec2":
        request = job_flow_request(submission.job, Cluster(**_fields(Cluster, options)))
        call = Call(service="emr", call="run_job_flow", request=request)
    else:
        target = Serverless(**_fields(Serverless, options))
        request = serverless_request(submission.job, target)
        call = Call(service="emr-serverless", call="start_job_run", request=request)
    region = matching("--region", options.region, r"[a-z]{2}(-[a-z]+)+-\d", "as us-east-1")
    if "s3://commoncrawl/" in " ".join(submission.job.arguments) and region != "us-east-1":
        print(f"{region} pays for each byte read: Common Crawl is in us-east-1", file=sys.stderr)
    carry_out(submission, [call], dry_run=options.dry_run, send=lambda call: _send(call, options))


def _fields(kind: type, options: argparse.Namespace) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(kind)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_job_arguments(parser, "s3://a-bucket")
    add = parser.add_argument
    add("--target", choices=("ec2", "serverless"), default="ec2")
    add("--region", default="us-east-1", help="of cluster and bucket; Common Crawl is in us-east-1")
    add("--architecture", choices=tuple(INSTANCE_TYPES), default=Cluster.architecture,
        help="processor of cluster, application and archive")  # fmt: skip
    add("--logs", default="", help="where logs go; default: BUCKET/logs/")
    add("--log-kms-key", default="", metavar="ARN", help="key of the logs")
    cluster = parser.add_argument_group("a cluster on EC2").add_argument
    cluster("--subnet", dest="subnets", action="append", default=[], help="(repeatable)")
    cluster("--service-role", default=Cluster.service_role)
    cluster("--instance-profile", default=Cluster.instance_profile)
    cluster("--instance-type", dest="instance_types", action="append", default=[])
    cluster("--core-instances", type=int, default=Cluster.core_instances)
    cluster("--on-demand-fraction", type=float, default=Cluster.on_demand_fraction)
    cluster("--disk-gib", type=int, default=Cluster.disk_gib, help="of each machine")
    cluster("--primary-security-group", default="")
    cluster("--core-security-group", default="")
    cluster("--service-security-group", default="", help="in private subnets")
    cluster("--security-configuration", default="", help="name of one: encryption")
    serverless = parser.add_argument_group("EMR Serverless").add_argument
    serverless("--application", default="", help="id of the application")
    serverless("--role", default="", help="ARN of the role that jobs run with")
    serverless("--disk-kms-key", default="", metavar="ARN", help="key of the workers' disks")
    serverless("--image", action="store_true",
               help="the application's image has everything (infra/docker)")  # fmt: skip
    return parser


def _send(call: Call, options: argparse.Namespace) -> str:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(call.service, region_name=options.region)
    try:
        if call.service == "emr-serverless":
            _check_application(client, options)
        response = getattr(client, call.call)(**call.request)
    except (BotoCoreError, ClientError) as error:
        raise SubmissionError(f"{call.service} in {options.region} answers: {error}") from error
    return str(response.get("JobFlowId") or response.get("jobRunId"))


def _check_application(client: Any, options: argparse.Namespace) -> None:
    found = client.get_application(applicationId=options.application)["application"]
    built = found.get("architecture", "X86_64").lower()
    if built != options.architecture:
        raise SubmissionError(
            f"--architecture {options.architecture}: the application {options.application} is "
            f"{built}; take --architecture {built} and an archive packed for it"
        )


if __name__ == "__main__":
    run(main)
