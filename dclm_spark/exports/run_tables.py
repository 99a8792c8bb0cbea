"""The tables that a run leaves, as a page: docs/tables.md is what `python -m` of this prints."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from dclm_spark.dedup.decisions import deduplicated_schema
from dclm_spark.exports.table_columns import meaning
from dclm_spark.mixture.mix import mixed_schema
from dclm_spark.signals.decision import BUCKET
from dclm_spark.signals.scored_documents import QUALITY
from dclm_spark.stages.decontaminate import CONTAMINATION_FIELDS, decontaminated_schema
from dclm_spark.stages.decontaminate_items import ITEM_FIELDS
from dclm_spark.stages.score import SCORES, scored_schema
from dclm_spark.stages.select import SELECTED
from dclm_spark.stages.tokenize import tokenized_schema
from udfs.documents.prescreen import OTHER_LANGUAGE_SCORE
from udfs.documents.schema import FATE_FIELDS, OWN_COLUMNS, SOURCE_FIELDS
from udfs.html.extractors import EXTRACTORS, counts_of
from udfs.html.page_policy import COLUMNS as POLICY_FIELDS
from udfs.rules.cleaning.redaction import RedactionSettings
from udfs.rules.families import SIGNALS, STATISTICS
from udfs.shards.packed_rows import INPUT_IDS, TOKENS
from udfs.tokens.copies import REPEAT, REPEATS
from udfs.tokens.mixing import SOURCE
from udfs.tokens.packing import provenance_fields
from udfs.units.documents import TEXT_HASH
from udfs.units.language_texts import ROUTED

_INTRODUCTION = """# Tables

Every table that a run leaves is Parquet (zstd), cut into units: a file is named after its unit, and
exists once `manifests/<unit>.json` beside it does. Tables in folders `kept`, `dropped` and
`quarantined` have one schema; only `kept` rows have texts. This page is made of the schemas in
code, by `python -m dclm_spark.exports.run_tables > docs/tables.md`, and a test keeps it complete.

