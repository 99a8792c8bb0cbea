"""A driver that deduplicates when it is told to: dedup_driver.py DOCUMENTS FOLDER SHARDS.

DOCUMENTS is a committed stage. A file FOLDER/asked/<run> asks for that one of RUNS, whose output is
FOLDER/<run>; FOLDER/ended/<run> says that it is done. It ends when FOLDER/asked is removed.
"""

import sys
import time
from pathlib import Path

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from udfs.units.documents import DOCUMENTS

RUNS = {
    **{name: method() for name, method in METHODS.items()},
    "minhash-verified": MinHash(verify="containment", survivor_order=("longest", "crawl_order")),
}


def deduplicate_by(name, spark, directory, output, shards):
    """Run a method over the committed stage in `directory`, into `output`/deduplicated."""
    manifests = read_manifests(directory, committed_names(directory))
    documents = stage_output("documents", directory, manifests)
    settings = DeduplicationSettings(exact=("text",), method=RUNS[name], shards=shards)
    deduplicate(spark, documents, DOCUMENTS, settings, f"{output}/deduplicated")


def main(directory, folder, shards):
    """Deduplicate by every method that is asked for."""
    spark = spark_session("dedup")
    (folder / "ended").mkdir()
    while (folder / "asked").exists():
        for name in RUNS:
            ended = folder / "ended" / name
            if (folder / "asked" / name).exists() and not ended.exists():
                deduplicate_by(name, spark, directory, folder / name, shards)
                ended.touch()
        time.sleep(0.02)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
