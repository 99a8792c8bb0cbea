"""What dedup takes that nobody else says: planted chains or real texts, rule by rule, as a table.

python -m tests.benchmarks.information_lost [--texts RUN/stages/documents/kept] [--scratch FOLDER]
"""

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from dclm_spark.command import run_command
from dclm_spark.dedup.duplicate_lines import Lines
from dclm_spark.dedup.evidence.stage_evidence import dedup_evidence
from dclm_spark.dedup.exact import ExactOnly
from dclm_spark.dedup.global_ngrams import GlobalNgrams
from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.dedup.passages import Passages
from dclm_spark.dedup.sharded_ngrams import ShardedNgrams
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.units.documents import DOCUMENTS

CHAINS, CHAIN_LENGTH, WORDS, STEP = 100, 20, 200, 10
OWN, COPIES_OF_EACH = 1000, 300
MOST_TEXTS = 10_000
LONGEST = ("longest", "crawl_order")
RULES: dict[str, DedupMethod] = {
    "`minhash`, whole clusters (`verify: none`)": MinHash(),
    "`minhash`, `jaccard`, 0.8": MinHash(verify="jaccard"),
    "`minhash`, `containment`, 0.8": MinHash(verify="containment", min_coverage=0.8),
    "`minhash`, `containment`, 0.95, longest first": MinHash(
        verify="containment", min_coverage=0.95, survivor_order=LONGEST
    ),
    "`sharded`, one shard": ShardedNgrams(),
    "`global`": GlobalNgrams(),
    "`lines`": Lines(min_sentences=1),
    "`passages`": Passages(),
    "`exact: [text]` alone": ExactOnly(),
}


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What one rule did to a set of documents; copies are documents with the text of another."""

    rule: str
    documents: int
    kept: int
    copies: int
    copies_left: int
    # Documents whose whole text stays.
    whole: int
    # Shares of the distinct 13-grams and words of the input that no kept document has.
    lost_ngrams: float
    lost_words: float


def planted(seed: int = 1) -> list[str]:
    """Return chains of documents with nine tenths of the one before, others, and full copies."""
    rng = random.Random(seed)
    texts = []
    for _ in range(CHAINS):
        words = [f"c{rng.randrange(10**6)}" for _ in range(WORDS + STEP * (CHAIN_LENGTH - 1))]
        texts += [" ".join(words[STEP * n : STEP * n + WORDS]) for n in range(CHAIN_LENGTH)]
    own = [" ".join(f"o{rng.randrange(10**6)}" for _ in range(WORDS)) for _ in range(OWN)]
    copies = rng.sample(texts, COPIES_OF_EACH) + rng.sample(own, COPIES_OF_EACH)
    return texts + own + copies


def losses(spark: SparkSession, texts: Sequence[str], folder: Path) -> Iterator[Loss]:
    """Yield what each of RULES does to `texts`."""
    documents, given = committed(folder / "in", texts), set(texts)
    for number, (rule, method) in enumerate(RULES.items()):
        exact = () if method.compares else ("text",)
        settings = DeduplicationSettings(exact=exact, method=method, shards=1)
        output = deduplicate(spark, documents, DOCUMENTS, settings, str(folder / str(number)))
        evidence = dedup_evidence(spark, documents, output, settings)
        lost = {
            group["measure"]: group["share"]
            for group in evidence["lost"]["groups"]
            if group["group"] == ""
        }
        kept: list[str] = [
            text
            for file in output.files("kept/")
            for text in pq.read_table(file["uri"], columns=["text"])["text"].to_pylist()
        ]
        yield Loss(
            rule=rule,
            documents=len(texts),
            kept=len(kept),
            copies=len(texts) - len(set(texts)),
            whole=sum(text in given for text in kept),
            copies_left=len(kept) - len(set(kept)),
            lost_ngrams=lost["13-grams"],
            lost_words=lost["words"],
        )


def as_table(name: str, found: Sequence[Loss]) -> str:
    """Return what the rules did as a table in Markdown."""
    heads = (name, "kept", "in full", "recall of full copies", "13-grams lost", "words lost")
    lines = [
        f"| {' | '.join(heads)} |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        recall = 1 - one.copies_left / one.copies if one.copies else 1.0
        lines.append(
            f"| {one.rule} | {one.kept:,} of {one.documents:,} | {one.whole:,} | "
            f"{recall:.4f} of {one.copies:,} | {one.lost_ngrams:.2%} | {one.lost_words:.2%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", help="Parquet with a column text; default: chains")
    parser.add_argument("--scratch", help="where the runs go")
    given = parser.parse_args()
    name, texts = "planted chains", planted()
    if given.texts:
        name, texts = "real texts", pq.read_table(given.texts)["text"].to_pylist()[:MOST_TEXTS]
    spark = spark_session("information_lost", "local[2]")
    # Compiling a plan costs more than running it over a few thousand rows.
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    spark.conf.set("spark.sql.shuffle.partitions", "4")
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        print(as_table(name, list(losses(spark, texts, Path(folder)))))


if __name__ == "__main__":
    run_command(main)
