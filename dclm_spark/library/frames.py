"""A kernel over columns of a DataFrame: what comes out beside all columns that were there."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, StringType, StructType

from dclm_spark.engine.tables import spark_schema
from dclm_spark.errors import SettingError

# What a kernel gets at a time: its working memory follows this, or the largest row.
PIECE_SIZE_BYTES = 8 * 1024 * 1024
_KEY = "__dclm_spark_id"
# Columns by the names that the kernel knows -> new columns in the declared order.
Kernel = Callable[[pa.RecordBatch], Sequence[pa.Array]]

TEXT = (StringType,)
BYTES = (BinaryType, StringType)


class Given(NamedTuple):
    """A column that the user named: the argument that named it, and the types it may have."""

    argument: str
    column: str
    types: tuple[type[DataType], ...]


def with_columns(
    frame: DataFrame, given: Mapping[str, Given], adds: pa.Schema, kernel: Kernel
) -> DataFrame:
    """Return `frame` with the columns `adds`, which `kernel` makes of the columns `given`.

    The kernel knows these by the keys of `given`, and must not depend on how rows are cut into
    batches. Nothing runs before the result is asked for. Raises SettingError for columns that do
    not exist, have another type, or are to be added and exist.
    """
    check_columns(frame, given)
    check_free(frame, adds.names)
    # Numbers for names: Spark hands no column to Python whose name has a dot.
    count = len(frame.columns)
    numbered = frame.toDF(*map(str, range(count)))
    names = {inner: str(frame.columns.index(one.column)) for inner, one in given.items()}
    new = pa.schema([field.with_name(str(count + place)) for place, field in enumerate(adds)])
    result = StructType([*numbered.schema.fields, *spark_schema(new).fields])

    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for piece in _pieces(batch, list(names.values())):
                yield _extended(piece, names, new, kernel)

    return numbered.mapInArrow(add, result).toDF(*frame.columns, *adds.names)


def check_columns(frame: DataFrame, given: Mapping[str, Given]) -> None:
    """Raise SettingError unless each column exists once and has one of its types."""
    if not isinstance(frame, DataFrame):
        raise SettingError(
            f"df = {type(frame).__name__}: expected a Spark DataFrame; call this as "
            "df.transform(function, ...) or function(df, ...)"
        )
    for argument, column, types in given.values():
        found = [field for field in frame.schema.fields if field.name == column]
        if not found:
            raise _unknown(argument, column, frame.columns)
        if len(found) > 1:
            raise SettingError(
                f"{argument} = {column!r}: {len(found)} columns of the frame have this name; "
                "rename all but one"
            )
        kind = found[0].dataType
        if types and not isinstance(kind, types):
            wanted = " or ".join(one.typeName() for one in types)
            raise SettingError(
                f"{argument} = {column!r}: the column is {kind.simpleString()}, expected {wanted}"
            )


def check_free(frame: DataFrame, names: Sequence[str]) -> None:
    """Raise SettingError for a new column whose name the frame has, in any case of letters."""
    present = {name.lower() for name in frame.columns}
    for name in names:
        if name.lower() in present:
            raise SettingError(
                f"the frame has a column {name!r} already: drop or rename it, or let the new one "
                "have another name (see the function's arguments)"
            )


def joined(frame: DataFrame, found: DataFrame, column: str, how: str) -> DataFrame:
    """Join what was found out by `doc_id` to the rows with that value in `column`."""
    keyed = found.withColumnRenamed("doc_id", _KEY)
    condition = F.col(quoted(column)) == F.col(_KEY)
    return frame.join(keyed, condition, how).drop(_KEY)


def quoted(name: str) -> str:
    """Return the name of a column as Spark reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def _unknown(argument: str, column: str, columns: Sequence[str]) -> SettingError:
    near = difflib.get_close_matches(str(column), columns, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return SettingError(
        f"{argument} = {column!r}: the frame has no such column, it has {', '.join(columns)}{hint}"
    )


def _pieces(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Cut a batch so that the named columns of a piece have about PIECE_SIZE_BYTES."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in (batch.column(name) for name in names):
        if not _has_bytes(column.type):
            continue
        sizes += np.asarray(pc.fill_null(pc.binary_length(column), 0), np.int64)
    ends = np.cumsum(sizes)
    start = 0
    while start < batch.num_rows:
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + PIECE_SIZE_BYTES, side="right"))
        stop = max(stop, start + 1)
        yield batch.slice(start, stop - start)
        start = stop


def _extended(
    piece: pa.RecordBatch, names: Mapping[str, str], adds: pa.Schema, kernel: Kernel
) -> pa.RecordBatch:
    columns = [piece.column(name) for name in names.values()]
    given = pa.RecordBatch.from_arrays(columns, list(names))
    large = any(_is_large(column.type) for column in given.columns)
    for field, column in zip(adds, kernel(given), strict=True):
        kind = _sized(field.type, large)
        piece = piece.append_column(pa.field(field.name, kind), column.cast(kind))
    return piece


def _has_bytes(kind: pa.DataType) -> bool:
    return _is_large(kind) or bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _sized(kind: pa.DataType, large: bool) -> pa.DataType:
    """Return a type with offsets of 64 bits or of 32: Spark wants the same in all columns."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.large_string() if large else pa.string()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.large_binary() if large else pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_sized(kind.value_type, large))
    return kind
