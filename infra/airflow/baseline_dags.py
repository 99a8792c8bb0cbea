"""DAGs to start from: one per target, and a trainer that runs when new shards are there."""

import os
import subprocess
from pathlib import Path

from airflow.sdk import dag, task
from dclm_spark_dag import INFRA, asset_of, baseline_dag

BUCKET = os.environ.get("DCLM_SPARK_BUCKET", "s3://my-bucket")
PYTHON = os.environ.get("DCLM_SPARK_PYTHON", "python3")
LOCAL_OUTPUT = os.environ.get("DCLM_SPARK_LOCAL_OUTPUT", "/tmp/dclm_spark/baseline")
LISTING = "s3://commoncrawl/crawl-data/CC-MAIN-2026-04/warc.paths.gz"

on_emr = baseline_dag(
    "baseline_emr",
    target="emr",
    recipe="dclm_baseline",
    input=LISTING,
    output=f"{BUCKET}/baseline/emr",
    platform={
        "code": f"{BUCKET}/code",
        "logs": f"{BUCKET}/logs/",
        "subnets": ["subnet-00000000"],
        "service_role": "EMR_DefaultRole_V2",
        "instance_profile": "EMR_EC2_DefaultRole",
    },
)

on_emr_serverless = baseline_dag(
    "baseline_emr_serverless",
    target="emr-serverless",
    recipe="dclm_baseline",
    input=LISTING,
    output=f"{BUCKET}/baseline/serverless",
    platform={
        "code": f"{BUCKET}/code",
        "logs": f"{BUCKET}/logs/",
        "application": "00example",
        "role": "arn:aws:iam::123456789012:role/dclm-spark",
    },
)

on_dataproc = baseline_dag(
    "baseline_dataproc",
    target="dataproc",
    recipe="dclm_baseline",
    input=LISTING,
    output=f"{BUCKET}/baseline/dataproc",
    platform={
        "code": "gs://my-bucket/code",
        "project": "my-project",
        "region": "us-east1",
        "staging_bucket": "my-bucket",
    },
)

on_this_machine = baseline_dag(
    "baseline_local",
    target="local",
    recipe="sample",
    input=None,
    output=LOCAL_OUTPUT,
    platform={"python": PYTHON},
    hours=1.0,
    retries=0,
)


@dag(schedule=[asset_of(LOCAL_OUTPUT)], catchup=False, max_active_runs=1, tags=["dclm-spark"])
def train_on_new_shards():
    """Train a tiny model whenever the local baseline has written its shards."""

    @task
    def train() -> None:
        root = INFRA.parent
        command = [PYTHON, str(root / "jobs" / "train_model.py"), "--scale", "test"]
        command += ["--shards", f"{LOCAL_OUTPUT}/shards/manifest.json"]
        command += ["--output", f"{LOCAL_OUTPUT}/trained"]
        subprocess.run(command, check=True, cwd=Path(root))

    train()


train_on_new_shards()
