"""Formats by name; WET texts, partitioned folders, and a format added by a class and a line."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import list_inputs
from tests.udfs.documents.test_given import batches, own
from udfs.documents.formats import FORMATS, InputUnit, Reading, format_of, known_suffixes
from udfs.documents.given import Given, Making, batches_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.warc.gz", "warc"), ("A.WARC.GZ", "warc"), ("a.warc", "warc"), ("a.warc.zst", "warc"),
        ("a.arc.gz", "arc"), ("a.ARC", "arc"), ("a.warc.wet.gz", "wet"), ("a.wet.gz", "wet"),
        ("a.jsonl", "json lines"), ("a.JSON.bz2", "json lines"), ("a.ndjson.xz", "json lines"),
        ("a.jsonl.zst", "json lines"), ("a.Parquet", "parquet"), ("a.warc.wat.gz", "wat"),
        ("a.wet.zst", "wet"), ("a.WARC.WET.bz2", "wet"), ("a.wat.xz", "wat"), ("a.arc.lz4", "arc"),
        ("a.csv", None), ("parquet", None), ("jsonl.gz", None),
    ],
)  # fmt: skip
def test_the_end_of_a_name_tells_the_format(name, kind):
    found = format_of(f"folder.warc/{name}")
    assert (found.name if found else None) == kind


def test_no_two_formats_claim_one_name():
    suffixes = known_suffixes()
    assert len(set(suffixes)) == len(suffixes)
    for name, one in FORMATS.items():
        for suffix in one.suffixes:
            assert format_of(f"a{suffix}").name == name


def conversion(number: int, text: str, language: str) -> bytes:
    block = text.encode()
    fields = [
        "WARC/1.0", "WARC-Type: conversion", f"WARC-Target-URI: http://e.org/{number}",
        "WARC-Date: 2024-01-02T03:04:05Z", f"WARC-Record-ID: <urn:uuid:{number}>",
        f"WARC-Identified-Content-Language: {language}", "Content-Type: text/plain",
        f"Content-Length: {len(block)}",
    ]  # fmt: skip
    return gzip.compress("\r\n".join(fields).encode() + b"\r\n\r\n" + block + b"\r\n\r\n")


def test_texts_of_wet_files_are_documents(tmp_path):
    path = tmp_path / "a.warc.wet.gz"
    records = [conversion(n, f"Text {n} été", "fra,eng") for n in range(4)]
    records[2] = records[2][:60] + b"\0" * 20 + records[2][80:]
    path.write_bytes(b"".join(records))
    name = "crawl-data/CC-MAIN-2024-10/wet/a.warc.wet.gz"
    found = own(path, name=name, columns=("warc-identified-content-language",))
    assert [row["text"] for row in found] == ["Text 0 été", "Text 1 été", None, "Text 3 été"]
    assert [row["rule"] for row in found] == [None, None, "damaged_file", None]
    assert (found[0]["url"], found[0]["extractor"]) == ("http://e.org/0", "wet")
    assert found[0]["fetch_time"].isoformat() == "2024-01-02T03:04:05+00:00"
    assert found[1]["warc_offset"] == len(records[0])
    assert json.loads(found[0]["own_columns"]) == {"warc-identified-content-language": "fra,eng"}
    everything = json.loads(own(path, name=name, columns=("*",))[0]["own_columns"])
    assert everything["content-type"] == "text/plain"


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.parquet",
        "a.wet.gz",
        "a.wet",
        "a.warc.gz",
        "a.wat",
    ],
)
def test_a_file_without_anything_is_one_row_in_every_format(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if name == "a.jsonl.gz" else b"")
    if name == "a.parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    (row,) = pa.Table.from_batches(batches(path)).to_pylist()
    assert (row["fate"], row["rule"], row["warc_offset"]) == ("quarantined", "empty_file", 0)


def test_keys_of_partitioned_folders_are_columns(tmp_path):
    path = tmp_path / "part.jsonl"
    path.write_text('{"body": "one", "lang": "written"}\n{"body": "two"}\n')
    name = "lang=de/day=2024-01-02%2F03/null=__HIVE_DEFAULT_PARTITION__/part.jsonl"
    found = own(path, name=name, text_column="body", columns=("lang", "day", "null"))
    assert [json.loads(row["own_columns"]) for row in found] == [
        {"lang": "written", "day": "2024-01-02/03"}, {"lang": "de", "day": "2024-01-02/03"},
    ]  # fmt: skip
    assert "own_columns" not in own(path, name=name, text_column="body")[0]


class Paragraphs:
    """A toy: a text file whose documents are divided by blank lines."""

    name = "paragraphs"
    suffixes = (".paragraphs",)
    has_pages, has_documents = False, True

    def is_divisible(self, path: str) -> bool:
        return False

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        texts = Path(unit.uri).read_text().split("\n\n")
        rows = (Given(n, {reading.columns.text_column: text}) for n, text in enumerate(texts))
        making = Making(settings=reading.extraction, columns=reading.columns, counts=reading.counts)
        return batches_of(rows, unit.crawl, unit.path, making)


def test_a_format_is_a_class_and_a_line(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, Paragraphs.name, Paragraphs())
    (tmp_path / "a.paragraphs").write_text("One.\n\nTwo\nlines.")
    (file,) = list_inputs(str(tmp_path))
    assert file.kind == "paragraphs"
    found = pa.Table.from_batches(batches(tmp_path / "a.paragraphs"))
    assert found.column("text").to_pylist() == ["One.", "Two\nlines."]
