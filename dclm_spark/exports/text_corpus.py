"""The kept documents of a run as a data set of texts: Parquet or JSON Lines, with a card."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from dclm_spark.engine.books import STAGE_MANIFEST
from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.run_record import finished_run, run_of_source
from dclm_spark.engine.stage_output import StageOutput, stage_output
from dclm_spark.errors import InputError, SettingError
from dclm_spark.exports.dataset_card import write_card
from dclm_spark.removal.tombstones import documents_met
from dclm_spark.stages.score import FILTER
from dclm_spark.stages.tokenize import selected_sources
from dclm_spark.yaml_text import read_yaml
from udfs import storage
from udfs.documents.schema import FATE_FIELDS, KEPT, OWN_COLUMNS
from udfs.storage.parquet import read_table, table_schema
from udfs.units.aligned_rows import AlignedRows
from udfs.units.json_lines_output import JsonLinesOutput
from udfs.units.output import Table, UnitOutput
from udfs.units.parquet_output import ParquetOutput
from udfs.units.removals import read_wanted

STAGE, FOLDER = "text", "data"
# What files can be, by the name on the command line.
OUTPUTS: dict[str, Table] = {"parquet": ParquetOutput, "jsonl": JsonLinesOutput}
_SCORE = pa.field("quality_score", pa.float64())
_DOC_ID = pa.field("doc_id", pa.binary())
# Columns of a document's origin that every row has; `source` is what a recipe of several sources
# calls it, and else the crawl.
_ORIGIN = ("doc_id", "url", "fetch_time", "crawl", "warc_path", "warc_offset")
_LANGUAGE = ("language", "language_score")


@dataclass(frozen=True, kw_only=True)
class CorpusOfRun:
    """What a finished run kept: the stages that gave fates, in order, and its recipe as YAML."""

    stages: tuple[StageOutput, ...]
    recipe: str

    @property
    def candidates(self) -> StageOutput:
        """The stage that has the texts that select chose from."""
        return self.stages[-2]

    @property
    def selected(self) -> StageOutput:
        """The decision."""
        return self.stages[-1]


def write_text(
    spark: SparkSession,
    run: str,
    output: str,
    *,
    kind: str = "parquet",
    signals: Sequence[str] = (),
) -> StageOutput:
    """Write the kept documents of the finished `run` below `output`, and the card of the data set.

    `kind` is a name in OUTPUTS; `signals` are further columns of the run's documents. Documents
    that were removed from the run (`dclm_spark.removal`) are left out. Units that are written
    already are not written again. Raises InputError for a run that is not finished,
    SettingError for a column that its documents lack.
    """
    run, output = storage.absolute(run), storage.absolute(output)
    corpus = read_corpus(run)
    schema = text_schema(corpus, signals)
    whole = run_of_source(run)
    # What was removed from a corpus of several sources is recorded beside its shards.
    removed = documents_met(storage.join(whole[0] if whole else run, "shards"))
    stage = FileStage(
        name=STAGE, schema=schema, process=_write_file, folder=FOLDER, table=OUTPUTS[kind],
        key=(kind, schema.names, [file["sha256"] for file in removed], *(whole or ())[1:]),
    )  # fmt: skip
    with only_driver(output):
        sources = _sources(corpus, removed, whole[1] if whole else None)
        written = stage.run(spark, sources, output)
        write_card(corpus.stages, written, run=run, recipe=corpus.recipe, output=output)
    return written


def _sources(
    corpus: CorpusOfRun, removed: Sequence[dict[str, Any]], name: str | None
) -> list[UnitSource]:
    """Return a source for each file of the corpus; `removed` are tables of documents to leave out.

    `name` is what a recipe of several sources calls this one.

    How many of a file these meet is told by reading alone: two removals may name one document.
    """
    kept = {file["unit"]: file["rows"] for file in corpus.selected.files("kept/")}
    beside = {"removed_uris": [file["uri"] for file in removed], "name": name}
    return [
        replace(
            source,
            documents=None if removed else kept.get(source.unit, 0),
            source=source.source | beside,
        )
        for source in selected_sources(corpus.candidates, corpus.selected)
    ]


def read_corpus(run: str) -> CorpusOfRun:
    """Return what the run in the folder `run` kept; InputError unless it is finished."""
    finished_run(run)
    recipe = storage.read_bytes(storage.join(run, "recipe.yaml")).decode()
    values = read_yaml(recipe, "recipe.yaml")
    cleaned = values["decontamination"]["data"] is not None
    first = [FILTER] if values["quality"].get("before_deduplication") else []
    last = [*(["decontaminate"] if cleaned else []), "select"]
    names = ["documents", *first, "deduplicate", *last]
    return CorpusOfRun(stages=tuple(map(partial(_committed, run), names)), recipe=recipe)


def _committed(run: str, stage: str) -> StageOutput:
    directory = storage.join(run, "stages", stage)
    if not storage.exists(storage.join(directory, STAGE_MANIFEST)):
        raise InputError(
            f"--run {run}: its stage {stage} is not finished; run jobs/build_baseline.py with the "
            "same arguments again"
        )
    return stage_output(stage, directory, read_manifests(directory, committed_names(directory)))


def text_schema(corpus: CorpusOfRun, signals: Sequence[str]) -> pa.Schema:
    """Return the columns of the data set; SettingError for a signal that the run does not have.

    Signals are columns of the documents, or of the decision on them.
    """
    files, decided = corpus.candidates.files("kept/"), corpus.selected.files("")
    if not files or not decided:
        raise InputError("the run kept no document: there is nothing to write")
    documents = table_schema(files[0]["uri"])
    known = pa.unify_schemas([documents, _decisions(decided[0]["uri"])])
    chosen = dict.fromkeys([*_LANGUAGE, *signals, OWN_COLUMNS.name])
    for name in signals:
        if name not in known.names:
            near = difflib.get_close_matches(name, known.names, n=1) or known.names
            raise SettingError(
                f"--signals {name}: the documents of the run have no such column; did you mean "
                f"{', '.join(near)}?"
            )
    fields = [pa.field("source", pa.string())]
    fields += [known.field(name) for name in (*_ORIGIN, *chosen) if name in known.names]
    fields = [pa.field(one.name, pa.string()) if one.name == "doc_id" else one for one in fields]
    names = [one.name for one in fields]
    score = [] if _SCORE.name in names else [_SCORE]
    return pa.schema([*fields, *score, known.field("text")])


def _decisions(uri: str) -> pa.Schema:
    """Return the columns of the select stage beside the documents': scores, signals, copies."""
    rest = {*_ORIGIN, *(field.name for field in FATE_FIELDS)}
    return pa.schema([field for field in table_schema(uri) if field.name not in rest])


