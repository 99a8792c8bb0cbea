"""What a recipe's family of rules says of texts: signals, and the fate of each document."""

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame

from dclm_spark.errors import SettingError
from dclm_spark.library.frames import TEXT, Given, with_columns
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe, curation_settings
from dclm_spark.recipes.several_languages import check_one_language
from udfs.documents.schema import FATE_FIELDS
from udfs.rules.family import Tools
from udfs.units.curate import CurationSettings, judge, language_identifier, url_lists

# A fate without the stage, which is always this one, and without errors, which there are none.
_FATE = tuple(field for field in FATE_FIELDS if field.name not in ("stage", "error"))
ALL, FATE = "all", "fate"


def judge_texts(
    df: DataFrame,
    *,
    recipe: str | Recipe = "dclm_baseline",
    text: str = "text",
    url: str | None = None,
    columns: str = ALL,
    cleaned_text: str | None = None,
) -> DataFrame:
    """Add what the documents stage of a recipe says of texts that were extracted.

    `recipe` is a name, a YAML file or a Recipe (`load_recipe` changes keys of one). Adds `fate`
    ("kept" or "dropped"), and `rule`, `value` and `threshold` of what dropped a text; with
    `columns="all"` the signals of the recipe's family before them, null where a text was dropped
    before. `cleaned_text` names a column for the texts as the recipe leaves them. Rules on
    addresses are asked where `url` names the column. A null text reads as an empty one.
    """
    if columns not in (ALL, FATE):
        raise SettingError(f"columns = {columns!r}: expected {ALL!r} or {FATE!r}")
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    check_one_language(chosen)
    settings = curation_settings(chosen)
    given = {"text": Given("text", text, TEXT)}
    if url is not None:
        given["url"] = Given("url", url, TEXT)
    own = [*settings.heuristics.family.signals, *settings.redaction.columns]
    adds = [*(own if columns == ALL else []), *_FATE]
    names = [field.name for field in adds]
    if cleaned_text is not None:
        names, adds = ["text", *names], [pa.field(cleaned_text, pa.string()), *adds]
    kernel = partial(_judged, settings=settings, names=tuple(names))
    return with_columns(df, given, pa.schema(adds), kernel)


def _judged(
    batch: pa.RecordBatch, settings: CurationSettings, names: Sequence[str]
) -> Sequence[pa.Array]:
    tools = Tools(url_lists(settings), language_identifier(settings))
    given = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in given
        else pa.nulls(batch.num_rows, field.type)
        for field in settings.extraction.schema
    ]
    documents = pa.RecordBatch.from_arrays(columns, schema=settings.extraction.schema)
    urls = documents.column("url") if "url" in given else None
    judged = judge(documents, urls, settings, tools)
    return [judged.column(name) for name in names]
