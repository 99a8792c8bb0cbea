"""datatrove's four MinHash stages on one folder of JSON lines; run by its own interpreter.

Prints one JSON object: CPU seconds per stage, and how many documents stay. Imports nothing of
ours, so that it runs where only datatrove is installed.
"""

import importlib
import importlib.metadata
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_seconds() -> float:
    """Return the CPU time of this process and of children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def stages(documents: str, work: str) -> list[tuple[str, Callable[[], object]]]:
    """Return (name, stage) in order: 14 buckets of 8 hashes over word 5-grams, its default."""
    minhash: Any = importlib.import_module("datatrove.pipeline.dedup.minhash")
    reader: Any = importlib.import_module("datatrove.pipeline.readers.jsonl").JsonlReader
    writer: Any = importlib.import_module("datatrove.pipeline.writers.jsonl").JsonlWriter
    config = minhash.MinhashConfig()
    signed, matched, removed = (f"{work}/{name}" for name in ("signed", "matched", "removed"))
    signature = minhash.MinhashDedupSignature(signed, config=config)
    # The word splitter is loaded before the clock starts, as our kernels are.
    signature.get_shingles("The quick brown fox jumps over the lazy dog.")
    buckets = minhash.MinhashDedupBuckets(signed, matched, config=config)
    cluster = minhash.MinhashDedupCluster(matched, removed, config=config)
    keep = minhash.MinhashDedupFilter(removed)

    def read() -> Any:
        return reader(documents, glob_pattern="*.json").run()

    def match() -> None:
        for bucket in range(config.num_buckets):
            buckets.run(None, rank=bucket, world_size=config.num_buckets)

    def write() -> None:
        for _ in writer(f"{work}/kept").run(keep.run(read())):
            pass

    return [
        ("signature", lambda: signature.run(read())),
        ("buckets", match),
        ("cluster", lambda: cluster.run(None, 0, 1)),
        ("filter", write),
    ]


def kept_ids(folder: str) -> list[str]:
    """Return the ids of the documents that the last stage wrote."""
    reader: Any = importlib.import_module("datatrove.pipeline.readers.jsonl").JsonlReader
    return [document.id for document in reader(folder).run()]


def main() -> None:
    """Run on the folder of the command line; write the ids that stay to its second word, if any."""
    taken = {}
    with tempfile.TemporaryDirectory() as work:
        for name, stage in stages(sys.argv[1], work):
            start = cpu_seconds()
            stage()
            taken[name] = cpu_seconds() - start
        ids = kept_ids(f"{work}/kept")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text("\n".join(ids))
    version = importlib.metadata.version("datatrove")
    print(json.dumps({"version": version, "cpu_seconds": taken, "kept": len(ids)}))


if __name__ == "__main__":
    main()
