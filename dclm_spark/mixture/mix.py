"""The mix stage: the tokens of all sources as one corpus that shards are written from."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.engine.books import refuse
from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.mixture.shares import SourceShare
from dclm_spark.stages.tokenize import FOLDER, TOKENIZED, TokenSettings, has_column
from udfs.documents.schema import OWN_COLUMNS
from udfs.storage.parquet import read_table, table_schema
from udfs.tokens.copies import REPEATS
from udfs.tokens.mixing import SOURCE, Passes, copies_in, mixed
from udfs.units.output import UnitOutput

STAGE = "mix"
# The text that a token stands for, to cut a corpus into cells.
_TOKEN_SIZE_BYTES = 4


def mixed_schema(own_columns: bool) -> pa.Schema:
    """Return the schema of the tokens of a corpus of several sources."""
    return pa.schema([*TOKENIZED, *([OWN_COLUMNS] if own_columns else []), REPEATS, SOURCE])


def mix(
    spark: SparkSession,
    tokenized: Mapping[str, StageOutput],
    found: Sequence[SourceShare],
    settings: TokenSettings,
    directory: str,
) -> StageOutput:
    """Put the tokenized documents of all sources into one table, with their copies and places.

    Each document of each source has a row; one that does not enter has 0 copies and no tokens. A
    unit is a file of a source. Raises BalanceError unless a source has the documents and tokens
    that its share says.
    """
    tokens = sum(share.corpus.tokens for share in found)
    cells = max(1, math.ceil(tokens * _TOKEN_SIZE_BYTES / settings.cell_size_bytes))
    files = [file for one in tokenized.values() for file in one.files(f"{FOLDER}/")]
    stage = FileStage(
        name=STAGE,
        schema=mixed_schema(any(has_column([file], OWN_COLUMNS) for file in files)),
        process=partial(_mix_file, cells=cells),
        key=(cells,),
        folder=FOLDER,
    )
    sources = [source for share in found for source in _sources(tokenized[share.name], share)]
    output = stage.run(spark, sources, directory)
    _check(output, found)
    return output


def _sources(tokenized: StageOutput, share: SourceShare) -> list[UnitSource]:
    passes = asdict(share.passes)
    given = {"source": share.name, "passes": passes}
    return [
        replace(
            one,
            unit=f"{share.name}-{one.unit}",
            identity=(one.identity, share.name, passes),
            source=one.source | given,
        )
        for one in sources_of(tokenized, f"{FOLDER}/")
    ]


def _mix_file(source: dict[str, Any], output: UnitOutput, cells: int) -> None:
    passes = Passes(**source["passes"])
    known = table_schema(source["uri"]).names
    counts: Counter[str] = Counter(documents=0, copies=0, tokens=0)
    for batch in read_table(source["uri"], known):
        rows = mixed(batch, source["source"], passes, cells)
        copies = copies_in(rows)
        counts["documents"] += int((copies > 0).sum())
        counts["copies"] += int(copies.sum())
        counts["tokens"] += int(((rows.column("num_tokens").to_numpy() + 1) * copies).sum())
        for field in output.schema:
            if field.name not in rows.schema.names:
                rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        output.write(rows.select(output.schema.names))
    output.facts |= {"cells": cells, "source": source["source"], "mixed": dict(counts)}


def _check(output: StageOutput, found: Sequence[SourceShare]) -> None:
    """Compare what units say they wrote with the shares."""
    written = {share.name: Counter[str]() for share in found}
    units: dict[str, list[str]] = {share.name: [] for share in found}
    for unit, facts in output.facts():
        written[facts["source"]].update(facts["mixed"])
        units[facts["source"]].append(unit)
    wrong: dict[str, str] = {}
    for share in found:
        counts, expected = written[share.name], share.corpus._asdict()
        for name, count in expected.items():
            if counts[name] != count:
                reason = f"{counts[name]} {name} of {share.name} were written instead of {count}"
                wrong |= dict.fromkeys(units[share.name], reason)
    refuse(output, wrong)
