"""fastText models over a column of texts: its language, the DCLM quality score, any labels."""

from collections.abc import Sequence
from functools import cache, partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from dclm_spark.errors import SettingError
from dclm_spark.library.frames import TEXT, Given, with_columns
from dclm_spark.recipes.recipe import LANGUAGE_MODEL
from dclm_spark.settings import FileReference
from udfs import storage
from udfs.fasttext.language import LanguageIdentifier
from udfs.fasttext.model import FastTextModel, labels_of, load
from udfs.fasttext.quality import QualityModel
from udfs.signals.measures import model_measure
from udfs.storage.cache import fetch


def identify_language(
    df: DataFrame,
    *,
    text: str = "text",
    language: str = "language",
    language_score: str = "language_score",
    model: str | FileReference = LANGUAGE_MODEL,
    quirks: str = "dclm-2024",
) -> DataFrame:
    """Add the language of the texts (an ISO code of the model) and its probability.

    Both are null for texts without a letter and for null. `quirks="none"` reads a newline as a
    space, where the reference deletes it.
    """
    file = _checked(model)
    adds = pa.schema([(language, pa.string()), (language_score, pa.float64())])
    given = {"text": Given("text", text, TEXT)}
    return with_columns(df, given, adds, partial(_languages, file=file, quirks=quirks))


def _languages(batch: pa.RecordBatch, file: FileReference, quirks: str) -> Sequence[pa.Array]:
    labels, scores = _identifier(file, quirks)(batch.column("text"))
    return labels, pc.if_else(pc.is_valid(labels), pa.array(scores), None)


@cache
def _identifier(file: FileReference, quirks: str) -> LanguageIdentifier:
    return LanguageIdentifier(fetch(file.uri, file.sha256), quirks)


def quality_score(
    df: DataFrame,
    *,
    model: str | FileReference,
    text: str = "text",
    score: str = "quality_score",
    positive_label: str = "hq",
    negative_label: str = "cc",
) -> DataFrame:
    """Add the DCLM quality score: the probability (0 to 1) of the model's positive label.

    The model has exactly these two labels. A null text reads as an empty one.
    """
    file = _checked(model)
    labels = labels_of(fetch(file.uri, file.sha256))
    if set(labels) != {positive_label, negative_label}:
        raise SettingError(
            f"model = {file.uri}: its labels are {', '.join(labels[:10])}; name the two in "
            "positive_label and negative_label, or call top_label for other models"
        )
    score_texts = partial(
        _scores, file=file, positive_label=positive_label, negative_label=negative_label
    )
    adds = pa.schema([(score, pa.float64())])
    return with_columns(df, {"text": Given("text", text, TEXT)}, adds, score_texts)


def _scores(
    batch: pa.RecordBatch, file: FileReference, positive_label: str, negative_label: str
) -> Sequence[pa.Array]:
    model = _quality_model(file, positive_label, negative_label)
    return [pa.array(model.score(batch.column("text")))]


@cache
def _quality_model(file: FileReference, positive_label: str, negative_label: str) -> QualityModel:
    path = fetch(file.uri, file.sha256)
    return QualityModel(path, positive_label=positive_label, negative_label=negative_label)


def top_label(
    df: DataFrame,
    *,
    model: str | FileReference,
    text: str = "text",
    label: str = "label",
    probability: str = "label_probability",
) -> DataFrame:
    """Add the best label of the texts by any fastText model, and its probability.

    A text that has no word of the model has a null label and the probability 0.
    """
    file = _checked(model)
    adds = pa.schema([(label, pa.string()), (probability, pa.float64())])
    return with_columns(df, {"text": Given("text", text, TEXT)}, adds, partial(_labels, file=file))


def label_probabilities(
    df: DataFrame,
    *,
    model: str | FileReference,
    labels: Sequence[str] = ("*",),
    text: str = "text",
    name: str = "label",
) -> DataFrame:
    """Add the probability (0 to 1) of each of `labels` by any fastText model, as NAME_LABEL.

    Default: of all labels. One label alone gives the column `name`. What is no letter, digit or
    underscore of a label is `_` in its column. A text that has no word of the model has 0 in all.
    """
    if not labels:
        raise SettingError("labels = []: expected labels of the model, or ['*'] for all")
    file = _checked(model)
    try:
        measure = model_measure(name, file.uri, file.sha256, labels)
    except ValueError as error:
        raise SettingError(str(error)) from None
    given = {"text": Given("text", text, TEXT)}
    return with_columns(df, given, pa.schema(list(measure.fields)), measure.columns)


def _labels(batch: pa.RecordBatch, file: FileReference) -> Sequence[pa.Array]:
    model = _model(file)
    best, probabilities = model.predict(batch.column("text"))
    places = pa.array(best, mask=best < 0)
    return pa.array(model.labels, pa.string()).take(places), pa.array(probabilities)


@cache
def _model(file: FileReference) -> FastTextModel:
    return load(fetch(file.uri, file.sha256))


def _checked(model: str | FileReference) -> FileReference:
    """Return where the model is; SettingError unless it can be fetched and read."""
    given = FileReference(uri=model) if isinstance(model, str) else model
    # Workers may have another current folder.
    file = FileReference(uri=storage.absolute(given.uri), sha256=given.sha256)
    try:
        labels_of(fetch(file.uri, file.sha256))
    except (ValueError, OSError) as error:
        raise SettingError(f"model = {file.uri}: {error}") from error
    return file
