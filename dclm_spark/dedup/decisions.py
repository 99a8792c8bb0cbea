"""Fates of the documents of a shard: verdicts first, then what the method removes of texts."""

import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.dedup.method import Removal, Remover
from udfs.dedup.ngrams import DedupResult
from udfs.documents.schema import FATE_FIELDS
from udfs.units.fates import with_fate

STAGE = "deduplicate"

DEDUP_FIELDS = (
    pa.field("partner", pa.binary()),
    pa.field("num_ngrams", pa.int64()),
    pa.field("contained_ngrams", pa.int64()),
    pa.field("contained_ngram_fraction", pa.float64()),
    pa.field("removed_windows", pa.int64()),
    pa.field("removed_size_bytes", pa.int64()),
    # Byte positions of the duplicate windows in the text as it came into the stage.
    pa.field(
        "removed_spans",
        pa.list_(pa.struct([pa.field("start", pa.int64()), pa.field("end", pa.int64())])),
    ),
    # What would have dropped the document, in annotate mode, and the rule's similarity or share.
    pa.field("duplicate_rule", pa.string()),
    pa.field("duplicate_value", pa.float64()),
)
# Who stays for a document, itself or another, and for how many documents (itself among them) it
# stays; null where nothing is known: a document of its own, or a method without whole-document
# verdicts.
CLUSTER_FIELDS = (pa.field("cluster_id", pa.binary()), pa.field("cluster_size", pa.int64()))
# Columns of a verdict beside its document.
_NOTED = pa.schema(
    [
        pa.field("verdict_rule", pa.string()),
        pa.field("verdict_value", pa.float64()),
        pa.field("verdict_threshold", pa.float64()),
        DEDUP_FIELDS[0],
        *CLUSTER_FIELDS,
    ]
)


def deduplicated_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of deduplicated documents: theirs, the evidence, and the new fate."""
    return pa.schema([*open_schema(documents), *DEDUP_FIELDS, *CLUSTER_FIELDS, *FATE_FIELDS])


def open_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of documents without the columns of their fate."""
    fate_names = {field.name for field in FATE_FIELDS}
    return pa.schema([field for field in documents if field.name not in fate_names])


def seen_share(parts: DedupResult) -> pa.Array:
    """Return contained / total of each document, null where total is 0."""
    contained, total = pa.array(parts.contained), pa.array(parts.total)
    return pc.if_else(
        pc.greater(total, 0),
        pc.divide(contained.cast(pa.float64()), pc.max_element_wise(total, 1).cast(pa.float64())),
        None,
    )


def removal_by_share(parts: DedupResult, threshold: float) -> Removal:
    """Judge documents by the share of their n-grams that was seen; texts without a word go too."""
    share = seen_share(parts)
    above = pc.fill_null(pc.greater(share, threshold), False)
    rule = pc.if_else(above, "contained_ngrams", "empty_text")
    rule = pc.if_else(pa.array(parts.dropped), rule, pa.scalar(None, pa.string()))
    return Removal(parts=parts, share=share, rule=rule, value=share, threshold=threshold)


def judge(batch: pa.RecordBatch, remover: Remover | None, annotate: bool) -> pa.RecordBatch:
    """Return the batch with dedup evidence, new text and fate.

    A document with a verdict is not shown to `remover`. To annotate is to keep every document and
    text, and to note what would have dropped it.
    """
    for field in _NOTED:
        if field.name not in batch.schema.names:
            batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    for field in FATE_FIELDS:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    batch = batch.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    judged_before = pc.is_valid(batch.column("verdict_rule"))
    rest = batch.filter(pc.invert(judged_before))
    judged = [
        _by_verdict(batch.filter(judged_before), annotate),
        _by_verdict(rest, annotate)
        if remover is None or rest.num_rows == 0
        else _by_removal(rest, remover(rest), annotate),
    ]
    names = judged[0].schema.names
    table = pa.Table.from_batches([part.select(names) for part in judged])
    # The order within a file must not depend on how rows were cut into batches.
    return table.sort_by("row").combine_chunks().to_batches()[0] if table.num_rows else judged[0]


def _by_verdict(batch: pa.RecordBatch, annotate: bool) -> pa.RecordBatch:
    """Give fates by the verdicts; no verdict keeps a document."""
    for field in DEDUP_FIELDS[1:-2]:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    rule = batch.column("verdict_rule").cast(pa.string())
    value, threshold = batch.column("verdict_value"), batch.column("verdict_threshold")
    return _text_as_string(_with_rule(batch, rule, value, threshold, annotate))


def _by_removal(batch: pa.RecordBatch, removal: Removal, annotate: bool) -> pa.RecordBatch:
    """Give fates by the method's rule and put what survives in place of the text."""
    parts = removal.parts
    columns = {
        "num_ngrams": pa.array(parts.total),
        "contained_ngrams": pa.array(parts.contained),
        "contained_ngram_fraction": removal.share,
        "removed_windows": pa.array(parts.removed_windows).cast(pa.int64()),
        "removed_size_bytes": pa.array(parts.removed_size_bytes).cast(pa.int64()),
        "removed_spans": parts.removed_spans.cast(DEDUP_FIELDS[-3].type),
    }
    for name, column in columns.items():
        batch = batch.append_column(name, column)
    threshold = pa.array([removal.threshold] * batch.num_rows)
    batch = _with_rule(batch, removal.rule, removal.value, threshold, annotate)
    if annotate:
        return _text_as_string(batch)
    # A dropped document keeps its text until the tally has sampled it.
    text = pc.if_else(
        pc.is_valid(removal.rule),
        batch.column("text").cast(pa.large_string()),
        parts.text.cast(pa.large_string()),
    )
    return batch.set_column(batch.schema.get_field_index("text"), "text", text)


def _with_rule(
    batch: pa.RecordBatch, rule: pa.Array, value: pa.Array, threshold: pa.Array, annotate: bool
) -> pa.RecordBatch:
    """Drop what `rule` names; to annotate, note it and keep the document."""
    none = pa.nulls(batch.num_rows, pa.string())
    noted = pc.if_else(pc.is_valid(rule), value, None) if annotate else none
    batch = batch.append_column("duplicate_rule", rule if annotate else none)
    batch = batch.append_column("duplicate_value", noted.cast(pa.float64()))
    return with_fate(
        batch, stage=STAGE, rule=none if annotate else rule, value=value, threshold=threshold
    )


def _text_as_string(batch: pa.RecordBatch) -> pa.RecordBatch:
    position = batch.schema.get_field_index("text")
    return batch.set_column(position, "text", batch.column("text").cast(pa.large_string()))
