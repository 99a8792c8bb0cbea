"""Manifests and statistics of units of real shape: what a WARC of Common Crawl leaves."""

import random
from dataclasses import asdict

from udfs.documents.schema import FATES
from udfs.units.commit import FORMAT_VERSION
from udfs.units.curate import InputUnit
from udfs.units.statistics import DOMAINS_PER_UNIT, HISTOGRAM_EDGES, SAMPLE_CHARACTERS
from udfs.warc.reader import RecordCounts

# A usual WARC: its pages, hosts and rules (CC-MAIN-2024-10; spec of issue 26).
PAGES, HOSTS, RULES = 39_000, 10_000, 24
# Statistics files of different content; the others are links to them.
DISTINCT = 200


def name_of(place: int) -> str:
    return f"CC-MAIN-20240220211055-20240221001055-{place:05d}-{place:010x}"


def statistics(seed: int, domains: int = DOMAINS_PER_UNIT) -> dict:
    """What `udfs.units.statistics.Tally` says of such a WARC."""
    draw = random.Random(seed)
    hosts = draw.sample(range(50 * HOSTS), domains)
    documents = sorted((int(draw.paretovariate(1.1)) + 1 for _ in hosts), reverse=True)
    rules = [("kept", "", "")] + [("dropped", "heuristics", f"rule_{n}") for n in range(RULES)]
    return {
        "counts": [
            {"fate": fate, "stage": stage, "rule": rule, "documents": PAGES // len(rules),
             "text_bytes": 3_000_000}
            for fate, stage, rule in rules
        ],
        "thresholds": {rule: 0.5 for _, _, rule in rules if rule},
        "languages": [[f"l{n}", kept, 10] for n in range(150) for kept in (False, True)],
        "domains": [[f"www.host-{host}.example.org", count, count // 2, 900 * count]
                    for host, count in zip(hosts, documents, strict=True)],
        "domains_cut": documents[-1],
        "histograms": {name: [7] * (len(edges) - 1) for name, edges in HISTOGRAM_EDGES.items()},
        "kept_histograms": {
            name: [3] * (len(edges) - 1) for name, edges in HISTOGRAM_EDGES.items()
        },
        "samples": [
            {"doc_id": f"{draw.getrandbits(128):032x}", "fate": fate, "stage": stage,
             "rule": rule or "kept", "url": "https://www.host.example.org/a/page", "value": 0.1,
             "threshold": 0.5, "error": None, "text": "a b c d " * (SAMPLE_CHARACTERS // 8)}
            for fate, stage, rule in rules for _ in range(3)
        ],
    }  # fmt: skip


def manifest(place: int, key: str) -> dict:
    """The manifest that `udfs.units.commit.commit` writes of it."""
    name = name_of(place)
    path = f"crawl-data/CC-MAIN-2024-10/segments/1707947473360.9/warc/{name}.warc.gz"
    source = InputUnit(
        crawl="CC-MAIN-2024-10", path=path, uri=f"s3://commoncrawl/{path}", kind="warc"
    )
    records = RecordCounts(response=PAGES, request=PAGES, metadata=PAGES, warcinfo=1)
    return {
        "format_version": FORMAT_VERSION,
        "unit": name,
        "key": key,
        "files": [
            {"path": f"{fate}/{name}.parquet", "rows": PAGES // len(FATES),
             "size_bytes": 34_567_890, "sha256": f"{place:064x}"}
            for fate in FATES
        ],
        "documents": {fate: [PAGES // len(FATES), 45_678_901] for fate in FATES},
        "statistics": {"path": f"statistics/{name}.json", "size_bytes": 100_000,
                       "sha256": f"{place % DISTINCT:064x}"},
        "facts": {"records": asdict(records), "input": asdict(source)},
        "timing": {"seconds": 1234.5, "cpu_seconds": 1100.25},
    }  # fmt: skip
