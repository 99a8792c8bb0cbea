import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.documents.preextracted import read_documents
from udfs.documents.schema import EXTRACTED
from udfs.warc.scanner import WarcSettings

LINES = [
    json.dumps({"text": "one\nline", "url": "http://a/1"}),
    json.dumps(
        {
            "text": "two",
            "metadata": {"WARC-Target-URI": "http://a/2", "WARC-Date": "2024-01-02T03:04:05Z"},
        }
    ),
    "{broken",
    json.dumps({"url": "http://a/4"}),
    "[1]",
    json.dumps({"text": "sechs é", "url": None}),
]
RULES = [None, None, "bad_json", "missing_text", "bad_json", None]


def rows(path, counts=None, **settings):
    settings = ExtractionSettings(**settings)
    batches = read_documents(str(path), "C", path.name, settings, counts)
    return pa.Table.from_batches(batches, EXTRACTED).to_pylist()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".jsonl", bytes), (".jsonl.gz", gzip.compress), (".jsonl.zst", zstandard.compress)],
)
def test_lines_of_json_become_documents_and_malformed_ones_are_quarantined(tmp_path, suffix, pack):
    path = tmp_path / f"pool{suffix}"
    path.write_bytes(pack("\n".join(LINES).encode()))
    counts = RecordCounts()
    found = rows(path, counts)
    assert [row["rule"] for row in found] == RULES
    assert [row["url"] for row in found][:2] == ["http://a/1", "http://a/2"]
    assert [row["warc_offset"] for row in found] == list(range(6))
    assert (found[0]["text"], found[5]["text"]) == ("one\nline", "sechs é")
    assert found[1]["fetch_time"].isoformat() == "2024-01-02T03:04:05+00:00"
    assert counts.broken == 3
    assert rows(path, batch_rows=1) == found


def test_parquet_gives_the_same_documents(tmp_path):
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"text": ["one", None], "url": ["http://a/1", "http://a/2"]}), path)
    found = rows(path)
    assert [row["text"] for row in found] == ["one", None]
    assert [row["rule"] for row in found] == [None, "missing_text"]


def test_a_damaged_file_keeps_what_came_before(tmp_path):
    path = tmp_path / "pool.jsonl.gz"
    path.write_bytes(gzip.compress((LINES[0] + "\n").encode() * 9)[:-12])
    assert rows(path)[-1]["rule"] == "damaged_file"


def test_a_line_without_end_is_quarantined(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b"x" * 5_000_000 + b"\n" + LINES[0].encode() + b"\n")
    found = rows(path, warc=WarcSettings(max_record_size_bytes=100_000))
    assert [row["rule"] for row in found] == ["line_too_large", None]
