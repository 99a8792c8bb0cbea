"""Texts of all languages: extracted and labelled once, judged for one language after another.

In a unit's Parquet file each language has row groups of its own, so that whoever wants one language
reads no other text.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extract import RecordCounts
from udfs.documents.formats import LOST_SIZE, InputUnit, input_facts
from udfs.documents.schema import FATE_FIELDS, KEPT, OWN_COLUMNS, SOURCE_FIELDS, STAGE, TEXT
from udfs.fasttext.language import LanguageIdentifier
from udfs.rules.batch import IdentifyLanguage
from udfs.rules.family import LANGUAGE_SIGNALS, Tools
from udfs.rules.urls import AddressCounts
from udfs.storage.parquet import read_groups_of, read_table
from udfs.units.curate import (
    CurationSettings,
    extracted,
    judge,
    language_identifier,
    url_lists,
)
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

# The stage that says into which language's corpus a document goes, and its rules.
ROUTE_STAGE = "languages"
NO_LANGUAGE, WITHOUT_LIMITS, NOT_LISTED = (
    "no_language", "language_without_limits", "language_not_listed",
)  # fmt: skip
# What it writes of each document: no text.
ROUTED = pa.schema([*SOURCE_FIELDS, TEXT, *LANGUAGE_SIGNALS, *FATE_FIELDS])
# The fact of a unit that counts its documents by language.
BY_LANGUAGE = "documents_by_language"
# Texts that wait for others in their language; beyond it the largest language is written.
_MOST_WAITING_BYTES = 64 * 1024 * 1024


def labelled_schema(settings: CurationSettings) -> pa.Schema:
    """Return the columns of labelled texts: those of extraction, the language, the fate."""
    extracted_columns = list(settings.extraction.schema)
    before = len(extracted_columns) - len(FATE_FIELDS)
    own = [OWN_COLUMNS] if settings.input.columns else []
    return pa.schema([*extracted_columns[:before], *LANGUAGE_SIGNALS, *own, *FATE_FIELDS])


def label_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write the documents of one input file (an InputUnit's fields), language by language."""
    file, counts = InputUnit(**source), RecordCounts()
    identify = language_identifier(settings)
    languages = _ByLanguage(output)
    for batch in extracted(file, settings, counts):
        nothing = pa.nulls(batch.num_rows)
        labelled = _labelled(batch, identify)
        fated = with_fate(labelled, stage=STAGE, rule=nothing, value=nothing, threshold=nothing)
        languages.write(fated.select(output.schema.names))
    languages.close()
    output.facts |= input_facts(file, counts)
    output.facts[BY_LANGUAGE] = dict(sorted(languages.documents.items()))


def _labelled(batch: pa.RecordBatch, identify: LanguageIdentifier) -> pa.RecordBatch:
    """Add the language of each text and its probability, null where there is no text."""
    labels, scores = identify(batch.column("text"))
    closed = pc.is_valid(batch.column("fate"))
    none = pc.or_(closed, pc.is_null(labels))
    batch = batch.append_column("language", pc.if_else(closed, None, labels))
    return batch.append_column("language_score", pc.if_else(none, None, pa.array(scores)))


class _ByLanguage:
    """Writes documents so that those in one language stand together; few wait in memory."""

    def __init__(self, output: UnitOutput) -> None:
        # Documents with a text by language; "": those without a language.
        self.documents: Counter[str] = Counter()
        self._output = output
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._sizes: Counter[str] = Counter()

    def write(self, batch: pa.RecordBatch) -> None:
        is_kept = pc.equal(batch.column("fate"), KEPT)
        self._output.write(batch.filter(pc.invert(is_kept)))
        texts = batch.filter(is_kept)
        labels = pc.fill_null(texts.column("language"), "")
        for label in labels.unique().to_pylist():
            rows = texts.filter(pc.equal(labels, label))
            self.documents[label] += rows.num_rows
            self._waiting.setdefault(label, []).append(rows)
            self._sizes[label] += rows.nbytes
        while self._sizes.total() > _MOST_WAITING_BYTES:
            self._put(max(self._sizes, key=lambda label: (self._sizes[label], label)))

    def _put(self, label: str) -> None:
        # Most batches have a few documents of a language, and each one that is written costs time.
        for batch in pa.Table.from_batches(self._waiting.pop(label)).combine_chunks().to_batches():
            self._output.write(batch)
        self._output.end_group()
        del self._sizes[label]

    def close(self) -> None:
        for label in sorted(self._waiting):
            self._put(label)


