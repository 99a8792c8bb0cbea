"""Every dedup method over the same twenty documents: method_runs.py FOLDER OUTPUT.

FOLDER/in has the committed stage (`write_documents`); outputs are OUTPUT/<method>. What it says is
the version of Spark.
"""

import random
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.units.documents import DOCUMENTS

SHARDS = 2


def write_documents(folder: Path) -> None:
    """Commit pages, copies of some and near copies of others as the stage FOLDER/in."""
    rng = random.Random(3)
    pages = [" ".join(f"w{rng.randrange(400)}" for _ in range(80)) for _ in range(12)]
    committed(folder / "in", pages + pages[::3] + [f"{page} more" for page in pages[::4]])


def run_method(spark: SparkSession, folder: Path, output: Path) -> None:
    """Deduplicate with the method that the output is named after."""
    given, name = str(folder / "in"), output.name
    documents = stage_output("documents", given, read_manifests(given, committed_names(given)))
    # Exact keys join the method whose work is nothing else.
    exact = ("text", "url") if not METHODS[name].compares else ()
    settings = DeduplicationSettings(exact=exact, method=METHODS[name](), shards=SHARDS)
    deduplicate(spark, documents, DOCUMENTS, settings, str(output / "stage"))


def main(folder: Path, output: Path) -> None:
    """Run all methods, one after another."""
    spark = spark_session("methods", "local[2]")
    # Queries over twenty rows are interpreted sooner than compiled.
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    for name in METHODS:
        run_method(spark, folder, output / name)
    print(spark.version)
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
