"""Arrow string columns as the flat buffers that the compiled kernels read and write."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Item = TypeVar("Item", bound=np.generic)


def read_only(array: npt.NDArray[Item]) -> npt.NDArray[Item]:
    """Return a read-only view of `array`.

    Arrow's buffers are read-only, numpy's are not, and numba compiles a kernel anew for each
    kind; passing every input through here keeps one compilation.
    """
    view = array.view()
    view.flags.writeable = False
    return view


Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def utf8_buffers(column: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    """Return (data, offsets) of a string column: document i is data[offsets[i]:offsets[i + 1]].

    Null documents read as empty. `offsets` has one entry more than the column has rows; the
    data is a view where the column is one large_string chunk, a 64-bit copy of offsets otherwise.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        column = column.fill_null("")
    column = column.cast(pa.large_string())
    _, offset_buffer, data_buffer = column.buffers()
    if len(column) == 0:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64, len(column) + 1, column.offset * 8)
    if data_buffer is None or data_buffer.size == 0:
        return np.zeros(0, np.uint8), offsets
    return np.frombuffer(data_buffer, np.uint8), offsets


def string_column(data: Bytes, offsets: Offsets) -> pa.LargeStringArray:
    """Build a large_string column from UTF-8 `data` and 64-bit `offsets` (rows + 1 entries)."""
    return pa.LargeStringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)
    )
