"""Run a job on Kubernetes: by spark-submit, or by the manifest of the Spark operator.

--dry-run prints uploads and the request and sends nothing. Without it, spark-submit (of the
image's Spark version) or kubectl is called, with this machine's access to the cluster.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from submission.command import Call, add_job_arguments, carry_out, prepare, run
from submission.errors import SubmissionError
from submission.kubernetes import Pods, spark_application, spark_submit_command
from submission.platforms import KUBERNETES
from submission.values import pairs


def main() -> None:
    """Build the request, print it, and unless --dry-run is given, upload and send."""
    options = _parser().parse_args()
    script = f"local:///opt/dclm_spark/jobs/{options.job}.py"
    if options.archive:
        raise SubmissionError("--archive: pods run from an image; give --image alone")
    submission = prepare(options, KUBERNETES, "", image=True, script=script)
    pods = Pods(
        image=options.image,
        namespace=options.namespace,
        service_account=options.service_account,
        executors=options.executors,
        pull_policy=options.pull_policy,
        scratch_gib=options.scratch_gib,
        spark_version=options.spark_version,
        node_selector=pairs("--node-selector", options.node_selector),
    )
    if options.target == "operator":
        request = spark_application(submission.job, pods)
        call = Call(service="kubectl", call="apply", request=request)
    else:
        command = spark_submit_command(submission.job, pods, options.master)
        call = Call(service="spark-submit", call="command", request={"arguments": command})
    carry_out(submission, [call], dry_run=options.dry_run, send=_send)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_job_arguments(parser, "s3://a-bucket")
    add = parser.add_argument
    add("--target", choices=("submit", "operator"), default="submit")
    add("--image", required=True, help="of infra/docker/Dockerfile, in a registry, with its tag")
    add("--master", default="", help="k8s://https://HOST:PORT of the API server, for spark-submit")
    add("--namespace", default=Pods.namespace)
    add("--service-account", default=Pods.service_account,
        help="of driver and executors (infra/kubernetes/service_account.yaml)")  # fmt: skip
    add("--executors", type=int, default=Pods.executors)
    add("--pull-policy", default=Pods.pull_policy)
    add("--scratch-gib", type=int, default=Pods.scratch_gib, help="disk of each pod")
    add("--spark-version", default=Pods.spark_version, help="of the image, for the operator")
    add("--node-selector", action="append", default=[], metavar="KEY=VALUE",
        help="such as kubernetes.io/arch=arm64")  # fmt: skip
    return parser


def _send(call: Call) -> str:
    if call.service == "kubectl":
        return _run(["kubectl", "apply", "-f", "-"], json.dumps(call.request))
    return _run(["spark-submit", *call.request["arguments"]], "")


def _run(command: list[str], text: str) -> str:
    beside = Path(sys.executable).with_name(command[0])
    program = str(beside) if beside.exists() else shutil.which(command[0])
    if program is None:
        raise SubmissionError(f"{command[0]}: is not on PATH; install it, or give --dry-run")
    done = subprocess.run([program, *command[1:]], input=text, text=True)
    if done.returncode != 0:
        raise SubmissionError(f"{command[0]} ended with exit code {done.returncode}; see above")
    return "accepted"


if __name__ == "__main__":
    run(main)
