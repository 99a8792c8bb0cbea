"""A driver that builds a corpus of a few sample pages: sample_driver.py FOLDER OUTPUT."""

import sys
from dataclasses import replace
from pathlib import Path

from pyspark.sql import SparkSession

from dclm_spark.dedup.minhash import MinHash
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import SampleCrawl, generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.session import spark_session

PAGES = 300


def build(spark: SparkSession, crawl: SampleCrawl, output: Path) -> None:
    """Build the corpus of a crawl, near copies left out in all of it."""
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64"]
    recipe = sample_recipe(load_recipe("sample", small), crawl, crawl.base)
    method = replace(recipe.deduplication, exact=("url",), method=MinHash(), shards=2)
    build_baseline(
        spark,
        recipe=replace(recipe, deduplication=method),
        inputs=str(crawl.listing),
        output=str(output),
        base=str(crawl.base),
    )


def main(folder: Path, output: Path) -> None:
    """Build with a session of this interpreter's Spark."""
    crawl = generate_crawl(folder, seed=7, num_pages=PAGES)
    spark = spark_session("sample", "local[2]")
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    build(spark, crawl, output)
    print(spark.version)
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
