"""Spark on Kubernetes: what real spark-submit makes, and the manifests, against their schemas."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.infra.kubernetes_api import kubernetes_api
from tests.infra.submit_scripts import INFRA, JOB, ROOT, confs, dry_run, refusal

IMAGE = ("--bucket", "s3://corpus", "--image", "registry.corp/dclm-spark:1")
MASTER = ("--master", "k8s://https://10.0.0.1:6443")


def schema_errors(thing):
    """Return what Kubernetes' own schema finds wrong, unknown fields included."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    try:
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return error.message
    return ""


def lost_fields(given, known, place=""):
    """Return the fields of `given` that the model's copy `known` lacks or has otherwise."""
    if isinstance(given, dict):
        return [
            lost
            for key, value in given.items()
            for lost in (
                lost_fields(value, known[key], f"{place}.{key}")
                if isinstance(known, dict) and key in known
                else [f"{place}.{key}"]
            )
        ]
    if isinstance(given, list):
        pairs = zip(given, known, strict=True)
        return [lost for one, other in pairs for lost in lost_fields(one, other, f"{place}[]")]
    return [] if given == known else [place]


def operator_errors(manifest):
    """Return what the Spark operator's own models find wrong."""
    models = pytest.importorskip("kubeflow_spark_api.models")
    return lost_fields(manifest, models.SparkV1beta2SparkApplication.from_dict(manifest).to_dict())


@pytest.mark.long
@pytest.mark.spark
def test_spark_submit_makes_a_driver_pod_that_kubernetes_takes(tmp_path):
    with kubernetes_api() as (url, made):
        done = subprocess.run(
            [
                sys.executable, str(INFRA / "kubernetes" / "submit.py"), *IMAGE,
                "--master", f"k8s://{url}", "--scratch-gib", "300", "--tag", "team=data",
                "--node-selector", "kubernetes.io/arch=arm64", "--", *JOB,
            ],
            capture_output=True, text=True, timeout=240, cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [schema_errors(thing) for thing in made] == [""] * len(made)
    pod = next(thing for thing in made if thing["kind"] == "Pod")
    container = pod["spec"]["containers"][0]
    assert container["image"] == "registry.corp/dclm-spark:1"
    assert container["args"][-len(JOB) :] == list(JOB)
    assert container["resources"]["limits"]["memory"] == "8192Mi"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 185
    assert pod["spec"]["serviceAccountName"] == "spark"
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert pod["metadata"]["labels"]["team"] == "data"
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["PYSPARK_PYTHON"] == "/opt/environment/bin/python"
    assert environment["SPARK_LOCAL_DIRS"] == "/scratch"
    scratch = [item for item in pod["spec"]["volumes"] if item["name"] == "spark-local-dir-1"]
    assert scratch[0]["emptyDir"]["sizeLimit"] == "300Gi"


def test_the_operator_takes_the_manifest():
    options = (*IMAGE, "--target", "operator", "--conf", "spark.driver.cores=2",
               "--node-selector", "kubernetes.io/arch=arm64")  # fmt: skip
    _, requests = dry_run("kubernetes", *options)
    manifest = requests["apply"]
    assert operator_errors(manifest) == []
    assert manifest["spec"]["driver"]["cores"] == 2
    assert manifest["spec"]["executor"]["memoryOverhead"] == "11264m"
    assert manifest["spec"]["arguments"] == list(JOB)
    broken = json.loads(json.dumps(manifest))
    broken["spec"]["executor"]["instnaces"] = 3
    assert operator_errors(broken) == [".spec.executor.instnaces"]


def test_both_ways_have_the_same_settings():
    _, by_submit = dry_run("kubernetes", *IMAGE, *MASTER)
    _, by_operator = dry_run("kubernetes", *IMAGE, "--target", "operator")
    found = confs(by_submit["command"]["arguments"])
    spec = by_operator["apply"]["spec"]
    assert spec["sparkConf"].items() <= found.items()
    for role in ("driver", "executor"):
        for name in ("memory", "memoryOverhead"):
            assert found[f"spark.{role}.{name}"] == spec[role][name]
    assert found["spark.executor.instances"] == str(spec["executor"]["instances"])


def test_the_manifest_that_is_written_down_is_the_one_that_the_script_makes():
    path = INFRA / "kubernetes" / "spark_application.yaml"
    command = (
        path.read_text().splitlines()[2].removeprefix("#   python infra/kubernetes/submit.py ")
    )
    options, job = command.split(" -- ")
    _, requests = dry_run("kubernetes", *options.split(), job=tuple(job.split()))
    assert yaml.safe_load(path.read_text()) == requests["apply"]


@pytest.mark.parametrize(
    "name", ["kubernetes/service_account", "kubernetes/pod_template", "train/kubernetes"]
)
def test_kubernetes_takes_the_manifests_of_infra(name):
    things = list(yaml.safe_load_all((INFRA / f"{name}.yaml").read_text()))
    assert things
    assert [schema_errors(thing) for thing in things] == [""] * len(things)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ([*MASTER, "--image", "dclm-spark"], "an image with a tag"),
        (["--master", "yarn"], "k8s://https://HOST:PORT"),
        ([*MASTER, "--namespace", "My_Team"], "namespace = 'My_Team'"),
        ([*MASTER, "--executors", "0"], "executors = 0"),
        ([*MASTER, "--pull-policy", "Sometimes"], "IfNotPresent, Always or Never"),
        ([*MASTER, "--archive", "e.tar.gz"], "--archive: pods run from an image"),
        ([*MASTER, "--tag", "team=a b"], "--tag team = 'a b'"),
        ([*MASTER, "--node-selector", "arm64"], "KEY=VALUE"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_what_kubernetes_would_refuse_is_refused_before(options, part):
    assert part in refusal("kubernetes", *IMAGE, *options)