def _write_file(source: dict[str, Any], output: UnitOutput) -> None:
    decisions = _decisions(source["decided_uris"][0])
    known = table_schema(source["uri"]).names
    columns = [name for name in (*output.schema.names, "crawl") if name in known]
    asked = [field for field in decisions if field.name in output.schema.names]
    decided = AlignedRows(source["decided_uris"], pa.schema([_DOC_ID, FATE_FIELDS[0], *asked]))
    removed = read_wanted([], source["removed_uris"]).ids
    for batch in read_table(source["uri"], list(dict.fromkeys(columns))):
        rows = decided.take(batch.column("doc_id"))
        for field in asked:
            if field.name not in known:
                batch = batch.append_column(field, rows.column(field.name))
        if "source" not in known:
            name = source.get("name")
            named = batch.column("crawl") if name is None else pa.array([name] * batch.num_rows)
            batch = batch.append_column("source", named)
        gone = pc.is_in(batch.column("doc_id").cast(removed.type), removed)
        kept = batch.filter(pc.and_not(pc.equal(rows.column("fate"), KEPT), gone))
        ids = pa.array([one.hex() for one in kept.column("doc_id").to_pylist()], pa.string())
        kept = kept.set_column(kept.schema.get_field_index("doc_id"), "doc_id", ids)
        if kept.num_rows:
            output.write(kept.select(output.schema.names))
