"""Texts of removed documents do not enter a data set of texts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.exports.text_corpus import FOLDER, _write_file
from udfs.units.output import UnitOutput

IDS = [bytes([number]) * 16 for number in range(4)]


def write(path: Path, **columns: list[object]) -> str:
    table = pa.table({"doc_id": pa.array(IDS[: len(columns["crawl"])], pa.binary())} | columns)
    pq.write_table(table, path)
    return str(path)


def test_a_removed_document_and_a_dropped_one_are_left_out(tmp_path: Path) -> None:
    crawl = ["a"] * 4
    texts = write(tmp_path / "texts.parquet", crawl=crawl, text=["one", "two", "three", "four"])
    fates = ["kept", "kept", "dropped", "kept"]
    decided = write(tmp_path / "decided.parquet", crawl=crawl, fate=fates)
    gone = pa.table({"doc_id": pa.array([IDS[1]], pa.binary())})
    pq.write_table(gone, tmp_path / "gone.parquet")
    schema = pa.schema([("source", pa.string()), ("doc_id", pa.string()), ("text", pa.string())])
    for removed, expected in (([], ["one", "two", "four"]), (["gone.parquet"], ["one", "four"])):
        source = {
            "name": None,
            "uri": texts,
            "decided_uris": [decided],
            "removed_uris": [str(tmp_path / name) for name in removed],
        }
        unit = f"unit-{len(removed)}"
        with UnitOutput(str(tmp_path), unit, schema, folder=FOLDER) as output:
            _write_file(source, output)
            output.commit("key")
        found = pq.read_table(tmp_path / FOLDER / f"{unit}.parquet")["text"].to_pylist()
        assert found == expected
