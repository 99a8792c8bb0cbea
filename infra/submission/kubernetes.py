"""Spark on Kubernetes: spark-submit's command, and the manifest of the Spark operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submission.errors import SubmissionError
from submission.job import Job, as_options, spark_properties
from submission.values import matching

POD_TEMPLATE = Path(__file__).resolve().parents[1] / "kubernetes" / "pod_template.yaml"
# The user of Spark's own images; infra/docker/Dockerfile has it, too.
USER = 185
_NAME = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
_LABEL = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_SCRATCH = "spark-local-dir-1"
# What a container may write while the image is read only.
_WRITABLE = {"temporary": "/tmp", "work": "/opt/spark/work-dir"}


@dataclass(frozen=True, kw_only=True)
class Pods:
    """Where the pods run, from which image, as whom, and how many.

    `scratch_gib` is the disk of each pod for shuffle and temporary files (an emptyDir).
    """

    image: str
    namespace: str = "default"
    service_account: str = "spark"
    executors: int = 8
    pull_policy: str = "IfNotPresent"
    scratch_gib: int = 200
    spark_version: str = "4.0.2"
    node_selector: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise SubmissionError for what Kubernetes would refuse."""
        matching("image", self.image, r"[a-z0-9][\w.:/@-]*[:@][\w.:-]+",
                 "an image with a tag or digest, as registry.example.org/dclm-spark:1")  # fmt: skip
        matching("namespace", self.namespace, _NAME, "lower-case letters, digits and hyphens")
        matching("service_account", self.service_account, _NAME, "a service account's name")
        if self.pull_policy not in ("IfNotPresent", "Always", "Never"):
            raise SubmissionError(
                f"pull_policy = {self.pull_policy!r}: must be IfNotPresent, Always or Never"
            )
        if self.executors < 1 or self.scratch_gib < 1:
            raise SubmissionError(
                f"executors = {self.executors}, scratch_gib = {self.scratch_gib}: "
                "must be at least 1"
            )


def properties_of(job: Job, pods: Pods) -> dict[str, str]:
    """Return the Spark settings of a job, for both ways of starting it."""
    found = {
        "spark.executor.instances": str(pods.executors),
        **spark_properties(job),
        "spark.kubernetes.namespace": pods.namespace,
        "spark.kubernetes.container.image": pods.image,
        "spark.kubernetes.container.image.pullPolicy": pods.pull_policy,
        "spark.kubernetes.authenticate.driver.serviceAccountName": pods.service_account,
    }
    for role in ("driver", "executor"):
        volume = f"spark.kubernetes.{role}.volumes.emptyDir.{_SCRATCH}"
        found[f"{volume}.mount.path"] = "/scratch"
        found[f"{volume}.options.sizeLimit"] = f"{pods.scratch_gib}Gi"
        for key, value in _labels(job).items():
            found[f"spark.kubernetes.{role}.label.{key}"] = value
    for key, value in pods.node_selector.items():
        found[f"spark.kubernetes.node.selector.{key}"] = value
    return found


def spark_submit_command(job: Job, pods: Pods, master: str) -> list[str]:
    """Return the arguments of spark-submit, the program's name left out."""
    matching("--master", master, r"k8s://https?://[^\s/]+.*", "k8s://https://HOST:PORT")
    properties = properties_of(job, pods) | {
        "spark.kubernetes.driver.podTemplateFile": str(POD_TEMPLATE),
        "spark.kubernetes.executor.podTemplateFile": str(POD_TEMPLATE),
        # The driver's pod goes on without this machine; its log has all.
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    return [
        "--master", master, "--deploy-mode", "cluster", "--name", _name(job),
        *as_options(properties), job.script, *job.arguments,
    ]  # fmt: skip


def spark_application(job: Job, pods: Pods) -> dict[str, Any]:
    """Return the SparkApplication that the Spark operator (v2) takes."""
    properties = properties_of(job, pods)
    driver, executor = (_role(name, job, pods, properties) for name in ("driver", "executor"))
    driver["serviceAccount"] = pods.service_account
    executor["instances"] = int(properties["spark.executor.instances"])
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {
            "name": _name(job),
            "namespace": pods.namespace,
            "labels": _labels(job),
        },
        "spec": {
            "type": "Python",
            "pythonVersion": "3",
            "mode": "cluster",
            "sparkVersion": pods.spark_version,
            "image": pods.image,
            "imagePullPolicy": pods.pull_policy,
            "mainApplicationFile": job.script,
            "arguments": list(job.arguments),
            # A run that is started again goes on with what is committed.
            "restartPolicy": {
                "type": "OnFailure",
                "onFailureRetries": 3,
                "onFailureRetryInterval": 60,
            },
            "sparkConf": _left(properties),
            "driver": driver,
            "executor": executor,
            "volumes": [
                *({"name": name, "emptyDir": {}} for name in _WRITABLE),
                {"name": _SCRATCH, "emptyDir": {"sizeLimit": f"{pods.scratch_gib}Gi"}},
            ],
        },
    }


def _role(role: str, job: Job, pods: Pods, properties: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cores": int(properties.get(f"spark.{role}.cores", "1")),
        "memory": properties[f"spark.{role}.memory"],
        "memoryOverhead": properties[f"spark.{role}.memoryOverhead"],
        "labels": _labels(job),
        "podSecurityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in _WRITABLE.items()),
            {"name": _SCRATCH, "mountPath": "/scratch"},
        ],
    }
    if pods.node_selector:
        found["nodeSelector"] = dict(pods.node_selector)
    return found


def _left(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that have no field of their own in the manifest."""
    fields = {f"spark.{role}.{name}" for role in ("driver", "executor")
              for name in ("cores", "memory", "memoryOverhead", "instances")}  # fmt: skip
    return {
        key: value
        for key, value in properties.items()
        if key not in fields and not key.startswith("spark.kubernetes.")
    }


def _name(job: Job) -> str:
    """Return the name of the application; another attempt is another object."""
    name = job.name if job.attempt == 1 else f"{job.name}-{job.attempt}"
    return matching("--name", name, _NAME, "lower-case letters, digits and hyphens, at most 40")


def _labels(job: Job) -> dict[str, str]:
    for key, value in job.labels.items():
        matching("--tag", key, _LABEL.removesuffix("?"), "a label's name, at most 63 characters")
        matching(f"--tag {key}", value, _LABEL, "a label's value, at most 63 characters")
    return job.labels
