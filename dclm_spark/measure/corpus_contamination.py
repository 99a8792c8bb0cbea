"""Which rows of a token corpus hold which evaluation items, and what scores are without these."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.item_parts import items_of
from dclm_spark.evaluate.suite import suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.shard_format import Removals, Shard, ShardManifest, blanked, read_manifest
from dclm_spark.stages.decontaminate_items import (
    FREQUENCIES,
    HIT,
    frequencies,
    hit_of,
    weighted_by,
    write_arrays,
    write_item_index,
)
from udfs import storage
from udfs.dedup.evaluation_hits import MatchSettings
from udfs.dedup.evaluation_index import Item, load
from udfs.dedup.evaluation_matches import matches
from udfs.storage.cache import fetch
from udfs.storage.parquet import read_table
from udfs.tokens.tokenizer import TokenizerSettings, load_encoder, tokenizer_fingerprint

LOGGER = logging.getLogger("dclm_spark")
_ROWS = pa.schema([("shard", pa.string()), ("row", pa.int64()), ("text", pa.large_string())])
_HITS = pa.schema([_ROWS.field("shard"), _ROWS.field("row"), *HIT])
# Share of an item's words in one row from which DCLM calls it dirty.
DIRTY = 0.8


@dataclass(frozen=True, kw_only=True)
class CorpusQuestion:
    """What is asked: the manifest of token shards, their tokenizer, and evaluation sets.

    `evaluation` is an output of jobs/evaluate_model.py on the same sets, for scores without the
    items that leak. Hits and figures go to the folder `output`.
    """

    shards: str
    tokenizer: str
    data: str
    output: str
    tasks: str = "core"
    evaluation: str | None = None
    match: MatchSettings = field(default_factory=MatchSettings)


@dataclass(frozen=True, kw_only=True)
class OpenedQuestion:
    """A question of which shards, tokenizer, evaluation sets and results are there."""

    asked: CorpusQuestion
    manifest: ShardManifest
    tokenizer: TokenizerSettings
    items: tuple[Item, ...]


def opened(asked: CorpusQuestion) -> OpenedQuestion:
    """Return a question with all that it names opened, for which no Spark is needed.

    Raises SettingError for another tokenizer than that of the shards, InputError for what is not
    there.
    """
    manifest = read_manifest(asked.shards)
    tokenizer = _tokenizer(asked, manifest)
    if asked.evaluation is not None:
        _result_files(asked.evaluation)
    items = tuple(items_of(select_tasks(asked.tasks), asked.data))
    LOGGER.info(
        "%s items of %s are looked for in %s shards", f"{len(items):,}", asked.tasks,
        f"{len(manifest.shards):,}",
    )  # fmt: skip
    return OpenedQuestion(asked=asked, manifest=manifest, tokenizer=tokenizer, items=items)


def contamination_of(spark: SparkSession, question: OpenedQuestion) -> dict[str, Any]:
    """Find the items that rows of the corpus hold, write `contamination.json` and return it.

    The table `hits` in the output has shard, row, and what docs/decontamination.md says of a hit,
    its span in bytes of the row's text. An item across the end of a row is found where enough of it
    stands on one side.
    """
    asked, manifest, items = question.asked, question.manifest, question.items
    index = write_item_index(items, asked.output)
    key = f"{manifest.fingerprint}/{index[1]}/{asked.match}/{code_version(__name__)}"
    working = Checkpoints(spark=spark, directory=asked.output, key=key)
    texts = partial(_texts, spark, manifest, question.tokenizer)
    counted = texts(partial(_frequencies_of, index=index), FREQUENCIES)
    weighted = write_arrays(
        storage.join(asked.output, "items-weighted.npz"), weighted_by(counted, index, working)
    )
    hits, _ = working.table(
        "hits",
        lambda: texts(partial(_hits_of, index=weighted, match=asked.match), _HITS),
        TableLayout(by=("shard", "row", "task", "item", "part")),
    )
    num_items = Counter(item.task for item in items)
    found = _found(hits, num_items, asked.evaluation)
    content = json.dumps(found, indent=1).encode()
    figures = storage.join(asked.output, "contamination.json")
    storage.write_bytes(figures, content)
    LOGGER.info("hits: %s, figures: %s", storage.join(asked.output, "hits"), figures)
    return found


def _tokenizer(asked: CorpusQuestion, manifest: ShardManifest) -> TokenizerSettings:
    settings = TokenizerSettings(uri=storage.absolute(asked.tokenizer))
    found = tokenizer_fingerprint(settings)
    if found != manifest.tokenizer_sha256:
        raise SettingError(
            f"--tokenizer {asked.tokenizer}: its SHA-256 is {found[:16]}, and {asked.shards} was "
            f"made with {manifest.tokenizer_sha256[:16]}; give that tokenizer.json"
        )
    return settings


def _texts(
    spark: SparkSession,
    manifest: ShardManifest,
    tokenizer: TokenizerSettings,
    judge: Callable[[pa.RecordBatch], pa.RecordBatch],
    schema: pa.Schema,
) -> DataFrame:
    """Return what `judge` makes of the rows of all shards as texts, one task a shard."""
    shards = {shard.path: shard for shard in manifest.shards}
    frame = work_frame(
        spark, [{"path": path} for path in shards], pa.schema([("path", pa.string())])
    )

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path in batch.column("path").to_pylist():
                yield from map(judge, row_texts(manifest, shards[path], tokenizer))

    return frame.mapInArrow(read, spark_schema(schema))


def row_texts(
    manifest: ShardManifest, shard: Shard, tokenizer: TokenizerSettings
) -> Iterator[pa.RecordBatch]:
    """Yield (shard, row, text) of a shard's rows: a line for each document that is not removed."""
    decode = load_encoder(tokenizer).reference.tokenizer.decode_batch
    removals, first = Removals(manifest), 0
    for batch in read_table(manifest.uri(shard), ["tokens"]):
        data = b"".join(batch.column("tokens").to_pylist())
        ids = np.frombuffer(data, manifest.id_type).reshape(-1, manifest.tokens_per_row).copy()
        removed = removals.mask(shard, first, len(ids))
        if removed is not None:
            blanked(ids, removed, manifest)
        pieces = [_documents(row, manifest) for row in ids]
        decoded = iter(decode([piece.tolist() for row in pieces for piece in row]))
        texts = ["\n".join(next(decoded) for _ in row) for row in pieces]
        rows = np.arange(first, first + len(ids))
        yield pa.RecordBatch.from_pydict(
            {"shard": [shard.path] * len(ids), "row": rows, "text": texts}, schema=_ROWS
        )
        first += len(ids)


