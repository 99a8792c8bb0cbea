"""Three months of the sample crawl added one by one, against all three at once.

    python -m tests.benchmarks.months --folder /tmp/months

The files of the sample are spread over three crawls. Each month is a run whose recipe names the
runs before it (`deduplication.earlier`), where its method of dedup can compare with these: months
are not compared by `sharded`. Documents are compared by their ids.
"""

import argparse
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dclm_spark.dedup.methods import METHODS
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import CRAWL, generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.session import spark_session

MONTHS = ("SAMPLE-2026-01", "SAMPLE-2026-02", "SAMPLE-2026-03")
NAMES = ("global", "minhash", "sharded")
OTHER = "not selected"


def spread(base: Path) -> dict[str, list[str]]:
    """Move the files of the sample to three crawls; return the files of each."""
    files = sorted(base.rglob("*.warc.gz"))
    found: dict[str, list[str]] = {month: [] for month in MONTHS}
    for place, path in enumerate(files):
        month = MONTHS[place * len(MONTHS) // len(files)]
        target = Path(str(path).replace(CRAWL, month))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        found[month].append(str(target))
    return found


def tokens_of(output: Path) -> dict[bytes, int]:
    """Return the tokens of each document that a run selected."""
    return {
        row["doc_id"]: row["num_tokens"]
        for path in (output / "stages/tokenize").rglob("*.parquet")
        for row in pq.read_table(path, columns=["doc_id", "num_tokens"]).to_pylist()
    }


def rules_of(output: Path) -> dict[bytes, str]:
    """Return the rule by which deduplication dropped each document."""
    return {
        row["doc_id"]: row["rule"]
        for path in (output / "stages/deduplicate/dropped").glob("*.parquet")
        for row in pq.read_table(path, columns=["doc_id", "rule"]).to_pylist()
    }


def compare(spark, folder: Path, pages: int, method: str) -> dict[str, Any]:
    crawl = generate_crawl(folder / "crawl", num_pages=pages)
    settings = [f"deduplication.method={method}", "deduplication.shards=2"]
    recipe = sample_recipe(load_recipe("sample", settings), crawl, crawl.base)
    months = spread(crawl.base)

    def run(name: str, files: list[str], earlier: tuple[str, ...] = ()) -> Path:
        changed = replace(recipe, deduplication=replace(recipe.deduplication, earlier=earlier))
        build_baseline(
            spark, recipe=changed, inputs=",".join(files), output=str(folder / name),
            base=str(crawl.base),
        )  # fmt: skip
        return folder / name

    outputs: list[Path] = []
    for month, files in months.items():
        earlier = tuple(map(str, outputs)) if METHODS[method].keeps_table else ()
        outputs.append(run(month, files, earlier))
    whole = run("whole", [file for files in months.values() for file in files])
    added: dict[bytes, int] = {}
    dropped: dict[bytes, str] = {}
    for output in outputs:
        added |= tokens_of(output)
        dropped |= rules_of(output)
    once, dropped_once = tokens_of(whole), rules_of(whole)
    return {
        "method": method,
        "documents_added": len(added),
        "documents_at_once": len(once),
        "in_both": len(added.keys() & once.keys()),
        "with_other_tokens": sum(added[one] != once[one] for one in added.keys() & once.keys()),
        "tokens_added": sum(added.values()),
        "tokens_at_once": sum(once.values()),
        # What took them the other way.
        "only_added": Counter(dropped_once.get(one, OTHER) for one in added if one not in once),
        "only_at_once": Counter(dropped.get(one, OTHER) for one in once if one not in added),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--methods", nargs="*", default=NAMES)
    given = parser.parse_args()
    spark = spark_session("months", "local[2]")
    try:
        for method in given.methods:
            found = compare(spark, given.folder / method, given.pages, method)
            print(json.dumps(found), flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
