"""Texts that quote evaluation sets, and the texts of those sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from dclm_spark.errors import SettingError
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.library.frames import TEXT, Given, with_columns
from dclm_spark.stages.decontaminate import (
    CONTAMINATION_FIELDS,
    DecontaminationSettings,
    named_overlap,
    task_texts,
)
from udfs.dedup.contamination import (
    NGRAM_WORDS,
    ContaminationIndex,
    build_index,
    index_of,
    load_index,
)
from udfs.storage.cache import fetch

# The largest index that goes to the executors with the query itself.
MAX_INDEX_SIZE_BYTES = 64 * 1024 * 1024


def evaluation_texts(data: str, tasks: str = "core") -> dict[str, list[str]]:
    """Return by task all texts of evaluation sets: questions, choices, right answers.

    `data` is the folder or URI of `jobs/evaluate_model.py --data`, `tasks` core, extended, mmlu or
    labels. Raises MissingDataError for a task that the folder lacks.
    """
    return task_texts(select_tasks(tasks), data)


def evaluation_overlap(
    df: DataFrame,
    *,
    evaluation: Mapping[str, Sequence[str]] | DecontaminationSettings,
    text: str = "text",
    ngram_words: int = NGRAM_WORDS,
    ngrams: str = "evaluation_ngrams",
    tasks: str = "evaluation_tasks",
) -> DataFrame:
    """Add how many word n-grams a text shares with evaluation sets, and the names of those sets.

    `evaluation` are texts by the name of their set (`evaluation_texts`), or where they are many an
    index that `dclm_spark.stages.decontaminate.write_index` wrote, whose settings count. A document
    from 1 n-gram on is what the decontaminate stage drops. A null text shares nothing.
    """
    counted, named = CONTAMINATION_FIELDS
    adds = pa.schema([(ngrams, counted.type), (tasks, named.type)])
    index: _Index = (
        _StoredIndex(evaluation)
        if isinstance(evaluation, DecontaminationSettings)
        else _SentIndex(_table(evaluation, ngram_words), tuple(evaluation), ngram_words)
    )
    given = {"text": Given("text", text, TEXT)}
    return with_columns(df, given, adds, partial(_overlap, index=index))


def _table(evaluation: Mapping[str, Sequence[str]], ngram_words: int) -> npt.NDArray[np.uint64]:
    if ngram_words < 1:
        raise SettingError(f"ngram_words = {ngram_words}: expected at least 1")
    try:
        table = build_index(evaluation, ngram_words)
    except ValueError as error:
        raise SettingError(f"evaluation: {error}") from error
    if table.nbytes > MAX_INDEX_SIZE_BYTES:
        raise SettingError(
            f"evaluation: its index has {table.nbytes:,} bytes, and {MAX_INDEX_SIZE_BYTES:,} may "
            "go to the executors with the query; write it to a file with "
            "dclm_spark.stages.decontaminate.write_index and give what that returns"
        )
    return table


@dataclass(frozen=True)
class _SentIndex:
    """An index that travels with the query."""

    table: npt.NDArray[np.uint64]
    tasks: tuple[str, ...]
    ngram_words: int

    @cached_property
    def loaded(self) -> ContaminationIndex:
        return index_of(self.table, self.ngram_words)


@dataclass(frozen=True)
class _StoredIndex:
    """An index in a file, which each host fetches once."""

    settings: DecontaminationSettings

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.settings.tasks

    @property
    def loaded(self) -> ContaminationIndex:
        path = fetch(self.settings.index, self.settings.sha256)
        return load_index(path, self.settings.ngram_words)


_Index = _SentIndex | _StoredIndex


def _overlap(batch: pa.RecordBatch, index: _Index) -> Sequence[pa.Array]:
    return named_overlap(batch.column("text"), index.loaded, index.tasks)
