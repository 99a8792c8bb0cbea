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
from dclm_spark.evaluate.datasets import Row, load_task
from dclm_spark.evaluate.item_parts import item_of, items_of
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.measure.planted_leaks import (
    PARAPHRASED,
    PlantedPage,
    leaked_pages,
    near_misses,
    split_by_passage,
)
from dclm_spark.stages.decontaminate import row_texts
from udfs import storage
from udfs.dedup.contamination import ContaminationIndex, build_index, index_of
from udfs.dedup.evaluation_hits import MatchSettings, document_frequencies, rarity
from udfs.dedup.evaluation_index import EvaluationIndex, Item, build, index_of_arrays
from udfs.dedup.evaluation_matches import is_guarded, matches
from udfs.storage.parquet import read_table

_BATCH = 256
_NAMES = {True: "leak", False: "clean", None: "neither"}
# A page, and whether it is found by items and by n-grams.
Judged = tuple[PlantedPage, tuple[bool, bool]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of the `pages` of one kind, how many each rule finds, with 95 % intervals of the shares.

    `leaks` is None for pages that nearly hold an item: finding them is neither right nor wrong.
    """

    kind: str
    leaks: bool | None
    pages: int
    by_items: int
    by_items_low: float
    by_items_high: float
    by_ngrams: int
    by_ngrams_low: float
    by_ngrams_high: float


@dataclass(frozen=True, kw_only=True)
class ContaminationQuality:
    """What was measured: each kind, all leaks but paraphrased ones (`leaks`), all clean pages.

    The CPU seconds are those of a megabyte of the pool.
    """

    tasks: str
    items: int
    # Items by task that the rule by items cannot find: they have no words of their own.
    unguarded: dict[str, int]
    pool_pages: int
    leaks: Measured
    clean: Measured
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


@dataclass(frozen=True, kw_only=True)
class Planting:
    """What is planted: so many items, and of `other_tasks`, which are not indexed, so many too.

    `other_items` of these are planted; their pages are clean.
    """

    items: int
    other_tasks: str | None = None
    other_items: int = 0
    seed: int = 0


def measure(tasks: str, data: str, pool: Sequence[str], planting: Planting) -> ContaminationQuality:
    """Plant items of the tasks into pages of `pool`, and judge all pages by both rules."""
    rng = random.Random(planting.seed)
    rows = _rows(tasks, data)
    items = [item_of(*key, row) for key, row in rows.items()]
    indexed, held_out = split_by_passage(items, rng)
    held_out = rng.sample(held_out, min(planting.items, len(held_out)))
    held_out += _of_other_sets(tasks, data, planting, rng)
    unweighted = index_of_arrays(build(indexed))
    guarded = [
        item
        for number, item in enumerate(indexed)
        if is_guarded(number, unweighted, MatchSettings())
    ]
    planted = leaked_pages(_sampled(guarded, planting.items, rng), indexed, pool, rng)
    planted += near_misses(indexed, held_out, pool, rng, planting.items)
    planted += [PlantedPage(kind="page of the pool", text=text, leaks=False) for text in pool]
    texts = [page.text for page in planted]
    index = _weighted(unweighted, texts)
    grams = index_of(
        build_index({"all": [t for i in indexed for t in row_texts(rows[i.task, i.number])]})
    )
    seconds, found = _timed(lambda batch: _by_items(batch, index), texts, len(pool))
    seconds_before, found_before = _timed(lambda batch: _by_ngrams(batch, grams), texts, len(pool))
    judged = list(zip(planted, zip(found, found_before, strict=True), strict=True))
    size = sum(len(text.encode()) for text in pool) / 1e6
    return ContaminationQuality(
        tasks=tasks,
        items=len(indexed),
        unguarded=dict(
            sorted((Counter(i.task for i in indexed) - Counter(i.task for i in guarded)).items())
        ),
        pool_pages=len(pool),
        leaks=_measured(
            "all but numbers in words",
            [one for one in judged if one[0].leaks and one[0].kind != PARAPHRASED],
        ),
        clean=_measured("all", [one for one in judged if one[0].leaks is False]),
        kinds=tuple(_by_kind(judged)),
        items_seconds_per_mb=seconds / size,
        ngrams_seconds_per_mb=seconds_before / size,
    )


def _rows(tasks: str, data: str) -> dict[tuple[str, int], Row]:
    return {
        (task.label, number): row
        for task in select_tasks(tasks)
        for number, row in enumerate(load_task(task, data).rows)
    }


def _of_other_sets(tasks: str, data: str, planting: Planting, rng: random.Random) -> list[Item]:
    if planting.other_tasks is None:
        return []
    indexed = {task.file for task in select_tasks(tasks)}
    others = [task for task in select_tasks(planting.other_tasks) if task.file not in indexed]
    items = [replace(item, passage="") for item in items_of(others, data) if item.question]
    return rng.sample(items, min(planting.other_items, len(items)))


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
    judge: Callable[[pa.Array], list[bool]], texts: Sequence[str], num_timed: int
) -> tuple[float, list[bool]]:
    """Return the CPU seconds that the last `num_timed` texts take, and what is found in all."""
    found = [one for batch in _batches(texts[:-num_timed]) for one in judge(batch)]
    started = time.process_time()
    found += [one for batch in _batches(texts[-num_timed:]) for one in judge(batch)]
    return time.process_time() - started, found


def _by_items(batch: pa.Array, index: EvaluationIndex) -> list[bool]:
    return [any(match.leaks for match in one) for one in matches(batch, index, MatchSettings())]


def _by_ngrams(batch: pa.Array, index: ContaminationIndex) -> list[bool]:
    found: list[bool] = (index.overlap(batch).shared_ngrams > 0).tolist()
    return found


def _by_kind(judged: Sequence[Judged]) -> Iterator[Measured]:
    """Yield what was found of each kind: leaks, then clean pages, then what is neither."""
    kinds: dict[tuple[int, str], list[Judged]] = defaultdict(list)
    for one in judged:
        kinds[(True, False, None).index(one[0].leaks), one[0].kind].append(one)
    for (_, kind), chosen in sorted(kinds.items(), key=lambda pair: pair[0]):
        yield _measured(kind, chosen)


def _measured(kind: str, judged: Sequence[Judged]) -> Measured:
    counts = [sum(found[rule] for _, found in judged) for rule in (0, 1)]
    intervals = [wilson_interval(count, len(judged)) for count in counts]
    return Measured(
        kind=kind,
        leaks=judged[0][0].leaks,
        pages=len(judged),
        by_items=counts[0],
        by_items_low=intervals[0][0],
        by_items_high=intervals[0][1],
        by_ngrams=counts[1],
        by_ngrams_low=intervals[1][0],
        by_ngrams_high=intervals[1][1],
    )


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
    for one in (quality.leaks, quality.clean, *quality.kinds):
        out.write(
            f"| {_NAMES[one.leaks]}: {one.kind} | {one.pages:,} | "
            f"{one.by_items / one.pages:.4f} | {one.by_items_low:.4f} to {one.by_items_high:.4f} | "
            f"{one.by_ngrams / one.pages:.4f} | "
            f"{one.by_ngrams_low:.4f} to {one.by_ngrams_high:.4f} |\n"
        )
    return out.getvalue()


def as_json(quality: ContaminationQuality) -> bytes:
    """Return what was measured as JSON."""
    plain: dict[str, Any] = asdict(quality)
    return json.dumps(plain, indent=1, sort_keys=True).encode()
