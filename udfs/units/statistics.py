"""What a unit says of its documents: counts by fate and rule, languages, domains, samples.

Everything is a function of the rows, so a re-run unit gives the same statistics. Those of units add
up (`udfs.units.totals`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.schema import KEPT
from udfs.rules.urls import hosts

SAMPLES_PER_RULE = 3
SAMPLE_CHARACTERS = 600
# What a sample says of where it is from and what it declares, where the table has it.
PLACE_OF_SAMPLE = ("warc_path", "warc_offset", "language", "charset", "charset_source")
# The largest domains of a unit; of those left out, the largest has `domains_cut` documents.
DOMAINS_PER_UNIT = 1000

# Statistics by these names add up over units; they lie beside the manifests, in a file a unit.
ADDED_UP = (
    "counts",
    "thresholds",
    "languages",
    "domains",
    "domains_cut",
    "histograms",
    "kept_histograms",
    "samples",
    "score_buckets",
    "contaminated_documents",
    "columns",
)

# Bin edges of the signals that the report draws; values outside fall into the end bins.
HISTOGRAM_EDGES: dict[str, tuple[float, ...]] = {
    "language_score": tuple(round(0.05 * edge, 2) for edge in range(21)),
    "num_words": (0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000),
    "mean_word_length": tuple(0.5 * edge for edge in range(4, 25)),
    "word_removal_fraction": tuple(round(0.005 * edge, 3) for edge in range(21)),
    "contained_ngram_fraction": tuple(round(0.05 * edge, 2) for edge in range(21)),
    "quality_score": (0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1),
}


class Tally:
    """Running facts of the documents of one unit; rows must have their fate and their text."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._text_bytes: Counter[tuple[str, str, str]] = Counter()
        self._thresholds: dict[str, float] = {}
        self._languages: Counter[tuple[str, bool]] = Counter()
        self._domains: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._histograms: dict[str, np.ndarray[Any, Any]] = {}
        self._kept_histograms: dict[str, np.ndarray[Any, Any]] = {}
        self._samples: dict[tuple[str, str], list[tuple[bytes, dict[str, Any]]]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a documents batch (`udfs.documents.schema` and any signals)."""
        if batch.num_rows == 0:
            return
        sizes = pc.fill_null(pc.binary_length(batch.column("text")).cast(pa.int64()), 0).to_pylist()
        fates = batch.column("fate").to_pylist()
        stages = batch.column("stage").to_pylist()
        rules = batch.column("rule").to_pylist()
        for key, size in zip(
            zip(fates, [s or "" for s in stages], [r or "" for r in rules], strict=True),
            sizes,
            strict=True,
        ):
            self._counts[key] += 1
            self._text_bytes[key] += size
        self._add_thresholds(batch)
        self._add_languages(batch, fates)
        self._add_domains(batch, fates, sizes)
        self._add_histograms(batch)
        self._add_samples(batch, fates, rules)

    def _add_thresholds(self, batch: pa.RecordBatch) -> None:
        known = batch.filter(pc.is_valid(batch.column("threshold")))
        pairs = zip(
            known.column("rule").to_pylist(), known.column("threshold").to_pylist(), strict=True
        )
        self._thresholds.update(pairs)

    def _add_languages(self, batch: pa.RecordBatch, fates: list[str]) -> None:
        if "language" not in batch.schema.names:
            return
        for language, fate in zip(batch.column("language").to_pylist(), fates, strict=True):
            if language is not None:
                self._languages[language, fate == KEPT] += 1

    def _add_domains(self, batch: pa.RecordBatch, fates: list[str], sizes: list[int]) -> None:
        names = hosts(batch.column("url")).to_pylist()
        for name, fate, size in zip(names, fates, sizes, strict=True):
            entry = self._domains[name or ""]
            entry[0] += 1
            if fate == KEPT:
                entry[1] += 1
                entry[2] += size

    def _add_histograms(self, batch: pa.RecordBatch) -> None:
        kept = pc.equal(batch.column("fate"), KEPT)
        for name, edges in HISTOGRAM_EDGES.items():
            if name not in batch.schema.names:
                continue
            values = batch.column(name)
            for histograms, counted in (
                (self._histograms, values),
                (self._kept_histograms, values.filter(kept)),
            ):
                histograms[name] = histograms.get(name, 0) + _binned(counted, edges)

    def _add_samples(
        self, batch: pa.RecordBatch, fates: list[str], rules: list[str | None]
    ) -> None:
        ids = batch.column("doc_id").to_pylist()
        for row, (fate, rule) in enumerate(zip(fates, rules, strict=True)):
            key = (fate, rule or KEPT)
            kept = self._samples.setdefault(key, [])
            # The ids are hashes, so the smallest ones are a random sample of fixed choice.
            if len(kept) < SAMPLES_PER_RULE or ids[row] < kept[-1][0]:
                kept.append((ids[row], _sample(batch, row, fate, rule or KEPT)))
                kept.sort(key=lambda item: item[0])
                del kept[SAMPLES_PER_RULE:]

    def facts(self) -> dict[str, Any]:
        """Return the statistics as plain JSON data; `Totals` adds up those of several units."""
        largest = sorted(self._domains.items(), key=_by_documents)
        cut = largest[DOMAINS_PER_UNIT:]
        return {
            "counts": [
                {
                    "fate": fate,
                    "stage": stage,
                    "rule": rule,
                    "documents": documents,
                    "text_bytes": self._text_bytes[fate, stage, rule],
                }
                for (fate, stage, rule), documents in sorted(self._counts.items())
            ],
            "thresholds": dict(sorted(self._thresholds.items())),
            "languages": [
                [language, kept, count]
                for (language, kept), count in sorted(self._languages.items())
            ],
            "domains": [[name, *numbers] for name, numbers in largest[:DOMAINS_PER_UNIT]],
            "domains_cut": cut[0][1][0] if cut else 0,
            "histograms": {
                name: [int(count) for count in counts]
                for name, counts in sorted(self._histograms.items())
            },
            "kept_histograms": {
                name: [int(count) for count in counts]
                for name, counts in sorted(self._kept_histograms.items())
            },
            "samples": [
                {"doc_id": doc_id.hex(), **sample}
                for _, kept in sorted(self._samples.items())
                for doc_id, sample in kept
            ],
        }


def _by_documents(domain: tuple[str, list[int]]) -> tuple[int, str]:
    """Return the key that sorts domains by their documents, the largest first."""
    name, numbers = domain
    return -numbers[0], name


def _binned(values: pa.Array, edges: tuple[float, ...]) -> np.ndarray[Any, Any]:
    """Return how many values fall between the edges; null ones are left out."""
    numbers = pc.drop_null(values).to_numpy(zero_copy_only=False).astype(np.float64)
    counts, _ = np.histogram(np.clip(numbers, edges[0], edges[-1]), np.asarray(edges))
    return counts


def _sample(batch: pa.RecordBatch, row: int, fate: str, rule: str) -> dict[str, Any]:
    text = batch.column("text")[row].as_py() or ""
    return {
        "fate": fate,
        "stage": batch.column("stage")[row].as_py(),
        "rule": rule,
        "url": batch.column("url")[row].as_py(),
        "value": batch.column("value")[row].as_py(),
        "threshold": batch.column("threshold")[row].as_py(),
        "error": batch.column("error")[row].as_py(),
        **{
            name: batch.column(name)[row].as_py()
            for name in PLACE_OF_SAMPLE
            if name in batch.schema.names
        },
        "text": text[:SAMPLE_CHARACTERS],
    }


def documents_by_fate(facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of documents of each fate in facts of a unit or a whole stage."""
    totals: Counter[str] = Counter()
    for entry in facts.get("counts", ()):
        totals[entry["fate"]] += entry["documents"]
    return dict(totals)


def kept_text_bytes(facts: Mapping[str, Any]) -> int:
    """Return the UTF-8 bytes of text of the kept documents."""
    return sum(e["text_bytes"] for e in facts.get("counts", ()) if e["fate"] == KEPT)
