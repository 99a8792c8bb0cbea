"""The records of a ranking: dataset, model and evaluation of each run, from which it is ranked."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dclm_spark.rank.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    evaluation_record,
    record_uuid,
    write_record,
)
from dclm_spark.rank.runs import RankedRun, model_configuration, run_facts
from dclm_spark.train.settings import to_mapping


def records_below(output: str) -> Path:
    """Return where a ranking's records lie."""
    return Path(output) / "records"


def write_records(
    runs: Sequence[RankedRun], output: str, command: Callable[[str], str]
) -> list[str]:
    """Write the records of finished runs below `output`/records; return the evaluations' uuids.

    `command` says how a row, recipe/seed, is done again.
    """
    folder = records_below(output)
    return [_write(run, folder, command(run.name)) for run in runs]


def _write(run: RankedRun, folder: Path, command: str) -> str:
    dataset = _dataset(run)
    model = ModelRecord(
        uuid=record_uuid("model", dataset.uuid, run.folder.name),
        name=run.name.replace("/", "-seed-"),
        dataset_uuid=dataset.uuid,
        dataset_name=dataset.name,
        hyperparameters=to_mapping(run.settings),
        checkpoint_url=str(run.folder / "model"),
        extra={
            "seed": run.seed,
            "commit": run_facts(run)["commit"],
            "command": command,
            "model_configuration": model_configuration(run),
        },
    )
    evaluation = _evaluation(run, model, folder)
    for record in (dataset, model, evaluation):
        write_record(record, folder)
    return evaluation.uuid


def _dataset(run: RankedRun) -> DatasetRecord:
    corpus = run.corpus
    return DatasetRecord(
        uuid=record_uuid("dataset", run.fingerprint, corpus.name),
        name=corpus.name,
        dataset_url=str(Path(corpus.manifest).parent),
        manifest_url=corpus.manifest,
        is_tokenized=True,
        tokenizer=corpus.tokenizer,
        num_tokens=corpus.num_tokens,
        commit=run_facts(run)["commit"],
        recipe_hash=corpus.recipe_hash,
        corpus_fingerprint=run.fingerprint,
        extra={"control": corpus.control} if corpus.control else {},
    )


def _evaluation(run: RankedRun, model: ModelRecord, folder: Path) -> EvaluationRecord:
    results = run.folder / "evaluation" / "results.json"
    # Relative, so that a ranking may be moved or copied as a whole.
    place = os.path.relpath(results, folder)
    return evaluation_record(json.loads(results.read_text()), model, "rank", place)
