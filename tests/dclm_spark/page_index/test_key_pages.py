"""Pages of the entries of one key, of which there are very many."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.page_index import lookup
from dclm_spark.page_index.lookup import file_of, key_of, keyed_rows

SITE = b"large.example"
COLUMNS = [pa.field(name, pa.int32(), nullable=False) for name in ("number", "row")]
GROUP, BEFORE, ENTRIES = 100, 130, 1_000


@pytest.fixture
def table(tmp_path):
    """One file: entries of a smaller key, ENTRIES of the site, and entries of a larger key."""
    key = key_of(SITE)
    keys = [key - 1] * BEFORE + [key] * ENTRIES + [key + 1] * 50
    rows = pa.table(
        {
            "key": pa.array(keys, pa.int64()),
            "number": pa.array([0] * len(keys), pa.int32()),
            "row": pa.array(range(len(keys)), pa.int32()),
        },
        # As Spark says of what it computed.
        pa.schema([pa.field("key", pa.int64(), nullable=False), *COLUMNS]),
    )
    pq.write_table(rows, tmp_path / "part-00000.parquet", row_group_size=GROUP)
    return str(tmp_path)


@pytest.mark.parametrize(("first", "count"), [(0, 50), (50, 50), (965, 50), (70, 250), (1_000, 5)])
def test_a_page_has_the_entries_that_all_have_there(table, first, count):
    found = keyed_rows(table, SITE, 1, first=first, count=count)["row"].to_pylist()
    assert found == [*range(BEFORE, BEFORE + ENTRIES)][first : first + count]


def test_all_entries_come_where_no_page_is_asked_for(table):
    assert keyed_rows(table, SITE, 1)["row"].to_pylist() == [*range(BEFORE, BEFORE + ENTRIES)]
    assert keyed_rows(table, b"other.example", 1).num_rows == 0
    assert keyed_rows(f"{table}/none", SITE, 1).num_rows == 0
    assert file_of(key_of(SITE), 1) == 0


def test_row_groups_before_and_behind_a_page_are_not_read(table, monkeypatch):
    read = []

    class Watched(pq.ParquetFile):
        def read_row_group(self, number, *arguments, **named):
            read.append(number)
            return super().read_row_group(number, *arguments, **named)

    monkeypatch.setattr(lookup.pq, "ParquetFile", Watched)
    assert keyed_rows(table, SITE, 1, first=600, count=50).num_rows == 50
    # The first group with the site has other keys too, and must be counted.
    assert read == [1, 7]
