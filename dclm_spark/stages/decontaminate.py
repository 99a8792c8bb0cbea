"""The decontamination stage: documents that share word n-grams with the evaluation sets in use."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import InputError
from dclm_spark.evaluate.datasets import Row, load_task
from dclm_spark.evaluate.item_parts import items_of
from dclm_spark.evaluate.tasks import Task, select_tasks
from dclm_spark.stages.decontaminate_items import (
    ItemDecontamination,
    decontaminate_by_items,
    decontaminated_by_items_schema,
    weighted_index,
    write_item_index,
)
from udfs import storage
from udfs.checks import at_least, check, one_of
from udfs.dedup.contamination import (
    NGRAM_WORDS,
    ContaminationIndex,
    build_index,
    load_index,
)
from udfs.dedup.evaluation_hits import MatchSettings
from udfs.documents.schema import FATE_FIELDS
from udfs.storage.cache import fetch
from udfs.storage.parquet import read_table
from udfs.storage.stream import shown
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

STAGE = "decontaminate"
RULE = "evaluation_ngrams"
RULES = ("ngrams", "items")
MODES = ("remove", "annotate")

CONTAMINATION_FIELDS = (
    # N-grams of the document that an evaluation set has too, and the tasks of those.
    pa.field(RULE, pa.int64()),
    pa.field("evaluation_tasks", pa.list_(pa.string())),
)


@dataclass(frozen=True, kw_only=True)
class DecontaminationSettings:
    """The index of the evaluation data (see `write_index`) and what to do with a match.

    `tasks` are the names that went into the index, in their order. `min_ngrams` shared n-grams
    make a document contaminated; `mode` "annotate" keeps it.
    """

    index: str
    sha256: str | None = None
    tasks: tuple[str, ...] = field(default_factory=tuple)
    ngram_words: int = NGRAM_WORDS
    min_ngrams: int = 1
    mode: str = "remove"

    def __post_init__(self) -> None:
        check(self, mode=one_of(MODES), min_ngrams=at_least(1), ngram_words=at_least(1))


@dataclass(frozen=True, kw_only=True)
class EvaluationDataSettings:
    """Evaluation sets that the corpus must not quote; without `data`, nothing is looked for."""

    # Folder or URI with the tasks' files, as for `jobs/evaluate_model.py --data`.
    data: str | None = None
    # core, extended, mmlu, or labels: a,b.
    tasks: str = "core"
    # Words of an n-gram of rule "ngrams".
    ngram_words: int = 13
    # N-grams in common from which a document counts as contaminated.
    min_ngrams: int = 1
    # "remove", or "annotate": keep the document, record what it shares; by items also "mask": keep
    # the document without what it shares.
    mode: str = "remove"
    # "ngrams": `min_ngrams` of any text of a task (DCLM). "items": enough of a question with its
    # answer, by how rare it is (`match`); passages alone are reported.
    rule: str = "ngrams"
    match: MatchSettings = field(default_factory=MatchSettings)
    # Figures of jobs/measure_contamination.py, for the report.
    measured: str | None = None

    def __post_init__(self) -> None:
        check(self, rule=one_of(RULES), min_ngrams=at_least(1), ngram_words=at_least(1))
        check(self, mode=one_of((*MODES, "mask") if self.rule == "items" else MODES))


def measured_kinds(wanted: EvaluationDataSettings) -> list[dict[str, Any]]:
    """Return the figures that `measured` names, by kind of page; [] without any.

    Raises InputError for what is no output of jobs/measure_contamination.py.
    """
    if wanted.measured is None or wanted.data is None:
        return []
    where = f"decontamination.measured = {shown(wanted.measured)}"
    try:
        content = json.loads(storage.read_bytes(wanted.measured))
    except (storage.StorageError, OSError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
    kinds: Any = content.get("kinds") if isinstance(content, dict) else None
    needed = {"leaks", "pages", "by_items", "by_ngrams"}
    complete = isinstance(kinds, list) and all(
        isinstance(kind, dict) and needed <= set(kind) for kind in kinds
    )
    if not complete:
        raise InputError(
            f"{where}: expected the output of jobs/measure_contamination.py, with a list of kinds"
        )
    return list(kinds)


def task_texts(tasks: Sequence[Task], data: str) -> dict[str, list[str]]:
    """Return by label all texts of the tasks' rows: question, every choice, and right answers.

    Raises MissingDataError for a task without data: what is not there cannot be guarded against.
    """
    return {
        task.label: [text for row in load_task(task, data).rows for text in row_texts(row)]
        for task in tasks
    }


def row_texts(row: Row) -> Iterator[str]:
    """Yield the texts of a row: each string, and question and right answer joined."""
    question = str(row.get("context") or row.get("query") or "")
    for value in row.values():
        values = value if isinstance(value, list) else [value]
        yield from (one for one in values if isinstance(one, str))
    if "choices" in row:
        yield f"{question} {row['choices'][row['gold']]}"
    for name in ("answer", "continuation"):
        if isinstance(row.get(name), str):
            yield f"{question} {row[name]}"
    for context in row.get("context_options", ()):
        yield f"{context} {row.get('continuation', '')}"


def write_index(
    texts_by_task: Mapping[str, Sequence[str]], uri: str, ngram_words: int = NGRAM_WORDS
) -> DecontaminationSettings:
    """Write the n-grams of evaluation texts to `uri` (.npy); return settings that name it."""
    buffer = io.BytesIO()
    np.save(buffer, build_index(texts_by_task, ngram_words))
    storage.write_bytes(uri, buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return DecontaminationSettings(
        index=uri, sha256=digest, tasks=tuple(texts_by_task), ngram_words=ngram_words
    )


def decontaminate(
    spark: SparkSession,
    documents: StageOutput,
    schema: pa.Schema,
    wanted: EvaluationDataSettings,
    directory: str,
) -> StageOutput | None:
    """Index the evaluation sets that a recipe names and judge `documents`; None without any.

    The index lies beside the stage's output.
    """
    if wanted.data is None:
        return None
    if wanted.rule == "items":
        items = list(items_of(select_tasks(wanted.tasks), wanted.data))
        index = weighted_index(spark, documents, write_item_index(items, directory), directory)
        by_items = ItemDecontamination(
            index=index[0], sha256=index[1], mode=wanted.mode, match=wanted.match
        )
        return decontaminate_by_items(spark, documents, schema, by_items, directory)
    texts = task_texts(select_tasks(wanted.tasks), wanted.data)
    settings = write_index(texts, storage.join(directory, "index.npy"), wanted.ngram_words)
    settings = replace(settings, min_ngrams=wanted.min_ngrams, mode=wanted.mode)
    return decontaminate_by_index(spark, documents, schema, settings, directory)


def schema_after(documents: pa.Schema, wanted: EvaluationDataSettings) -> pa.Schema:
    """Return the schema of `documents` behind the stage: theirs where nothing is looked for."""
    if wanted.data is None:
        return documents
    by_items = wanted.rule == "items"
    return (decontaminated_by_items_schema if by_items else decontaminated_schema)(documents)


def decontaminated_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of the stage's rows by n-grams: the documents', the overlap, the fate."""
    fates = {field.name for field in FATE_FIELDS}
    rest = [field for field in documents if field.name not in fates]
    return pa.schema([*rest, *CONTAMINATION_FIELDS, *FATE_FIELDS])


