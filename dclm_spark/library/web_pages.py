"""Records of WARC files as a DataFrame, and the main text of pages in a column."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import InputError, SettingError
from dclm_spark.library.frames import BYTES, TEXT, Given, with_columns
from dclm_spark.stages.documents import max_readers
from udfs.documents.extract import ExtractionSettings, extract_pages
from udfs.documents.formats import FORMATS, WAT, InputUnit, Reading, read_unit
from udfs.documents.warc_pages import RECORDS, record_batches
from udfs.documents.wat import PAGE_METADATA, metadata_batches
from udfs.warc.reader import WarcRecord

_REFERENCE = ExtractionSettings()
_FILES = pa.schema([pa.field(name, pa.string()) for name in ("crawl", "path", "uri", "kind")])
# Documents that were extracted elsewhere.
TEXTS = pa.schema(
    [
        *(RECORDS.field(name) for name in RECORDS.names[:6]),
        pa.field("text", pa.string()),
        pa.field("broken", pa.string()),
    ]
)
_EXTRACTED = ("text", "charset", "charset_source", "extractor", "rule")


def read_warc(
    spark: SparkSession,
    inputs: str,
    *,
    base: str | None = None,
    limit: int | None = None,
    settings: ExtractionSettings = _REFERENCE,
) -> DataFrame:
    """Return the responses in WARC and ARC files, a row each (`udfs.documents.warc_pages.RECORDS`).

    `inputs` names files as `--input` of the jobs does: a listing (whose paths are below `base`), a
    glob, a folder, files separated by commas; `limit` takes the first so many. `html` is the body
    of the response with its encodings undone, `broken` says why a record could not be read, and is
    null elsewhere. One task reads one file. Raises InputError for what is not there.
    """
    files = list_inputs(inputs, base, limit)
    for file in files:
        if not FORMATS[file.kind].has_pages:
            raise InputError(
                f"inputs = {inputs!r}: {file.path} holds texts and no pages; use read_texts"
            )
    return _read(spark, files, settings, RECORDS, _records)


def read_texts(
    spark: SparkSession,
    inputs: str,
    *,
    base: str | None = None,
    limit: int | None = None,
    settings: ExtractionSettings = _REFERENCE,
) -> DataFrame:
    """Return documents that were extracted elsewhere, a row each: WET files, JSON Lines, Parquet.

    `inputs`, `base` and `limit` are those of `read_warc`. `broken` says why there is no `text`.
    Raises InputError for files of pages.
    """
    files = list_inputs(inputs, base, limit)
    for file in files:
        if FORMATS[file.kind].has_pages:
            raise InputError(f"inputs = {inputs!r}: {file.path} holds pages; use read_warc")
    return _read(spark, files, settings, TEXTS, _texts)


def read_metadata(
    spark: SparkSession,
    inputs: str,
    *,
    base: str | None = None,
    limit: int | None = None,
    settings: ExtractionSettings = _REFERENCE,
) -> DataFrame:
    """Return what WAT files note of pages, a row each (`udfs.documents.wat.PAGE_METADATA`).

    `inputs`, `base` and `limit` are those of `read_warc`. Title, meta elements and links stand
    beside the id, the path and the offset of the page in its WARC file, as `read_warc` and a run on
    the listing of these give them. Raises InputError for files that are no WAT files.
    """
    files = list_inputs(inputs, base, limit)
    for file in files:
        if FORMATS[file.kind] is not WAT:
            raise InputError(f"inputs = {inputs!r}: {file.path} is no WAT file")
    return _read(spark, files, settings, PAGE_METADATA, _metadata)


def _read(
    spark: SparkSession,
    files: Sequence[InputFile],
    settings: ExtractionSettings,
    schema: pa.Schema,
    read_file: Callable[[dict[str, str], ExtractionSettings], Iterator[pa.RecordBatch]],
) -> DataFrame:
    """Return what `read_file` yields of each file, one task a file."""
    rows = [asdict(file) for file in files]
    work = work_frame(spark, rows, _FILES, max_readers(files, settings.reading))

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                yield from read_file(file, settings)

    return work.mapInArrow(read, spark_schema(schema))


def _records(file: dict[str, Any], settings: ExtractionSettings) -> Iterator[pa.RecordBatch]:
    yield from record_batches(file["crawl"], file["uri"], file["path"], settings)


def _metadata(file: dict[str, Any], settings: ExtractionSettings) -> Iterator[pa.RecordBatch]:
    yield from metadata_batches(file["crawl"], file["uri"], file["path"], settings)


def _texts(file: dict[str, Any], settings: ExtractionSettings) -> Iterator[pa.RecordBatch]:
    unit = InputUnit(**{name: file[name] for name in _FILES.names})
    for batch in read_unit(unit, Reading(extraction=settings)):
        reason = pc.fill_null(batch.column("error"), "")
        broken = pc.binary_join_element_wise(batch.column("rule"), reason, ": ")
        columns = [*(batch.column(name) for name in TEXTS.names[:-1]), broken]
        cast = [one.cast(field.type) for one, field in zip(columns, TEXTS, strict=True)]
        yield pa.RecordBatch.from_arrays(cast, schema=TEXTS)


def extract_text(
    df: DataFrame,
    *,
    html: str = "html",
    text: str = "text",
    content_type: str | None = None,
    detected_charset: str | None = None,
    settings: ExtractionSettings = _REFERENCE,
) -> DataFrame:
    """Add the main text of the pages in the column `html` (bytes as they were sent, or a string).

    Adds `text`, `charset`, `charset_source`, `extractor`, and `extraction_rule`: why there is no
    text ("not_utf8", "html_too_large", "parser_timeout", ...), null where there is one. A null page
    has nulls. The columns `content_type` (the HTTP header) and `detected_charset` help to find the
    charset where `settings` ask for it (`quirks="none"`). Each page is parsed in a child process
    with limits on time and memory.
    """
    if settings.views:
        raise SettingError(
            f"settings.views = {list(settings.views)}: rules choose between the texts of a page "
            "in the job; name one extractor here, in settings.extractor"
        )
    given = {"html": Given("html", html, BYTES)}
    if content_type is not None:
        given["content_type"] = Given("content_type", content_type, TEXT)
    if detected_charset is not None:
        given["detected_charset"] = Given("detected_charset", detected_charset, TEXT)
    names = (text, *_EXTRACTED[1:-1], "extraction_rule")
    adds = pa.schema([pa.field(name, pa.string()) for name in names])
    return with_columns(df, given, adds, partial(_extracted, settings=settings))


def _extracted(batch: pa.RecordBatch, settings: ExtractionSettings) -> Sequence[pa.Array]:
    pages = [_page(place, row) for place, row in enumerate(batch.to_pylist())]
    found = extract_pages([page for page in pages if page is not None], settings)
    # A null page has no row among those found.
    numbers, count = [], 0
    for page in pages:
        numbers.append(None if page is None else count)
        count += page is not None
    rows = pa.array(numbers, pa.int64())
    return [found.column(name).take(rows) for name in _EXTRACTED]


def _page(place: int, row: dict[str, Any]) -> WarcRecord | None:
    html = row["html"]
    if html is None:
        return None
    return WarcRecord(
        offset=place,
        url=None,
        fetch_time=None,
        http_status=None,
        http_content_type=row.get("content_type"),
        detected_charset=row.get("detected_charset"),
        identified_type=None,
        truncated=None,
        record_id=None,
        payload=html if isinstance(html, bytes) else html.encode(),
    )
