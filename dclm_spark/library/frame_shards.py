"""Token shards of the texts of a frame: the job's own stages from select on."""

import json
from dataclasses import replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from dclm_spark.beginning import stages_below
from dclm_spark.engine.lease import LEASE, only_driver
from dclm_spark.engine.tables import Extent
from dclm_spark.errors import SettingError
from dclm_spark.library.committed_frame import commit_documents
from dclm_spark.library.frames import TEXT, Given, check_columns, quoted
from dclm_spark.library.near_copies import check_id
from dclm_spark.pipeline import write_corpus
from dclm_spark.recipes import load_recipe
from dclm_spark.signals.decision import Decision
from dclm_spark.signals.scored_documents import Candidates
from dclm_spark.stages.select import select
from dclm_spark.stages.tokenize import TokenSettings
from udfs import storage
from udfs.documents.schema import STAGE

_CONTENT = "content.json"
_DOC_ID_SIZE_BYTES = 16


def write_shards(
    df: DataFrame,
    output: str,
    *,
    id: str = "id",
    text: str = "text",
    url: str | None = None,
    tokens: TokenSettings | None = None,
) -> dict[str, Any]:
    """Write the texts of a frame as token shards below `output`; return their manifest.

    The shards are those of `jobs/build_baseline.py`: the same documents by id give the same bytes
    whatever their order and partitions. Ids of 16 bytes are the `doc_id` of the provenance; of
    others the provenance has a hash, and the id as `own_columns`. Rows without a text are left
    out; ids must be unique and not null. The frame is computed twice, so cache a costly one. A
    call with the same rows goes on where a killed one ended. Raises SettingError where `output`
    holds the shards of other rows.
    """
    given = {"id": Given("id", id, ()), "text": Given("text", text, TEXT)}
    given |= {} if url is None else {"url": Given("url", url, TEXT)}
    check_columns(df, given)
    check_id(df, id)
    address = F.lit(None).cast("string") if url is None else F.col(quoted(url))
    rows = df.where(F.col(quoted(text)).isNotNull()).select(
        F.col(quoted(id)).alias("id"), address.alias("url"), F.col(quoted(text)).alias("text")
    )
    extent, are_doc_ids = _measured(rows, id)
    output, recipe = storage.absolute(output), replace(load_recipe("raw"), name="frame")
    recipe = replace(recipe, tokens=_with_place(tokens or recipe.tokens))
    with only_driver(output):
        _check_content(extent, output)
        place = stages_below(output)
        documents = commit_documents(
            _identified(rows, id, are_doc_ids), extent, place(STAGE), own_columns=not are_doc_ids
        )
        candidates = Candidates(documents=documents)
        selected = select(df.sparkSession, candidates, Decision(), place("select"))
        return write_corpus(df.sparkSession, recipe, documents, selected, place)[2]


def _with_place(tokens: TokenSettings) -> TokenSettings:
    # Workers may have another current folder.
    tokenizer = replace(tokens.tokenizer, uri=storage.absolute(tokens.tokenizer.uri))
    return replace(tokens, tokenizer=tokenizer)


def _measured(rows: DataFrame, id: str) -> tuple[Extent, bool]:
    """Return how much the rows hold, and whether all ids are doc_ids: one pass over them."""
    key = F.col("id")
    is_binary = isinstance(rows.schema["id"].dataType, BinaryType)
    is_doc_id = F.length(key) == _DOC_ID_SIZE_BYTES if is_binary else F.lit(False)
    total = F.sum(F.xxhash64("id", "url", "text").cast("decimal(38,0)")).cast("string")
    row = rows.agg(
        F.count("*").alias("rows"),
        F.count("id").alias("ids"),
        total.alias("hash"),
        F.sum(F.octet_length("text")).alias("size"),
        F.min(is_doc_id).alias("are_doc_ids"),
    ).collect()[0]
    if row["rows"] == 0:
        raise SettingError("df: the frame has no row with a text, so there is nothing to write")
    if row["ids"] < row["rows"]:
        raise SettingError(
            f"id = {id!r}: {row['rows'] - row['ids']} rows with a text have a null id; every "
            "document needs one of its own"
        )
    extent = Extent(
        key=f"{id}/{row['rows']}/{row['hash']}",
        num_rows=int(row["rows"]),
        text_size_bytes=int(row["size"]),
    )
    return extent, bool(row["are_doc_ids"])


def _identified(rows: DataFrame, id: str, are_doc_ids: bool) -> DataFrame:
    """Return (doc_id, url, text), with `own_columns` where the id is no doc_id."""
    own = F.to_json(F.struct(F.col("id").alias(id)))
    doc_id: Column = F.col("id") if are_doc_ids else F.unhex(F.md5(own))
    columns = [doc_id.alias("doc_id"), F.col("url"), F.col("text")]
    return rows.select(*columns, *([] if are_doc_ids else [own.alias("own_columns")]))


def _check_content(extent: Extent, output: str) -> None:
    """Note which rows `output` is made of; SettingError where it is made of others."""
    uri = storage.join(output, _CONTENT)
    if storage.exists(uri):
        if json.loads(storage.read_bytes(uri))["key"] != extent.key:
            raise SettingError(
                f"output = {output}: it holds the shards of other rows; give another folder, or "
                "remove this one"
            )
        return
    if any(not uri.endswith(LEASE) for uri in storage.list_files(output)):
        raise SettingError(f"output = {output}: it holds other files; give a folder of its own")
    storage.write_bytes(uri, json.dumps({"key": extent.key}).encode())