@dataclass(frozen=True, kw_only=True)
class LanguageFile:
    """The file of a unit's labelled texts, the language that is wanted of it, and what was read."""

    uri: str
    language: str
    documents: int
    input: dict[str, Any]


def judge_language_file(
    source: dict[str, Any], output: UnitOutput, settings: CurationSettings
) -> None:
    """Write the documents of one language of a unit (a LanguageFile's fields) with their fates."""
    file, addresses = LanguageFile(**source), AddressCounts()
    lists, identify = url_lists(settings), language_identifier(settings)
    names = labelled_schema(settings).names
    for batch in read_groups_of(file.uri, names, "language", file.language):
        tools = Tools(lists, _as_labelled(batch, identify))
        batch = batch.drop_columns([field.name for field in LANGUAGE_SIGNALS])
        place = batch.schema.get_field_index("fate")
        unjudged = batch.set_column(place, "fate", pa.nulls(batch.num_rows, pa.string()))
        output.write(judge(unjudged, batch.column("url"), settings, tools, addresses))
    # What damage cost the file, the whole run tells.
    given = {name: value for name, value in file.input.items() if name != LOST_SIZE}
    records = {"response": file.documents, "broken": 0}
    output.facts |= {"records": records, "input": given} | asdict(addresses)


def _as_labelled(batch: pa.RecordBatch, identify: LanguageIdentifier) -> IdentifyLanguage:
    """Return what tells languages: those on record of the batch's texts, the model's of others."""
    texts, labels = batch.column("text"), batch.column("language")
    scores = batch.column("language_score").to_numpy()

    def tell(
        asked: pa.Array | pa.ChunkedArray,
    ) -> tuple[pa.StringArray, npt.NDArray[np.float64]]:
        if asked.cast(texts.type).equals(texts):
            return labels, scores
        # Rows went before: each text has the label that is on record of an equal one.
        whole = asked.combine_chunks() if isinstance(asked, pa.ChunkedArray) else asked
        at = pc.index_in(whole.cast(texts.type), value_set=texts)
        if at.null_count:
            return identify(asked)
        return labels.take(at), scores[at.to_numpy()]

    return tell


def route_file(
    source: dict[str, Any], output: UnitOutput, languages: Sequence[str], rule: str
) -> None:
    """Say of the labelled texts of a file ({"uri"}) whether their language has a corpus.

    `rule` drops those in a language that is none of `languages`.
    """
    names = [name for name in ROUTED.names if name != TEXT.name]
    chosen = pa.array(languages, pa.string())
    for batch in read_table(source["uri"], names):
        labels = batch.column("language")
        other = pc.if_else(pc.is_in(labels, value_set=chosen), None, rule)
        batch = batch.append_column(TEXT, pa.nulls(batch.num_rows, TEXT.type)).select(ROUTED.names)
        place = batch.schema.get_field_index("fate")
        batch = batch.set_column(place, "fate", pa.nulls(batch.num_rows, pa.string()))
        nothing = pa.nulls(batch.num_rows)
        output.write(
            with_fate(
                batch, stage=ROUTE_STAGE, value=nothing, threshold=nothing,
                rule=pc.if_else(pc.is_null(labels), NO_LANGUAGE, other),
            )
        )  # fmt: skip
