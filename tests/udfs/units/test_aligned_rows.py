"""Rows of split tables come back beside the documents of their file, whatever the batches."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udfs.units.aligned_rows import AlignedRows

SCHEMA = pa.schema([("doc_id", pa.binary()), ("value", pa.int64())])
IDS = [f"{number:03d}".encode() for number in range(500)]


def table(folder, name, numbers, row_group_size=37):
    rows = pa.table({"doc_id": [IDS[n] for n in numbers], "value": list(numbers)}, schema=SCHEMA)
    pq.write_table(rows, folder / name, row_group_size=row_group_size)
    return str(folder / name)


def taken(rows, sizes):
    start, values = 0, []
    for size in sizes:
        values += rows.take(pa.array(IDS[start : start + size])).column("value").to_pylist()
        start += size
    return values


@pytest.mark.parametrize("sizes", [[500], [1] * 500, [200, 0, 299, 1], [7] * 71 + [3]])
def test_rows_of_three_tables_come_in_the_order_of_the_file(tmp_path, sizes):
    parts = [[n for n in range(500) if n % 7 in remainders] for remainders in ((0,), (1, 2), (3,))]
    parts.append([n for n in range(500) if n % 7 > 3])
    uris = [table(tmp_path, f"{place}.parquet", part) for place, part in enumerate(parts)]
    assert taken(AlignedRows(uris, SCHEMA), sizes) == list(range(500))


def test_a_table_without_rows_is_no_hindrance(tmp_path):
    uris = [table(tmp_path, "all.parquet", range(500)), table(tmp_path, "none.parquet", [])]
    assert taken(AlignedRows(uris, SCHEMA), [250, 250]) == list(range(500))


def test_a_document_without_a_row_is_an_error(tmp_path):
    uri = table(tmp_path, "some.parquet", [n for n in range(500) if n != 30])
    with pytest.raises(ValueError, match=r"some\.parquet: 1 documents have no row"):
        taken(AlignedRows([uri], SCHEMA), [100])


def test_another_order_is_an_error(tmp_path):
    uri = table(tmp_path, "turned.parquet", [*range(30), 31, 30, *range(32, 500)])
    with pytest.raises(ValueError, match="another order"):
        taken(AlignedRows([uri], SCHEMA), [100])


def test_a_row_before_the_file_begins_is_an_error(tmp_path):
    uri = table(tmp_path, "more.parquet", range(500))
    with pytest.raises(ValueError, match="1 documents have no row"):
        AlignedRows([uri], SCHEMA).take(pa.array(IDS[1:6]))
