"""Statistics of any number of units added up, in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from udfs.units.statistics import SAMPLES_PER_RULE

# The largest domains of any number of units: the others are left out. What this may hide of a
# domain is bounded by `domains_cut`.
DOMAINS_OF_MANY = 20_000
# The most frequent values of a column of texts that are counted.
VALUES_OF_A_COLUMN = 1000

_DOMAINS = pa.schema(
    [
        pa.field("name", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("documents", "kept", "text_bytes")),
    ]
)


class _Domains:
    """The largest domains of many units, in columns: there are a thousand a unit."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._cut = 0

    def add(self, rows: Sequence[Sequence[Any]], cut: int) -> None:
        """Add (name, documents, kept, bytes of kept text) of a unit, which has left out others."""
        self._cut += cut
        if rows:
            self._parts.append(pa.table(list(zip(*rows, strict=True)), schema=_DOMAINS))
            self._rows += len(rows)
        if self._rows > 4 * DOMAINS_OF_MANY:
            self._add_up()

    def _add_up(self) -> None:
        """Sum up what has been added, and forget all but the largest."""
        sums = [(name, "sum") for name in _DOMAINS.names[1:]]
        whole = pa.concat_tables(self._parts).group_by("name", use_threads=False).aggregate(sums)
        whole = whole.rename_columns([name.removesuffix("_sum") for name in whole.column_names])
        whole = whole.select(_DOMAINS.names)
        whole = whole.sort_by([("documents", "descending"), ("name", "ascending")])
        if whole.num_rows > DOMAINS_OF_MANY:
            self._cut += whole["documents"][DOMAINS_OF_MANY].as_py()
            whole = whole.slice(0, DOMAINS_OF_MANY)
        self._parts, self._rows = [whole.combine_chunks()], whole.num_rows

    def largest(self) -> tuple[list[list[Any]], int]:
        """Return the domains, the largest first, and how many documents of one may be missing."""
        if not self._parts:
            return [], self._cut
        self._add_up()
        columns = [column.to_pylist() for column in self._parts[0].columns]
        return [list(row) for row in zip(*columns, strict=True)], self._cut


class _Columns:
    """Counts of the values of signal columns (`udfs.signals.signed_files.ColumnTally`)."""

    def __init__(self) -> None:
        self._buckets: dict[str, Counter[int]] = defaultdict(Counter)
        self._values: dict[str, Counter[str]] = defaultdict(Counter)
        self._nulls: Counter[str] = Counter()

    def add(self, columns: Mapping[str, Any]) -> None:
        for name, counts in columns.items():
            self._buckets[name].update(dict(counts["buckets"]))
            self._values[name].update(dict(counts["values"]))
            self._nulls[name] += counts["nulls"]
            if len(self._values[name]) > 2 * VALUES_OF_A_COLUMN:
                self._values[name] = Counter(_most_common(self._values[name]))

    def facts(self) -> dict[str, Any]:
        return {
            name: {
                "buckets": [list(pair) for pair in sorted(self._buckets[name].items())],
                "values": [list(pair) for pair in sorted(_most_common(self._values[name]).items())],
                "nulls": count,
            }
            for name, count in sorted(self._nulls.items())
        }


def _most_common(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent values; a column of labels has few, and others cannot be kept."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(ordered[:VALUES_OF_A_COLUMN])


class Totals:
    """Statistics of any number of units, added up one unit at a time.

    What it holds is bounded by the rules, languages and `DOMAINS_OF_MANY`, not by the units. Totals
    of groups of units may be added up again; equal groups in an equal order give equal totals.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._thresholds: dict[str, float] = {}
        self._languages: Counter[tuple[str, bool]] = Counter()
        self._domains = _Domains()
        self._histograms: dict[str, list[int]] = {}
        self._kept_histograms: dict[str, list[int]] = {}
        self._samples: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._score_buckets: Counter[int] = Counter()
        self._contaminated: Counter[str] = Counter()
        self._columns = _Columns()

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add the statistics of a unit (`Tally.facts`), or the totals of several."""
        for entry in facts.get("counts", ()):
            pair = self._counts[entry["fate"], entry["stage"], entry["rule"]]
            pair[0] += entry["documents"]
            pair[1] += entry["text_bytes"]
        self._thresholds.update(facts.get("thresholds", {}))
        for language, kept, count in facts.get("languages", ()):
            self._languages[language, kept] += count
        _add_bins(self._histograms, facts.get("histograms", {}))
        _add_bins(self._kept_histograms, facts.get("kept_histograms", {}))
        self._score_buckets.update(dict(facts.get("score_buckets", ())))
        self._contaminated.update(facts.get("contaminated_documents", {}))
        self._columns.add(facts.get("columns", {}))
        self._domains.add(facts.get("domains", ()), facts.get("domains_cut", 0))
        self._add_samples(facts.get("samples", ()))

    def _add_samples(self, samples: Iterable[dict[str, Any]]) -> None:
        for sample in samples:
            kept = self._samples.setdefault((sample["fate"], sample["rule"]), [])
            kept.append(sample)
            kept.sort(key=lambda one: str(one["doc_id"]))
            del kept[SAMPLES_PER_RULE:]

    def facts(self) -> dict[str, Any]:
        """Return the totals in the shape of a unit's statistics.

        A domain has at least the documents that are told here, and at most `domains_cut` more.
        """
        domains, domains_cut = self._domains.largest()
        return {
            "counts": [
                {"fate": f, "stage": s, "rule": r, "documents": documents, "text_bytes": size}
                for (f, s, r), (documents, size) in sorted(self._counts.items())
            ],
            "thresholds": dict(sorted(self._thresholds.items())),
            "languages": [[*key, count] for key, count in sorted(self._languages.items())],
            "domains": domains,
            "domains_cut": domains_cut,
            "histograms": dict(sorted(self._histograms.items())),
            "kept_histograms": dict(sorted(self._kept_histograms.items())),
            "samples": [one for _, kept in sorted(self._samples.items()) for one in kept],
            "score_buckets": [
                [bucket, count] for bucket, count in sorted(self._score_buckets.items())
            ],
            "contaminated_documents": dict(sorted(self._contaminated.items())),
            "columns": self._columns.facts(),
        }


def _add_bins(known: dict[str, list[int]], histograms: Mapping[str, list[int]]) -> None:
    for name, bins in histograms.items():
        before = known.get(name, [0] * len(bins))
        known[name] = [a + b for a, b in zip(before, bins, strict=True)]


def merge(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the statistics of several units (the result has the shape of `Tally.facts`)."""
    totals = Totals()
    for unit in facts:
        totals.add(unit)
    return totals.facts()
