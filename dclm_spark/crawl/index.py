"""Common Crawl's columnar index: which captures match, in which WARC and at which offset.

The index is Parquet, one row per capture; old crawls lack columns that later ones have, so the
schema is ours and an absent column is an error only when a filter needs it.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from dclm_spark.errors import InputError
from udfs import storage
from udfs.storage.stream import shown
from udfs.warc.selection import OFFSETS

_WARC, _OFFSET, _LENGTH = "warc_filename", "warc_record_offset", "warc_record_length"
_LANGUAGES, _MIME, _STATUS = "content_languages", "content_mime_detected", "fetch_status"
_DOMAIN = "url_host_registered_domain"
_SCHEMA = pa.schema(
    [
        (_WARC, pa.string()),
        (_OFFSET, pa.int64()),
        (_LENGTH, pa.int64()),
        (_LANGUAGES, pa.string()),
        (_MIME, pa.string()),
        (_STATUS, pa.int32()),
        (_DOMAIN, pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class IndexFilter:
    """Which captures match: every field that is not empty must hold.

    `languages` are ISO-639-3 codes, compared with the first (most of the text) of the index's
    list; `mime_types` the detected ones; `domains` registered domains, such as example.co.uk.
    """

    languages: tuple[str, ...] = ()
    mime_types: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    statuses: tuple[int, ...] = (200,)
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IndexCounts:
    """What an index says: records and compressed bytes of all captures and of the matching ones.

    `num_warcs` counts the WARCs with a match; the `streamed_*` figures are all captures in those,
    since a WARC is read from end to end.
    """

    num_warcs: int
    streamed_records: int
    streamed_size_bytes: int
    matching_records: int
    matching_size_bytes: int


def count_matches(
    index: str, wanted: IndexFilter, warc_paths: Sequence[str] | None = None
) -> IndexCounts:
    """Count the captures of `index` that match, in `warc_paths` alone when that is given.

    `index` is a Parquet file or a folder of them (local, s3:// or https:// for one file).
    """
    every: dict[str, npt.NDArray[np.int64]] = {}
    for rows in _scan(index, wanted, warc_paths, every_row=True):
        grouped = rows.group_by([_WARC]).aggregate(
            [(_OFFSET, "count"), (_LENGTH, "sum"), ("matches", "sum"), ("matching_length", "sum")]
        )
        figures = np.stack([column.to_numpy() for column in grouped.columns[1:]], axis=1)
        for path, row in zip(grouped.column(_WARC).to_pylist(), figures, strict=True):
            every[path] = every.get(path, 0) + row.astype(np.int64)
    matched = [row for row in every.values() if row[2] > 0]
    total = np.sum(matched, axis=0) if matched else np.zeros(4, dtype=np.int64)
    return IndexCounts(
        num_warcs=len(matched),
        streamed_records=int(total[0]),
        streamed_size_bytes=int(total[1]),
        matching_records=int(total[2]),
        matching_size_bytes=int(total[3]),
    )


# A task that reads one WARC reads one of these.
_WARCS_PER_ROW_GROUP = 64


def offsets_by_warc(
    index: str, wanted: IndexFilter, output: str, warc_paths: Sequence[str] | None = None
) -> int:
    """Write the offsets of the matching records per WARC (`OFFSETS`) and return their number.

    The matches are held in memory, 12 bytes each: restrict `warc_paths` to the part of a crawl
    that a run reads. The file is the same for any order of the index's files.
    """
    names: dict[str, int] = {}
    warcs, offsets = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    for rows in _scan(index, wanted, warc_paths, every_row=False):
        encoded = rows.column(_WARC).combine_chunks().dictionary_encode()
        codes = [names.setdefault(path, len(names)) for path in encoded.dictionary.to_pylist()]
        warcs.append(np.array(codes, np.int32)[encoded.indices.to_numpy(zero_copy_only=False)])
        offsets.append(rows.column(_OFFSET).to_numpy())
    table = _by_warc(names, np.concatenate(warcs), np.concatenate(offsets))
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        use_dictionary=False,
        row_group_size=_WARCS_PER_ROW_GROUP,
        column_encoding={"offsets.list.element": "DELTA_BINARY_PACKED"},
    )
    storage.write_bytes(output, buffer.getvalue())
    return int(sum(len(part) for part in offsets))


def _by_warc(
    names: dict[str, int], warcs: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
) -> pa.Table:
    paths = sorted(names)
    rank = np.zeros(len(names), dtype=np.int32)
    rank[[names[path] for path in paths]] = np.arange(len(paths), dtype=np.int32)
    position = rank[warcs]
    order = np.lexsort((offsets, position))
    counts = np.bincount(position, minlength=len(paths))
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(bounds), pa.array(offsets[order]))
    return pa.Table.from_arrays([pa.array(paths, pa.string()), lists], schema=OFFSETS)


def _scan(
    index: str, wanted: IndexFilter, warc_paths: Sequence[str] | None, *, every_row: bool
) -> Iterator[pa.Table]:
    """Yield the WARC, offset, length, `matches` and `matching_length` of captures, in batches."""
    columns = {name: ds.field(name) for name in (_WARC, _OFFSET, _LENGTH)}
    conditions = _conditions(wanted)
    matches = pc.coalesce(_all(list(conditions.values())), pc.scalar(False))
    columns["matches"] = matches
    columns["matching_length"] = pc.if_else(matches, ds.field(_LENGTH), pc.scalar(0))
    kept = [] if warc_paths is None else [ds.field(_WARC).isin(list(warc_paths))]
    kept += [] if every_row else [matches]
    for uri in _files(index):
        with storage.open_seekable(uri) as file:
            parquet = pq.ParquetFile(file)
            _check_columns(uri, parquet.schema_arrow.names, list(conditions))
            rows = ds.Scanner.from_batches(
                _batches(parquet), schema=_SCHEMA, columns=columns, filter=_all(kept)
            )
            for batch in rows.to_batches():
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])


def _batches(parquet: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the file's rows in our schema; only the needed columns are read."""
    present = [name for name in _SCHEMA.names if name in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(columns=present):
        arrays = [
            batch.column(field.name).cast(field.type)
            if field.name in present
            else pa.nulls(batch.num_rows, field.type)
            for field in _SCHEMA
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _conditions(wanted: IndexFilter) -> dict[str, Any]:
    """Return one expression per index column that a filter needs."""
    conditions: dict[str, Any] = {}
    if wanted.languages:
        for code in wanted.languages:
            if not re.fullmatch("[a-z]{3}", code):
                raise InputError(f"languages: {code!r} is no ISO-639-3 code; 'eng' is English")
        pattern = f"^({'|'.join(wanted.languages)})(,|$)"
        conditions[_LANGUAGES] = pc.match_substring_regex(ds.field(_LANGUAGES), pattern)
    if wanted.mime_types:
        conditions[_MIME] = ds.field(_MIME).isin(list(wanted.mime_types))
    if wanted.statuses:
        conditions[_STATUS] = ds.field(_STATUS).isin(pa.array(wanted.statuses, pa.int32()))
    if wanted.domains:
        conditions[_DOMAIN] = ds.field(_DOMAIN).isin(list(wanted.domains))
    return conditions


def _all(conditions: Sequence[Any]) -> Any:
    every = pc.scalar(True)
    for condition in conditions:
        every = every & condition
    return every


def _check_columns(uri: str, present: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in (_WARC, _OFFSET, _LENGTH, *needed) if name not in present]
    if missing:
        raise InputError(
            f"--index {shown(uri)}: it has no column {missing[0]}, which the filters need; "
            "crawls before 2018-39 have no languages and no detected MIME type: "
            "leave those filters empty"
        )


def _files(index: str) -> list[str]:
    """Return the Parquet files of `index`; of a whole crawl's table, subset=warc alone."""
    if index.endswith(".parquet"):
        return [index]
    found = [uri for uri in storage.list_files(index) if uri.endswith(".parquet")]
    subsets = Counter("subset=warc/" in uri for uri in found if "subset=" in uri[len(index) :])
    files = [uri for uri in found if not subsets or "subset=warc/" in uri[len(index) :]]
    if not files:
        raise InputError(f"--index {index}: there is no *.parquet file of captures in WARCs")
    return files