A recipe's own signals lie in `stages/signal-NAME/signals`: `doc_id` and the columns that
[recipes.md](recipes.md) names. Tables below `stages/deduplicate-working`, `deduplicate-tables` and
`decontaminate-working` belong to these stages, which may change them at any time. Shards of the
formats `megatron` and `olmo` are no tables: see [training.md](training.md).
What later jobs add to a run (`shards/removed`, `description`, `index`) is told in
[living_corpus.md](living_corpus.md).
"""


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """A table: its files below the run as a glob pattern, what a row is, and its columns."""

    path: str
    row: str
    schema: pa.Schema
    # Columns that are there only where the recipe asks for them.
    optional: frozenset[str] = frozenset()


def run_tables() -> list[RunTable]:
    """Return all tables, in the order of the stages."""
    redaction = RedactionSettings(emails=True, public_ips=True, phones=True).columns
    counts = [pa.field(name, pa.int32()) for name in counts_of(tuple(EXTRACTORS))]
    asked = (*POLICY_FIELDS, OTHER_LANGUAGE_SCORE, *counts, *redaction, OWN_COLUMNS, QUALITY)
    documents = pa.schema(
        [
            *SOURCE_FIELDS, *POLICY_FIELDS, OTHER_LANGUAGE_SCORE, *counts,
            pa.field("text", pa.string()), *SIGNALS, *redaction, TEXT_HASH, OWN_COLUMNS,
            *FATE_FIELDS,
        ]
    )  # fmt: skip
    by_rule = {one.name for one in CONTAMINATION_FIELDS} ^ {one.name for one in ITEM_FIELDS}
    optional = frozenset(by_rule | {field.name for field in asked})
    scored = scored_schema(documents)
    deduplicated = deduplicated_schema(scored)
    own = frozenset([OWN_COLUMNS.name, REPEAT.name, REPEATS.name, SOURCE.name])
    provenance = pa.schema([pa.field("row", pa.int32()), *provenance_fields(True, True, True)])

    def fates(stage: str, schema: pa.Schema, row: str) -> RunTable:
        return RunTable(path=f"stages/{stage}/*/*.parquet", row=row, schema=schema,
                        optional=optional)  # fmt: skip

    return [
        fates("documents", documents, "a record of an input file"),
        fates("quality", scored, "one it kept, with `quality.before_deduplication`"),
        fates("deduplicate", deduplicated, "a document that the stage before kept"),
        fates("decontaminate", _decontaminated(deduplicated), "the same"),
        RunTable(path="stages/score/scores/*.parquet", row="a document", schema=SCORES),
        RunTable(
            path="stages/select/*/*.parquet", row="a document", schema=_selected(),
            optional=frozenset([BUCKET, REPEATS.name]),
        ),
        RunTable(
            path="stages/tokenize/tokens/*.parquet", row="a document of the corpus",
            schema=tokenized_schema(True, True), optional=own,
        ),
        *_of_several_runs(),
        RunTable(path="shards/shard-*[0-9].parquet", row="a sequence", schema=TOKENS),
        RunTable(path="shards/data/shard-*.parquet", row="a sequence, in the format huggingface",
                 schema=INPUT_IDS),
        RunTable(path="shards/shard-*.provenance.parquet", row="a document in a row of a shard",
                 schema=provenance, optional=own),
    ]  # fmt: skip


def _of_several_runs() -> list[RunTable]:
    """Return the tables of runs in several languages and of several sources."""
    return [
        RunTable(
            path="stages/languages/*/*.parquet", row="a text of a run in several languages",
            schema=ROUTED,
        ),
        RunTable(
            path="stages/mix/tokens/*.parquet", row="a tokenized document of a source",
            schema=mixed_schema(True), optional=frozenset([OWN_COLUMNS.name]),
        ),
    ]  # fmt: skip


def _decontaminated(documents: pa.Schema) -> pa.Schema:
    """Return the columns of decontaminate by n-grams and by items."""
    schema = decontaminated_schema(documents)
    before = len(schema) - len(FATE_FIELDS)
    items = [one for one in ITEM_FIELDS if one.name not in schema.names]
    return pa.schema([*list(schema)[:before], *items, *FATE_FIELDS])


def _selected() -> pa.Schema:
    """Return the columns of select; those of a recipe's own signals are named by the recipe."""
    before = len(SELECTED) - len(FATE_FIELDS)
    asked = [pa.field(BUCKET, pa.string()), REPEATS]
    return pa.schema([*list(SELECTED)[:before], *asked, *FATE_FIELDS])


def scored_tables() -> list[RunTable]:
    """Return the tables of a scored table (`jobs/annotate.py`) that a run does not have."""
    columns = [pa.field("doc_id", pa.binary()), *SIGNALS, *STATISTICS]
    return [
        RunTable(path="signals-*/**/*.parquet", row="a document of the texts beside it",
                 schema=pa.schema(columns))
    ]  # fmt: skip


def page() -> str:
    """Return the page as Markdown."""
    scored = "\n## Of a scored table\n\n" + "\n".join(map(_section, scored_tables()))
    return _INTRODUCTION + "\n" + "\n".join(map(_section, run_tables())) + scored


def _section(table: RunTable) -> str:
    lines = [f"### `{table.path}`", "", f"A row is {table.row}.", "", *_columns(table), ""]
    return "\n".join(lines)


def _columns(table: RunTable) -> Iterator[str]:
    yield "| column | type | meaning |"
    yield "|---|---|---|"
    for field in table.schema:
        only = " (where the recipe asks for it)" if field.name in table.optional else ""
        kind = str(field.type).replace("|", "\\|")
        yield f"| `{field.name}` | {kind} | {meaning(field.name)}{only} |"


if __name__ == "__main__":
    print(page(), end="")