def _documents(row: npt.NDArray[Any], manifest: ShardManifest) -> list[npt.NDArray[Any]]:
    """Return the ids of a row cut at the ends of documents, without padding."""
    is_text = (row != manifest.end_of_text_id) & (row != manifest.padding_id)
    places = np.flatnonzero(~is_text)
    pieces = zip(np.split(row, places), np.split(is_text, places), strict=True)
    return [text for ids, is_piece in pieces if len(text := ids[is_piece])]


def _frequencies_of(rows: pa.RecordBatch, index: tuple[str, str]) -> pa.RecordBatch:
    return frequencies(rows.column("text"), index)


def _hits_of(rows: pa.RecordBatch, index: tuple[str, str], match: MatchSettings) -> pa.RecordBatch:
    loaded = load(fetch(*index))
    found = matches(rows.column("text"), loaded, match)
    hits = [
        {"shard": shard, "row": row, **hit_of(one, loaded)}
        for shard, row, one_row in zip(
            rows.column("shard").to_pylist(), rows.column("row").to_pylist(), found, strict=True
        )
        for one in one_row
    ]
    return pa.RecordBatch.from_pylist(hits, schema=_HITS)


def _found(hits: DataFrame, num_items: Mapping[str, int], evaluation: str | None) -> dict[str, Any]:
    """Return by task how many items leak, in how many rows, and the scores without these."""
    leaks = hits.where("leaks")
    leaked: dict[str, dict[int, float]] = defaultdict(dict)
    # At most one row for each item of the evaluation sets.
    for one in leaks.groupBy("task", "item").agg(F.max("coverage").alias("coverage")).collect():
        leaked[one["task"]][int(one["item"])] = float(one["coverage"])
    counted = leaks.groupBy("task").agg(F.countDistinct("shard", "row").alias("rows"))
    rows = {one["task"]: int(one["rows"]) for one in counted.collect()}
    tasks = {
        task: {
            "items": count,
            "leaked": len(leaked[task]),
            "dirty": sum(coverage > DIRTY for coverage in leaked[task].values()),
            "rows": rows.get(task, 0),
        }
        for task, count in num_items.items()
    }
    found: dict[str, Any] = {"tasks": tasks}
    if evaluation is not None:
        found |= scores_without({task: set(items) for task, items in leaked.items()}, evaluation)
    return found


def _result_files(evaluation: str) -> list[str]:
    """Return the results by task of an evaluation; InputError where there are none."""
    files = storage.list_files(storage.join(evaluation, "tasks"))
    found = sorted(one for one in files if one.endswith(".json"))
    if not found:
        raise InputError(
            f"--evaluation {evaluation}: no tasks/*.json; expected the output of "
            "jobs/evaluate_model.py"
        )
    return found


def scores_without(leaked: Mapping[str, set[int]], evaluation: str) -> dict[str, Any]:
    """Return accuracies and aggregates of an evaluation, with and without the leaked items.

    `evaluation` is an output of jobs/evaluate_model.py. Items are numbers of rows by task.
    """
    results = [json.loads(storage.read_bytes(file)) for file in _result_files(evaluation)]
    run = {result["task"]["label"]: result["records"] for result in results}
    chance = {result["task"]["label"]: result["baseline_data"] for result in results}
    clean = {
        label: [one for one in records if one["file_row"] not in leaked.get(label, set())]
        for label, records in run.items()
    }
    clean = {label: records for label, records in clean.items() if records}
    whole, without = _scores(run, chance), _scores(clean, chance)
    return {
        "scores": {
            name: {"all": value, "without_leaked": without.get(name)}
            for name, value in whole.items()
        }
    }


def _scores(run: Mapping[str, Sequence[Any]], chance: Mapping[str, float]) -> dict[str, Any]:
    metrics = {f"accuracy/{label}": task_metrics(label, [run])["accuracy"] for label in run}
    metrics |= suite_metrics([run], chance)
    return {name: metric.estimate().to_dict() for name, metric in metrics.items()}


def as_table(found: Mapping[str, Any]) -> str:
    """Return what was found as tables in Markdown."""
    lines = ["| task | items | leaked | dirty | rows |", "|---|---|---|---|---|"]
    for task, one in found["tasks"].items():
        lines.append(
            f"| {task} | {one['items']:,} | {one['leaked']:,} | {one['dirty']:,} | "
            f"{one['rows']:,} |"
        )
    if "scores" in found:
        lines += ["", "| score | all items | without leaked ones |", "|---|---|---|"]
        for name, one in found["scores"].items():
            lines.append(f"| {name} | {_shown(one['all'])} | {_shown(one['without_leaked'])} |")
    return "\n".join(lines)


def _shown(estimate: Mapping[str, Any] | None) -> str:
    return "" if estimate is None else f"{estimate['value']:.4f} (n = {estimate['n']:,})"
