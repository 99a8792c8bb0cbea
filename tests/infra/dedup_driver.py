"""Dedup of a committed stage by every method: dedup_driver.py STAGE.json OUTPUT."""

import json
import sys
from pathlib import Path

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from udfs.units.documents import DOCUMENTS

# More than the tasks that run at once, so that an executor can be lost between two of them.
SHARDS = 40


def deduplicate_by_all(spark, documents, output):
    """Run every method into a folder of its name, one after the other."""
    for name, method in METHODS.items():
        settings = DeduplicationSettings(exact=("text",), method=method(), shards=SHARDS)
        directory = f"{output}/{name}/deduplicated"
        deduplicate(spark, documents, DOCUMENTS, settings, directory)


if __name__ == "__main__":
    stage, directory, manifests = json.loads(Path(sys.argv[1]).read_text())
    found = StageOutput(stage=stage, directory=directory, manifests=tuple(manifests))
    deduplicate_by_all(spark_session("dedup"), found, sys.argv[2])
