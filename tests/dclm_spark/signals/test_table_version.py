"""What an external table of signals is known by."""

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.signals.external_table import table_version


def footer(path):
    return pq.ParquetFile(path).metadata.to_dict()


def test_other_values_with_the_same_footer_are_another_table(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"score": [1.0, 2.0, 3.0, 9.0]}), path, compression="none")
    before, first = footer(path), table_version([str(path)])
    assert table_version([str(path)]) == first
    pq.write_table(pa.table({"score": [1.0, 3.0, 2.0, 9.0]}), path, compression="none")
    assert footer(path) == before
    assert table_version([str(path)]) != first
