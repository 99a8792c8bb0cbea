"""Compaction of the columns that a recipe adds: they may hold what a page said."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.removal.compaction import _compact_unit, _Sources, signal_stages
from udfs.units.output import UnitOutput

IDS = [bytes([number]) * 16 for number in range(3)]


def test_strings_of_a_signal_of_a_removed_document_become_empty(tmp_path: Path) -> None:
    stage = tmp_path / "stages" / "signal-topic"
    columns = {
        "doc_id": pa.array(IDS, pa.binary()),
        "topic": ["birds", "the name of a person", "ships"],
        "topic_probability": [0.5, 0.25, 1.0],
    }
    rows = pa.RecordBatch.from_pydict(columns)
    with UnitOutput(str(stage), "unit", rows.schema, folder="columns") as output:
        output.write(rows)
        output.commit("key")
    met = tmp_path / "met.parquet"
    pq.write_table(pa.table({"doc_id": pa.array([IDS[1]], pa.binary())}), met)
    assert signal_stages(str(tmp_path)) == ["signal-topic"]
    sources = _Sources(lists=(), met=(str(met),), padding=np.uint32(1))
    _compact_unit(sources, {"unit": "unit", "directory": str(stage)})
    found = pq.read_table(stage / "columns" / "unit.parquet")
    assert found["topic"].to_pylist() == ["birds", "", "ships"]
    assert found["topic_probability"].to_pylist() == [0.5, 0.25, 1.0]
