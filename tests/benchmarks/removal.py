"""What it takes to remove a thousand domains from a finished run, against the run itself.

    python -m tests.benchmarks.removal --documents 1000000 --folder /tmp/removal

The run is of given texts (`given_texts`), the cheapest there is: from WARC files a first run takes
ten times as much. A folder with a run that was killed goes on. CPU seconds are of all processes.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dclm_spark.measure.clock import Watch
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.removal.remove import Request, remove_documents
from dclm_spark.removal.robots import RobotsRequest, refused_documents, robots_files
from dclm_spark.session import spark_session
from dclm_spark.shard_format import Removals, Shard, ShardManifest, blanked, read_manifest
from tests.benchmarks.dedup_corpus import block_rows, vocabulary
from tests.benchmarks.given_texts import write_texts
from udfs.tokens.tokenizer import train_tokenizer

WORDS, FILES = 80, 16
# Of so many domains, the first GONE are removed: a fiftieth of all documents.
DOMAINS, GONE = 50_000, 1_000


def gone() -> list[str]:
    return [f"site-{number}.example" for number in range(GONE)]


def prepare(folder: Path, documents: int) -> None:
    """Write the input, a tokenizer and the lists, unless they are there."""
    if (folder / "gone.txt").exists():
        return
    write_texts(
        folder / "in", documents=documents, words=WORDS, files=FILES, domains=DOMAINS
    )  # fmt: skip
    texts = block_rows(0, WORDS, vocabulary()).column("text").to_pylist()[:200]
    (folder / "tokenizer.json").write_text(train_tokenizer(iter(texts), 1000))
    rules = "User-agent: GPTBot\nDisallow: /"
    answers = (
        {"url": f"https://www.{one}/robots.txt", "date": "2026-05-01", "text": rules}
        for one in gone()
    )
    (folder / "robots.jsonl").write_text("\n".join(map(json.dumps, answers)))
    (folder / "gone.txt").write_text("\n".join(gone()))


def build(spark, folder: Path) -> None:
    changes = [
        f"tokens.tokenizer.uri={folder / 'tokenizer.json'}", "deduplication.shards=8",
        "deduplication.method=sharded", "tokens.sequences_per_shard=512",
    ]  # fmt: skip
    build_baseline(
        spark, recipe=load_recipe("raw", changes), inputs=str(folder / "in"),
        output=str(folder / "out"),
    )  # fmt: skip


def sums(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "out/shards").glob("shard-*.parquet")
    }


def scan(folder: Path, *, as_served: bool) -> dict[str, int]:
    """Count tokens of removed domains that are no padding, in all shards.

    Where they are is taken from what lay beside the shards before the removal (`before`), not from
    the removal. `as_served`: as trainers and exporters get the rows, else as the files hold them.
    """
    manifest = read_manifest(str(folder / "out/shards"))
    removals = Removals(manifest)
    found = {"spans": 0, "tokens": 0, "left": 0, "shards": 0}
    for shard in manifest.shards:
        rows = _tokens(folder, manifest, shard)
        if as_served:
            mask = removals.mask(shard, 0, len(rows))
            if mask is not None:
                blanked(rows, mask, manifest)
        spans = list(_gone_spans(folder / "before", shard.path))
        found["shards"] += bool(spans)
        for row, start, count in spans:
            ids = rows[row, start : start + count]
            found["spans"] += 1
            found["tokens"] += count
            kept = (ids != manifest.padding) & (ids != manifest.end_of_text_id)
            found["left"] += int(kept.sum())
    return found


def _tokens(folder: Path, manifest: ShardManifest, shard: Shard) -> np.ndarray:
    rows = pq.read_table(folder / "out/shards" / shard.path)["tokens"].to_pylist()
    return np.stack([np.frombuffer(row, manifest.padding.dtype) for row in rows])


def _gone_spans(before: Path, path: str) -> Iterator[tuple[int, int, int]]:
    names = {f"www.{one}" for one in gone()}
    table = pq.read_table(before / path.replace(".parquet", ".provenance.parquet"))
    columns = (table[name].to_pylist() for name in ("domain", "row", "start", "num_tokens"))
    for domain, *span in zip(*columns, strict=True):
        if domain in names:
            yield tuple(span)


def keep_provenance(folder: Path) -> None:
    target = folder / "before"
    target.mkdir(exist_ok=True)
    for path in (folder / "out/shards").glob("*.provenance.parquet"):
        (target / path.name).write_bytes(path.read_bytes())


def measure(spark, folder: Path) -> dict:
    """Build, ask, remove and compact; return CPU seconds of each and what was found."""
    found: dict = {}

    def timed(name, work):
        with Watch() as watch:
            result = work()
        found[f"{name}_cpu_seconds"] = round(watch.cpu_seconds, 1)
        return result

    timed("first_run", lambda: build(spark, folder))
    keep_provenance(folder)
    before = sums(folder)
    robots = RobotsRequest(files=robots_files(str(folder / "robots.jsonl"), None))
    output = str(folder / "out")
    refusals = timed("robots", lambda: refused_documents(spark, output, robots))
    found["robots_documents"] = refusals.documents
    entries = tuple(("domain", one) for one in gone())
    request = Request(output=output, entries=entries, reason="benchmark")
    record = timed("removal", lambda: remove_documents(spark, request))
    found |= {name: record[name] for name in ("documents", "tokens")}
    found["changed_by_removal"] = sum(sums(folder)[name] != before[name] for name in before)
    found["as_served"] = scan(folder, as_served=True)
    timed("compaction", lambda: remove_documents(spark, Request(output=output, compact=True)))
    found["as_stored"] = scan(folder, as_served=False)
    after = sums(folder)
    touched = {one.shard for one in read_manifest(f"{output}/shards").removed}
    untouched = [name for name in before if name.replace(".provenance", "") not in touched]
    found["untouched_files"] = len(untouched)
    found["untouched_changed"] = sum(after[name] != before[name] for name in untouched)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, required=True, help="a multiple of 1,000")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    prepare(given.folder, given.documents)
    spark = spark_session("removal", "local[2]")
    try:
        print(json.dumps({"documents_in": given.documents} | measure(spark, given.folder)))
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
