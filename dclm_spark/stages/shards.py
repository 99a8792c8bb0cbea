"""The shard stage: a keyed global shuffle of the corpus into the files that a trainer reads."""

from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.errors import InputError
from dclm_spark.stages.document_shards import DocumentShards, tokens_by_cell
from dclm_spark.stages.packed_shards import PackedShards, shard_layout
from dclm_spark.stages.tokenize import FOLDER, TokenSettings, has_column
from udfs.documents.schema import OWN_COLUMNS
from udfs.shards.shard_formats import shard_suffixes
from udfs.shards.shard_output import ShardOutput
from udfs.tokens.copies import REPEATS
from udfs.tokens.mixing import SOURCE
from udfs.tokens.tokenizer import load_encoder

STAGE = "shards"


def write_shards(
    spark: SparkSession, tokenized: StageOutput, settings: TokenSettings, directory: str
) -> StageOutput:
    """Write the token shards, in the format of the settings, and their provenance.

    Raises InputError when no document was kept.
    """
    counts = tokens_by_cell(spark, tokenized)
    if not any(counts):
        raise InputError(
            "no document is left to write token shards from: see the report for the rules that "
            "dropped them, and the thresholds of the recipe"
        )
    key = unit_key(STAGE, tokenized.fingerprint, settings, code=code_version(__name__))
    files = tokenized.files(f"{FOLDER}/")
    output = ShardOutput(
        directory=directory,
        key=key,
        format=settings.format,
        id_type=load_encoder(settings.tokenizer).id_type,
        own_columns=has_column(files, OWN_COLUMNS),
        repeats=has_column(files, REPEATS),
        sources=has_column(files, SOURCE),
    )
    work = _work(counts, settings, output)

    def execute(pending: list[Unit]) -> DataFrame:
        return work.execute(spark, tokenized, pending)

    return run_units(
        spark,
        stage=STAGE,
        directory=directory,
        units=[Unit(name=name, key=key) for name in work.units],
        execute=execute,
        rules=UnitRules(check=work.wrong, suffixes=shard_suffixes()),
    )


def _work(
    counts: list[int], settings: TokenSettings, output: ShardOutput
) -> PackedShards | DocumentShards:
    if not settings.format.whole_documents:
        layout = shard_layout(counts, settings)
        return PackedShards(settings=settings, layout=layout, output=output)
    # `with_special_ids` has filled it in.
    assert settings.end_of_text_id is not None
    return DocumentShards(
        tokens_by_cell=tuple(counts), end_of_text_id=settings.end_of_text_id, output=output
    )
