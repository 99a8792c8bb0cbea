"""Precision and recall of the decontamination rules on planted leaks and near-misses, by kind."""

import io
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dclm_spark.dedup.evidence.removed_pairs import wilson_interval
from dclm_spark.errors import InputError
from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.item_parts import item_of
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.measure.planted_leaks import (
    PlantedPage,
    leaked_pages,
    near_misses,
    split_by_passage,
)
from dclm_spark.stages.decontaminate import row_texts
from udfs import storage
from udfs.dedup.contamination import ContaminationIndex, build_index, index_of
from udfs.dedup.evaluation_hits import MatchSettings, document_frequencies, rarity
from udfs.dedup.evaluation_index import EvaluationIndex, Item, build, index_of_arrays, words
from udfs.dedup.evaluation_matches import is_guarded, matches
from udfs.storage.parquet import read_table

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of the `pages` of one kind, how many each rule finds, with 95 % intervals of the shares."""

    kind: str
    leaks: bool
    pages: int
    by_items: int
    by_items_low: float
    by_items_high: float
    by_ngrams: int
    by_ngrams_low: float
    by_ngrams_high: float


@dataclass(frozen=True, kw_only=True)
class ContaminationQuality:
    """What was measured: each kind, and the CPU seconds that each rule took for a megabyte."""

    tasks: str
    items: int
    # Items by task that the rule by items cannot find: they have no words of their own.
    unguarded: dict[str, int]
    pool_pages: int
    kinds: tuple[Measured, ...]
    items_seconds_per_mb: float
    ngrams_seconds_per_mb: float


def pool_texts(uri: str, most: int) -> list[str]:
    """Return up to `most` texts of the Parquet files below `uri`, a page's `text` each."""
    files = sorted(one for one in storage.list_files(uri) if one.endswith(".parquet"))
    texts: list[str] = []
    for file in files:
        for batch in read_table(file, ["text"]):
            texts += [text for text in batch.column("text").to_pylist() if text]
            if len(texts) >= most:
                return texts[:most]
    if not texts:
        raise InputError(
            f"--pages {uri}: no texts; expected a folder of Parquet files with a column text, such "
            "as RUN/stages/deduplicate/kept"
        )
    return texts


def measure(
    tasks: str, data: str, pool: Sequence[str], num_items: int, seed: int = 0
) -> ContaminationQuality:
    """Plant `num_items` items of the tasks into pages of `pool`, and judge all by both rules."""
    rng = random.Random(seed)
    rows = {
        (task.label, number): row
        for task in select_tasks(tasks)
        for number, row in enumerate(load_task(task, data).rows)
    }
    items = [item_of(*key, row) for key, row in rows.items()]
    indexed, held_out = split_by_passage(items, rng)
    held_out = rng.sample(held_out, min(num_items, len(held_out)))
    unweighted = index_of_arrays(build(indexed))
    guarded = [
        item
        for number, item in enumerate(indexed)
        if is_guarded(number, unweighted, MatchSettings())
    ]
    planted = leaked_pages(_sampled(guarded, num_items, rng), pool, rng)
    planted += near_misses(indexed, held_out, pool, rng)
    planted += [PlantedPage(kind="page of the pool", text=text, leaks=False) for text in pool]
    texts = [page.text for page in planted]
    index = _weighted(unweighted, texts)
    grams = index_of(
        build_index({"all": [t for i in indexed for t in row_texts(rows[i.task, i.number])]})
    )
    found, seconds = _timed(lambda batch: _by_items(batch, index), texts)
    found_before, seconds_before = _timed(lambda batch: _by_ngrams(batch, grams), texts)
    size = sum(len(text.encode()) for text in texts) / 1e6
    return ContaminationQuality(
        tasks=tasks,
        items=len(indexed),
        unguarded=dict(
            sorted((Counter(i.task for i in indexed) - Counter(i.task for i in guarded)).items())
        ),
        pool_pages=len(pool),
        kinds=tuple(_by_kind(planted, found, found_before)),
        items_seconds_per_mb=seconds / size,
        ngrams_seconds_per_mb=seconds_before / size,
    )


