"""Requests to EMR: a cluster on EC2 that runs one job, and a job of EMR Serverless."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from submission.errors import SubmissionError
from submission.job import Job, as_options, spark_properties, token
from submission.platforms import EMR, instance_types
from submission.values import matching

# AmazonEMRServicePolicy_v2, the policy of EMR_DefaultRole_V2, allows nothing without this tag.
MANAGED_POLICY_TAG = {"for-use-with-amazon-emr-managed-policies": "true"}
_IDLE_TIMEOUT_SECONDS = 600
_KMS_KEY = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/.+"
# EMR Serverless' workers by their cores: memory in GiB, heap and overhead together.
_SERVERLESS_GIB = {1: (2, 8), 2: (4, 16), 4: (8, 30), 8: (16, 60), 16: (32, 120)}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An EMR cluster on EC2, and the names of the account that it needs."""

    subnets: Sequence[str]
    logs: str
    service_role: str = "EMR_DefaultRole_V2"
    instance_profile: str = "EMR_EC2_DefaultRole"
    architecture: str = "arm64"
    instance_types: Sequence[str] = ()
    core_instances: int = 8
    on_demand_fraction: float = 0.25
    disk_gib: int = 512
    # EMR makes its own security groups unless both are named; they need the tag, too.
    primary_security_group: str = ""
    core_security_group: str = ""
    service_security_group: str = ""
    # Encryption at rest and in transit; the logs' own key.
    security_configuration: str = ""
    log_kms_key: str = ""

    def __post_init__(self) -> None:
        """Raise SubmissionError for what EMR would refuse."""
        if not self.subnets:
            raise SubmissionError("subnets: must name at least one subnet of your network")
        for subnet in self.subnets:
            matching("subnets", subnet, r"subnet-[0-9a-z]+", "the id of a subnet, subnet-...")
        if not 1 <= self.core_instances <= 2000:
            raise SubmissionError(f"core_instances = {self.core_instances}: must be 1 to 2000")
        if not 0.0 <= self.on_demand_fraction <= 1.0:
            raise SubmissionError(
                f"on_demand_fraction = {self.on_demand_fraction}: must be from 0 to 1"
            )
        if not 10 <= self.disk_gib <= 16384:
            raise SubmissionError(f"disk_gib = {self.disk_gib}: must be from 10 to 16384")
        groups = (self.primary_security_group, self.core_security_group)
        if bool(groups[0]) != bool(groups[1]):
            raise SubmissionError(
                f"primary_security_group = {groups[0]!r}, core_security_group = {groups[1]!r}: "
                "EMR takes both or none"
            )
        for group in (*filter(None, groups), *filter(None, [self.service_security_group])):
            matching("security group", group, r"sg-[0-9a-z]+", "the id of a group, sg-...")
        if self.log_kms_key:
            matching("log_kms_key", self.log_kms_key, _KMS_KEY, "the ARN of a KMS key")
        instance_types(self.architecture, self.instance_types)


def job_flow_request(job: Job, cluster: Cluster) -> dict[str, Any]:
    """Return the RunJobFlow request of a cluster that runs the job once and terminates."""
    request: dict[str, Any] = {
        "Name": job.name,
        "ReleaseLabel": EMR.release,
        "LogUri": cluster.logs,
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": cluster.service_role,
        "JobFlowRole": cluster.instance_profile,
        "Instances": {
            "Ec2SubnetIds": list(cluster.subnets),
            "KeepJobFlowAliveWhenNoSteps": False,
            "TerminationProtected": False,
            "InstanceFleets": [_primary_fleet(cluster), _core_fleet(cluster)],
        },
        "AutoTerminationPolicy": {"IdleTimeout": _IDLE_TIMEOUT_SECONDS},
        "Steps": [_step(job)],
        "Tags": [
            {"Key": key, "Value": value} for key, value in (MANAGED_POLICY_TAG | job.labels).items()
        ],
    }
    if cluster.primary_security_group:
        request["Instances"] |= {
            "EmrManagedMasterSecurityGroup": cluster.primary_security_group,
            "EmrManagedSlaveSecurityGroup": cluster.core_security_group,
        }
    if cluster.service_security_group:
        request["Instances"]["ServiceAccessSecurityGroup"] = cluster.service_security_group
    if cluster.security_configuration:
        request["SecurityConfiguration"] = cluster.security_configuration
    if cluster.log_kms_key:
        request["LogEncryptionKmsKeyId"] = cluster.log_kms_key
    return request


def _step(job: Job) -> dict[str, Any]:
    properties = spark_properties(job) | {
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON": job.python,
        # A step is tried again by us, with what is committed; not by YARN, beside a live driver.
        "spark.yarn.maxAppAttempts": "1",
    }
    arguments = [
        "spark-submit", "--deploy-mode", "cluster",
        "--archives", f"{job.environment}#environment",
        *as_options(properties), job.script, *job.arguments,
    ]  # fmt: skip
    return {
        "Name": job.name,
        "ActionOnFailure": "TERMINATE_CLUSTER",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments},
    }


