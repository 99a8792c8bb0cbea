"""Damaged headers and runs of Parquet pages: an error, and neither a wait nor a read of it all."""

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udfs.documents.parquet.large_pages import values_of
from udfs.documents.parquet.parquet_headers import read_header, run_lengths

LIMIT = 1 << 20


def zigzag(value: int) -> bytes:
    number, found = (value << 1) ^ (value >> 63), b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def header(size: int, compressed_size: int, values: int) -> bytes:
    page = b"\x15" + zigzag(values) + b"\x15\0\x15\x06\x15\x06\0"
    return b"\x15\0\x15" + zigzag(size) + b"\x15" + zigzag(compressed_size) + b"\x2c" + page + b"\0"


def test_a_header_is_read():
    found, size = read_header(header(10, 7, 3) + b"page")
    assert (found.size, found.compressed_size, found.num_values) == (10, 7, 3)
    assert size == len(header(10, 7, 3))


@pytest.mark.parametrize(
    "data",
    [
        header(10, -7, 3),
        header(-10, 7, 3),
        header(10, 7, -3),
        b"\x1c" * 100_000,
        b"\x15" + b"\xff" * 1_000_000,
        b"\x19\xf1" + b"\xff\xff\xff\xff\xff\x7f" + bytes(64),
        b"",
    ],
    ids=["backwards", "size", "values", "nested", "number", "list", "empty"],
)
def test_what_is_no_header_is_an_error(data):
    with pytest.raises(OSError, match="no header of a page"):
        read_header(data)


def test_a_run_gives_no_more_than_is_asked_for():
    assert run_lengths(b"\xff\xff\xff\xff\x0f" + b"\x05", 1, 4) == [1, 0, 1, 0]
    with pytest.raises(OSError, match="within its runs"):
        run_lengths(b"\xff" * 1000, 1, 9)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("has_dictionary", [True, False])
def test_damage_in_pages_is_an_error_or_costs_values_alone(version, has_dictionary):
    texts = [None if number % 9 == 0 else f"text {number % 40}" * 9 for number in range(300)]
    file = io.BytesIO()
    pq.write_table(
        pa.table({"text": texts}), file, compression="zstd", use_dictionary=has_dictionary,
        data_page_version=version, data_page_size=1024, write_batch_size=50,
    )  # fmt: skip
    whole = file.getvalue()
    parquet = pq.ParquetFile(file)
    chunk, column = parquet.metadata.row_group(0).column(0), parquet.schema.column(0)
    found = values_of(io.BytesIO(whole), chunk, column, LIMIT)
    assert [value and value.decode() for value in found] == texts
    drawn = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(drawn.randrange(1, 4)):
            data[drawn.randrange(4, 4 + chunk.total_compressed_size)] = drawn.randrange(256)
        try:
            count = sum(1 for _ in values_of(io.BytesIO(data), chunk, column, LIMIT))
        except (OSError, ValueError):
            continue
        assert count == len(texts)
