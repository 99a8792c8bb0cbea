"""What is read of files of texts, and which files each reader refuses."""

import json

import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.library.web_pages import (
    TEXTS,
    _texts,
    extract_text,
    read_metadata,
    read_texts,
    read_warc,
)
from tests.udfs.documents.test_wat import note
from udfs.documents.extract import ExtractionSettings


def test_texts_have_their_place_and_a_broken_line_says_why(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "The cat.", "url": "http://a.org/"}) + "\n{no json\n")
    file = {"crawl": "C", "path": "a.jsonl", "uri": str(path), "kind": "json lines"}
    (batch,) = _texts(file, ExtractionSettings())
    assert batch.schema == TEXTS
    first, second = batch.to_pylist()
    assert (first["text"], first["url"], first["broken"]) == ("The cat.", "http://a.org/", None)
    assert (first["warc_path"], len(first["doc_id"])) == ("a.jsonl", 16)
    assert second["text"] is None
    assert second["broken"]


def test_a_wet_record_is_a_text(tmp_path):
    body = b"Les chats."
    head = (
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://e.org/0\r\n"
        f"WARC-Date: 2024-02-20T10:00:00Z\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    path = tmp_path / "a.warc.wet"
    path.write_bytes(head.encode() + body + b"\r\n\r\n")
    file = {"crawl": "C", "path": "a.warc.wet", "uri": str(path), "kind": "wet"}
    (batch,) = _texts(file, ExtractionSettings())
    (row,) = batch.to_pylist()
    assert (row["text"], row["url"], row["broken"]) == ("Les chats.", "http://e.org/0", None)


@pytest.mark.spark
def test_each_reader_names_the_other_for_its_files(spark, tmp_path):
    (tmp_path / "a.warc.wet").write_bytes(b"")
    (tmp_path / "a.warc").write_bytes(b"")
    with pytest.raises(InputError, match="use read_texts"):
        read_warc(spark, str(tmp_path / "a.warc.wet"))
    with pytest.raises(InputError, match="use read_warc"):
        read_texts(spark, str(tmp_path / "a.warc"))
    with pytest.raises(InputError, match=r"a\.warc is no WAT file"):
        read_metadata(spark, str(tmp_path / "a.warc"))


@pytest.mark.spark
def test_metadata_of_pages_are_read_from_wat_files(spark, tmp_path):
    (tmp_path / "a.warc.wat.gz").write_bytes(note(10) + note(20, "request") + note(30))
    found = read_metadata(spark, str(tmp_path / "a.warc.wat.gz")).orderBy("warc_offset").collect()
    assert [(row.warc_path, row.warc_offset) for row in found] == [
        ("a.warc.gz", 10), ("a.warc.gz", 30)
    ]  # fmt: skip
    assert found[0].links[1].asDict() == {"url": "b", "path": "A@/href", "text": "B"}


@pytest.mark.spark
def test_views_of_a_page_are_left_to_the_job(spark):
    frame = spark.createDataFrame([("<p>a",)], "html string")
    views = ExtractionSettings(views=("resiliparse", "trafilatura"))
    with pytest.raises(SettingError, match="name one extractor"):
        extract_text(frame, settings=views)
