"""The ten-line user of docs/library.md beside the naive way: row UDFs around known libraries.

    python tests/benchmarks/ten_lines.py INPUT [--base BASE] [--limit FILES] [--rounds N]

Both read the same WARC records with `read_warc`, take the main text of each page, keep English and
leave one of each group of near copies, and count what is left. The naive way calls resiliparse,
fasttext and datasketch on one row at a time, as tutorials do, and joins the bands of the signatures
in Spark. They take turns in one session; each round counts all CPU seconds below this process, the
JVM's included. The first round warms up and does not count.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, StringType, StructType

from dclm_spark import extract_text, identify_language, read_warc, without_near_duplicates
from dclm_spark.measure.clock import tree_cpu_seconds
from dclm_spark.recipes.recipe import LANGUAGE_MODEL
from dclm_spark.session import spark_session
from udfs.storage.cache import fetch

LANGUAGE, SCORE = "en", 0.65
BANDS, ROWS, NGRAM = 14, 8, 5
_MODELS: dict[str, object] = {}


def library_way(pages: DataFrame) -> DataFrame:
    texts = pages.transform(extract_text).where("text is not null").drop("html")
    english = texts.transform(identify_language).where(
        f"language = '{LANGUAGE}' and language_score > {SCORE}"
    )
    # The search reads its frame more than once.
    return english.localCheckpoint().transform(without_near_duplicates, id="doc_id")


@F.udf(StringType())
def _text(html: bytes) -> str | None:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    if html is None:
        return None
    tree = HTMLTree.parse_from_bytes(html, detect_encoding(html) or "utf-8")
    return str(extract_plain_text(tree, main_content=True, alt_texts=False))


def _language_udf(path: str) -> Callable[..., object]:
    @F.udf(StructType().add("language", StringType()).add("score", DoubleType()))
    def language(text: str) -> tuple[str, float]:
        import fasttext

        model = _MODELS.setdefault(path, fasttext.load_model(path) if path not in _MODELS else None)
        labels, scores = model.predict(text.replace("\n", " "))
        return (labels[0].removeprefix("__label__"), float(scores[0])) if labels else ("", 0.0)

    return language


@F.udf(ArrayType(StringType()))
def _bands(text: str) -> list[str]:
    from datasketch import MinHash

    words = text.split()
    signature = MinHash(num_perm=BANDS * ROWS)
    signature.update_batch(
        [" ".join(words[at : at + NGRAM]).encode() for at in range(max(1, len(words) - NGRAM + 1))]
    )
    values = signature.hashvalues
    return [
        f"{band}-{values[band * ROWS : (band + 1) * ROWS].tobytes().hex()}" for band in range(BANDS)
    ]


def naive_way(pages: DataFrame) -> DataFrame:
    language = _language_udf(str(fetch(LANGUAGE_MODEL.uri, LANGUAGE_MODEL.sha256)))
    texts = pages.withColumn("text", _text("html")).where("length(text) > 0").drop("html")
    told = texts.withColumn("told", language("text"))
    english = told.where(F.col("told.language") == LANGUAGE).where(F.col("told.score") > SCORE)
    english = english.localCheckpoint()
    bands = english.select("doc_id", F.explode(_bands("text")).alias("band"))
    first = bands.groupBy("band").agg(F.min("doc_id").alias("first"))
    copies = bands.join(first, "band").where("first < doc_id").select("doc_id").distinct()
    return english.join(copies, "doc_id", "left_anti")


def measured(way: Callable[[DataFrame], DataFrame], pages: DataFrame) -> tuple[float, float, int]:
    """Return CPU seconds, wall seconds and the documents that are left."""
    cpu, wall = tree_cpu_seconds(), time.perf_counter()
    left = way(pages).count()
    return tree_cpu_seconds() - cpu, time.perf_counter() - wall, left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("--base")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    spark: SparkSession = spark_session("ten_lines", "local[2]")
    pages = read_warc(spark, given.input, base=given.base, limit=given.limit)
    ways = {"library": library_way, "naive": naive_way}
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    for number in range(given.rounds + 1):
        for name, way in ways.items():
            result = measured(way, pages)
            found[name] += [result] if number else []
            print(number, name, *result, flush=True)
    print("| way | CPU, s | wall, s | documents left |\n|---|---|---|---|")
    for name, results in found.items():
        cpu, wall = (statistics.median(one[at] for one in results) for at in (0, 1))
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {results[0][2]:,} |")
    ratios = [
        naive[0] / library[0]
        for library, naive in zip(found["library"], found["naive"], strict=True)
    ]
    print(f"the naive way takes {statistics.median(ratios):.2f} times the CPU of the library's")


if __name__ == "__main__":
    main()