def _sampled(items: Sequence[Item], count: int, rng: random.Random) -> list[Item]:
    """Return `count` items, as many of each task as there are."""
    by_task: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_task[item.task].append(item)
    for group in by_task.values():
        rng.shuffle(group)
    chosen: list[Item] = []
    while len(chosen) < count and any(by_task.values()):
        chosen += [group.pop() for group in by_task.values() if group]
    return chosen[:count]


def _weighted(index: EvaluationIndex, texts: Sequence[str]) -> EvaluationIndex:
    counts: Counter[int] = Counter()
    for batch in _batches(texts):
        counts.update(document_frequencies(batch, index))
    documents = np.zeros(len(index.grams), np.int64)
    documents[list(counts)] = list(counts.values())
    return replace(index, weights=rarity(documents, len(texts)))


def _batches(texts: Sequence[str]) -> Iterator[pa.Array]:
    for start in range(0, len(texts), _BATCH):
        yield pa.array(texts[start : start + _BATCH], pa.large_string())


def _timed(
    judge: Callable[[pa.Array], list[bool]], texts: Sequence[str]
) -> tuple[list[bool], float]:
    judge(pa.array(texts[:1], pa.large_string()))
    started = time.process_time()
    found = [one for batch in _batches(texts) for one in judge(batch)]
    return found, time.process_time() - started


def _by_items(batch: pa.Array, index: EvaluationIndex) -> list[bool]:
    return [any(match.leaks for match in one) for one in matches(batch, index, MatchSettings())]


def _by_ngrams(batch: pa.Array, index: ContaminationIndex) -> list[bool]:
    found: list[bool] = (index.overlap(batch).shared_ngrams > 0).tolist()
    return found


def _by_kind(
    planted: Sequence[PlantedPage], found: Sequence[bool], before: Sequence[bool]
) -> Iterator[Measured]:
    """Yield what was found of each kind; leaks of short items apart, the rest in one line."""
    places: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for place, page in enumerate(planted):
        short = page.item is not None and _is_short(page.item)
        places[not page.leaks, f"{page.kind}, short item" if short else page.kind].append(place)
    for (clean, kind), chosen in sorted(places.items()):
        counts = [sum(one[place] for place in chosen) for one in (found, before)]
        intervals = [wilson_interval(count, len(chosen)) for count in counts]
        yield Measured(
            kind=kind,
            leaks=not clean,
            pages=len(chosen),
            by_items=counts[0],
            by_items_low=intervals[0][0],
            by_items_high=intervals[0][1],
            by_ngrams=counts[1],
            by_ngrams_low=intervals[1][0],
            by_ngrams_high=intervals[1][1],
        )


def _is_short(item: Item) -> bool:
    _, offsets, _, _ = words(pa.array([f"{item.question} {item.answer}"], pa.large_string()))
    return int(offsets[1]) < MatchSettings().min_words


def as_text(quality: ContaminationQuality) -> str:
    """Return what was measured as a table for a terminal or a page in Markdown."""
    out = io.StringIO()
    out.write(
        f"{quality.items:,} items of {quality.tasks}, of which {sum(quality.unguarded.values()):,} "
        f"have no words of their own and are not looked for: {quality.unguarded}; "
        f"{quality.pool_pages:,} pages in the pool; "
        f"CPU s/MB: items {quality.items_seconds_per_mb:.4f}, "
        f"ngrams {quality.ngrams_seconds_per_mb:.4f}\n\n"
        "| planted | pages | found by items | 95 % | found by ngrams | 95 % |\n"
        "|---|---|---|---|---|---|\n"
    )
    for one in quality.kinds:
        out.write(
            f"| {'leak: ' if one.leaks else 'clean: '}{one.kind} | {one.pages:,} | "
            f"{one.by_items / one.pages:.4f} | {one.by_items_low:.4f} to {one.by_items_high:.4f} | "
            f"{one.by_ngrams / one.pages:.4f} | "
            f"{one.by_ngrams_low:.4f} to {one.by_ngrams_high:.4f} |\n"
        )
    return out.getvalue()


def as_json(quality: ContaminationQuality) -> bytes:
    """Return what was measured as JSON."""
    plain: dict[str, Any] = asdict(quality)
    return json.dumps(plain, indent=1, sort_keys=True).encode()
