"""DAGs to start from: one per target, and a trainer that runs when new shards are there.

A cloud's DAG is there when its environment variable is: JSON of the keys of `platform`, and
`output`. So no DAG has an example's account or bucket.
"""

import json
import os
import subprocess
from pathlib import Path

from airflow.sdk import dag, task
from dclm_spark_dag import asset_of, baseline_dag

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("DCLM_SPARK_PYTHON", "python3")
LOCAL_OUTPUT = os.environ.get("DCLM_SPARK_LOCAL_OUTPUT", "/tmp/dclm_spark/baseline")
LISTING = os.environ.get(
    "DCLM_SPARK_LISTING", "s3://commoncrawl/crawl-data/CC-MAIN-2026-04/warc.paths.gz"
)
CLOUDS = {
    "emr": "DCLM_SPARK_EMR",
    "emr-serverless": "DCLM_SPARK_EMR_SERVERLESS",
    "dataproc": "DCLM_SPARK_DATAPROC",
}

for target, variable in CLOUDS.items():
    if variable in os.environ:
        platform = json.loads(os.environ[variable])
        name = f"baseline_{target.replace('-', '_')}"
        globals()[name] = baseline_dag(
            name,
            target=target,
            recipe="dclm_baseline",
            input=LISTING,
            output=platform.pop("output"),
            # A plan of the listing: jobs/plan_crawl.py --spark-conf.
            conf_files=platform.pop("conf_files", []),
            settings=platform.pop("settings", []),
            platform=platform,
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

NEW_SHARDS = asset_of(LOCAL_OUTPUT)


@dag(schedule=[NEW_SHARDS], catchup=False, max_active_runs=1, tags=["dclm-spark"])
def train_on_new_shards():
    """Train a tiny model whenever the local baseline has written its shards."""

    @task(inlets=[NEW_SHARDS])
    def train(*, inlet_events=None) -> None:
        latest = inlet_events[NEW_SHARDS][-1].extra
        command = [PYTHON, str(ROOT / "jobs" / "train_model.py"), "--scale", "test"]
        command += ["--shards", latest["manifest"], "--output", f"{latest['output']}/trained"]
        subprocess.run(command, check=True, cwd=ROOT)

    train()


train_on_new_shards()