def _primary_fleet(cluster: Cluster) -> dict[str, Any]:
    return {
        "Name": "primary",
        "InstanceFleetType": "MASTER",
        "TargetOnDemandCapacity": 1,
        "InstanceTypeConfigs": _type_configs(cluster),
    }


def _core_fleet(cluster: Cluster) -> dict[str, Any]:
    on_demand = max(1, round(cluster.core_instances * cluster.on_demand_fraction))
    return {
        "Name": "core",
        "InstanceFleetType": "CORE",
        "TargetOnDemandCapacity": on_demand,
        "TargetSpotCapacity": cluster.core_instances - on_demand,
        "InstanceTypeConfigs": _type_configs(cluster),
        "LaunchSpecifications": {
            "SpotSpecification": {
                "TimeoutDurationMinutes": 20,
                "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                "AllocationStrategy": "price-capacity-optimized",
            }
        },
    }


def _type_configs(cluster: Cluster) -> list[dict[str, Any]]:
    # Shuffle and temporary files: the types have no disks of their own.
    volume = {"VolumeType": "gp3", "SizeInGB": cluster.disk_gib}
    disks = {"EbsBlockDeviceConfigs": [{"VolumeSpecification": volume, "VolumesPerInstance": 1}]}
    return [
        {"InstanceType": kind, "WeightedCapacity": 1, "EbsConfiguration": disks}
        for kind in instance_types(cluster.architecture, cluster.instance_types)
    ]


@dataclass(frozen=True, kw_only=True)
class Serverless:
    """An EMR Serverless application, the role of its jobs, and where logs go.

    The application has release, architecture, network and image; a job cannot change them.
    """

    application: str
    role: str
    logs: str
    architecture: str = "arm64"
    log_kms_key: str = ""
    disk_kms_key: str = ""

    def __post_init__(self) -> None:
        """Raise SubmissionError for what EMR Serverless would refuse."""
        matching("application", self.application, r"[0-9a-z]+", "the id of an application")
        matching("role", self.role, r"arn:aws[a-z-]*:iam::\d{12}:role/.+", "the ARN of a role")
        instance_types(self.architecture)
        for name in ("log_kms_key", "disk_kms_key"):
            if getattr(self, name):
                matching(name, getattr(self, name), _KMS_KEY, "the ARN of a KMS key")


def serverless_request(job: Job, target: Serverless) -> dict[str, Any]:
    """Return the StartJobRun request of EMR Serverless; equal jobs give the same token."""
    properties = spark_properties(job, decommission=False) | {
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": job.python,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": job.python,
        "spark.executorEnv.PYSPARK_PYTHON": job.python,
    }
    if job.environment:
        properties["spark.archives"] = f"{job.environment}#environment"
    _check_workers(properties)
    logging: dict[str, str] = {"logUri": target.logs}
    overrides: dict[str, Any] = {"monitoringConfiguration": {"s3MonitoringConfiguration": logging}}
    if target.log_kms_key:
        logging["encryptionKeyArn"] = target.log_kms_key
    if target.disk_kms_key:
        overrides["diskEncryptionConfiguration"] = {"encryptionKeyArn": target.disk_kms_key}
    return {
        "applicationId": target.application,
        "clientToken": token(job, target.application),
        "executionRoleArn": target.role,
        "name": job.name,
        "executionTimeoutMinutes": round(job.hours * 60),
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": job.script,
                "entryPointArguments": list(job.arguments),
                "sparkSubmitParameters": _quoted(as_options(properties)),
            }
        },
        "configurationOverrides": overrides,
        "tags": job.labels,
    }


def _quoted(options: Sequence[str]) -> str:
    """Return one string that the service splits at spaces again."""
    return " ".join(f'"{part}"' if " " in part else part for part in options)


def _check_workers(properties: Mapping[str, str]) -> None:
    for kind in ("driver", "executor"):
        cores = int(properties.get(f"spark.{kind}.cores", "4"))
        sizes = [properties[f"spark.{kind}.{name}"] for name in ("memory", "memoryOverhead")]
        total = sum(gib(size) for size in sizes)
        if cores not in _SERVERLESS_GIB:
            known = ", ".join(map(str, _SERVERLESS_GIB))
            raise SubmissionError(f"spark.{kind}.cores = {cores}: EMR Serverless has {known}")
        least, most = _SERVERLESS_GIB[cores]
        if not least <= total <= most:
            raise SubmissionError(
                f"spark.{kind}.memory + memoryOverhead = {total:.1f} GiB: EMR Serverless gives a "
                f"worker of {cores} cores {least} to {most}; change --conf spark.{kind}.memory, "
                f".memoryOverhead or .cores"
            )


def gib(size: str) -> float:
    """Return a JVM size such as 3072m or 4g in GiB; a bare number is MiB, as Spark takes it."""
    matching("memory size", size, r"\d+([kmgt]b?)?", "a number and k, m, g or t")
    unit = size.rstrip("b")[-1]
    number = float(size.rstrip("kmgtb"))
    return number * {"k": 2**-20, "m": 2**-10, "g": 1.0, "t": 2.0**10}.get(unit, 2**-10)