def decontaminate_by_index(
    spark: SparkSession,
    documents: StageOutput,
    schema: pa.Schema,
    settings: DecontaminationSettings,
    directory: str,
) -> StageOutput:
    """Judge the kept documents of each file of `documents`; no shuffle.

    Each host fetches the index once and its workers map it. The units' facts have
    `contaminated_documents` by task; see `documents_by_task`.
    """
    stage = FileStage(
        name=STAGE,
        schema=decontaminated_schema(schema),
        process=partial(_judge_file, settings=settings),
        key=(settings,),
    )
    return stage.run(spark, sources_of(documents), directory)


def documents_by_task(output: StageOutput) -> dict[str, int]:
    """Return how many documents share enough n-grams with each task; one may count for many."""
    return dict(output.totals.get("contaminated_documents", {}))


def _judge_file(
    source: dict[str, Any], output: UnitOutput, settings: DecontaminationSettings
) -> None:
    added = {field.name for field in (*CONTAMINATION_FIELDS, *FATE_FIELDS)}
    columns = [name for name in output.schema.names if name not in added]
    index = load_index(fetch(settings.index, settings.sha256), settings.ngram_words)
    by_task: Counter[str] = Counter()
    for batch in read_table(source["uri"], columns):
        judged = judge(batch, index, settings)
        found = pc.greater_equal(judged.column(RULE), settings.min_ngrams)
        by_task.update(pc.list_flatten(judged.column("evaluation_tasks").filter(found)).to_pylist())
        output.write(judged)
    output.facts["contaminated_documents"] = dict(sorted(by_task.items()))


def judge(
    batch: pa.RecordBatch, index: ContaminationIndex, settings: DecontaminationSettings
) -> pa.RecordBatch:
    """Return documents with their overlap and a fate; the count of n-grams is the rule's value."""
    shared, names = named_overlap(batch.column("text"), index, settings.tasks)
    batch = batch.append_column(CONTAMINATION_FIELDS[0], shared)
    batch = batch.append_column(CONTAMINATION_FIELDS[1], names)
    for one in FATE_FIELDS:
        batch = batch.append_column(one, pa.nulls(batch.num_rows, one.type))
    dropped = pc.greater_equal(shared, settings.min_ngrams)
    if settings.mode == "annotate":
        dropped = pa.array([False] * batch.num_rows)
    return with_fate(
        batch,
        stage=STAGE,
        rule=pc.if_else(dropped, RULE, pa.scalar(None, pa.string())),
        value=shared,
        threshold=pa.array([float(settings.min_ngrams)] * batch.num_rows),
    )


def named_overlap(
    texts: pa.Array, index: ContaminationIndex, tasks: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """Return of each text how many n-grams it shares with the index, and the tasks of those."""
    overlap = index.overlap(texts)
    names = [_names(int(bits), tasks) for bits in overlap.tasks]
    return pa.array(overlap.shared_ngrams), pa.array(names, CONTAMINATION_FIELDS[1].type)


def _names(bits: int, tasks: Sequence[str]) -> list[str]:
    return [name for place, name in enumerate(tasks) if bits >> place & 1]
