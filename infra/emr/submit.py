"""Run a job on EMR (EC2 or Serverless). --dry-run prints the requests and sends nothing.

Needs an AWS account unless --dry-run is given.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass

# Spark 4.0, Python 3.11 to 3.13, Java 17; the first EMR release line with Spark 4.
RELEASE_LABEL = "emr-spark-8.0.0"
# Python workers live outside the JVM heap: models, Arrow batches and Bloom filters need room.
MEMORY_OVERHEAD_FACTOR = "0.5"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run: the job's script and arguments, the packed environment, where logs go."""

    name: str
    script: str
    arguments: tuple[str, ...]
    environment: str
    logs: str
    core_instances: int = 8
    instance_types: tuple[str, ...] = ("m7g.4xlarge", "m6g.4xlarge", "r7g.4xlarge")
    on_demand_fraction: float = 0.25
    idle_timeout_seconds: int = 600
    execution_timeout_minutes: int = 720


def spark_properties() -> dict[str, str]:
    """Return the Spark settings that every platform gets, with the packed environment."""
    return {
        "spark.pyspark.python": "./environment/bin/python",
        "spark.executor.memoryOverheadFactor": MEMORY_OVERHEAD_FACTOR,
        "spark.task.maxFailures": "8",
        # Spot nodes leave with notice: hand their shuffle blocks on instead of losing them.
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
        "spark.speculation": "true",
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    }


def job_flow_request(job: Job, *, subnets: list[str], service_role: str, profile: str) -> dict:
    """Return the RunJobFlow request of a cluster that runs the job once and terminates."""
    conf = [part for k, v in spark_properties().items() for part in ("--conf", f"{k}={v}")]
    step = [
        "spark-submit", "--deploy-mode", "cluster",
        "--archives", f"{job.environment}#environment",
        "--conf", "spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python",
        *conf, job.script, *job.arguments,
    ]  # fmt: skip
    return {
        "Name": job.name,
        "ReleaseLabel": RELEASE_LABEL,
        "LogUri": job.logs,
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": service_role,
        "JobFlowRole": profile,
        "Instances": {
            "Ec2SubnetIds": subnets,
            "KeepJobFlowAliveWhenNoSteps": False,
            "TerminationProtected": False,
            "InstanceFleets": [_primary_fleet(job), _core_fleet(job)],
        },
        "AutoTerminationPolicy": {"IdleTimeout": job.idle_timeout_seconds},
        "Steps": [
            {
                "Name": job.name,
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {"Jar": "command-runner.jar", "Args": step},
            }
        ],
        "Tags": [{"Key": "project", "Value": "dclm-spark"}],
    }


def _primary_fleet(job: Job) -> dict:
    return {
        "Name": "primary",
        "InstanceFleetType": "MASTER",
        "TargetOnDemandCapacity": 1,
        "InstanceTypeConfigs": [{"InstanceType": kind} for kind in job.instance_types],
    }


def _core_fleet(job: Job) -> dict:
    on_demand = max(1, round(job.core_instances * job.on_demand_fraction))
    return {
        "Name": "core",
        "InstanceFleetType": "CORE",
        "TargetOnDemandCapacity": on_demand,
        "TargetSpotCapacity": job.core_instances - on_demand,
        "InstanceTypeConfigs": [
            {"InstanceType": kind, "WeightedCapacity": 1} for kind in job.instance_types
        ],
        "LaunchSpecifications": {
            "SpotSpecification": {
                "TimeoutDurationMinutes": 20,
                "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                "AllocationStrategy": "price-capacity-optimized",
            }
        },
    }


def serverless_request(job: Job, *, application: str, role: str) -> dict:
    """Return the StartJobRun request of EMR Serverless; equal jobs give the same token."""
    properties = spark_properties() | {
        "spark.archives": f"{job.environment}#environment",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": "./environment/bin/python",
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": "./environment/bin/python",
        "spark.executorEnv.PYSPARK_PYTHON": "./environment/bin/python",
    }
    conf = " ".join(f"--conf {key}={value}" for key, value in properties.items())
    identity = json.dumps([job.name, job.script, job.arguments, application])
    return {
        "applicationId": application,
        "clientToken": hashlib.sha256(identity.encode()).hexdigest()[:64],
        "executionRoleArn": role,
        "name": job.name,
        "executionTimeoutMinutes": job.execution_timeout_minutes,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": job.script,
                "entryPointArguments": list(job.arguments),
                "sparkSubmitParameters": conf,
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": job.logs}}
        },
        "tags": {"project": "dclm-spark"},
    }


def main() -> None:
    """Build the request, print it, and send it unless --dry-run is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("ec2", "serverless"), default="ec2")
    parser.add_argument("--name", default="dclm-spark")
    parser.add_argument("--bucket", default="s3://my-bucket", help="where code and logs lie")
    parser.add_argument("--subnet", action="append", default=[])
    parser.add_argument("--service-role", default="EMR_DefaultRole_V2")
    parser.add_argument("--instance-profile", default="EMR_EC2_DefaultRole")
    parser.add_argument("--application", default="00example", help="EMR Serverless application")
    parser.add_argument("--role", default="arn:aws:iam::123456789012:role/dclm-spark")
    parser.add_argument("--core-instances", type=int, default=8)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("arguments", nargs="*", help="arguments of build_baseline.py, after --")
    options = parser.parse_args()
    job = Job(
        name=options.name,
        script=f"{options.bucket}/code/build_baseline.py",
        arguments=tuple(options.arguments),
        environment=f"{options.bucket}/code/environment.tar.gz",
        logs=f"{options.bucket}/logs/",
        core_instances=options.core_instances,
    )
    if options.target == "ec2":
        service, call = "emr", "run_job_flow"
        request = job_flow_request(
            job,
            subnets=options.subnet or ["subnet-00000000"],
            service_role=options.service_role,
            profile=options.instance_profile,
        )
    else:
        service, call = "emr-serverless", "start_job_run"
        request = serverless_request(job, application=options.application, role=options.role)
    print(json.dumps({"service": service, "call": call, "request": request}, indent=2))
    if not options.dry_run:
        import boto3

        response = getattr(boto3.client(service), call)(**request)
        print(response.get("JobFlowId") or response.get("jobRunId"), file=sys.stderr)


if __name__ == "__main__":
    main()
