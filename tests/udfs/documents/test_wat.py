"""WAT files: what they note of pages, under the ids of the pages."""

import gzip
import json

import pyarrow as pa
import pytest

from tests.udfs.documents.test_given import rows
from udfs.documents.extract import ExtractionSettings
from udfs.documents.schema import document_id
from udfs.documents.wat import metadata_batches, page_path

PATH = "crawl-data/CC-MAIN-2024-10/segments/1.2/wat/CC-MAIN-a.warc.wat.gz"
PAGES = "crawl-data/CC-MAIN-2024-10/segments/1.2/warc/CC-MAIN-a.warc.gz"
HEAD = {
    "Title": "Ferries \ud800",
    "Metas": [
        {"name": "robots", "content": "noindex"},
        {"property": "og:type", "content": "article"},
        {"http-equiv": "refresh"},
    ],
    "Link": [{"path": "LINK@/href", "url": "/style.css", "rel": "stylesheet"}],
}


def note_of(number, kind="response", *, offset=None, url=None, **payload):
    """The JSON of a note of a page, whose offset is `number` unless another is given."""
    page = {
        "Headers": {"content-Type": ["text/html", "text/plain"]},
        "Response-Message": {"Status": "200"},
        "HTML-Metadata": {"Head": HEAD, "Links": [{"path": "A@/href", "url": "b", "text": "B"}]},
    }
    envelope = {
        "WARC-Header-Metadata": {
            "WARC-Type": kind,
            "WARC-Target-URI": f"http://e.org/{number}" if url is None else url,
            "WARC-Date": "2024-01-02T03:04:05Z",
        },
        "Payload-Metadata": {"HTTP-Response-Metadata": page | payload},
    }
    place = str(number) if offset is None else offset
    container = {"Filename": "CC-MAIN-a.warc.gz", "Compressed": True, "Offset": place}
    return json.dumps({"Container": container, "Envelope": envelope}).encode()


def note(number, kind="response", **changes):
    """A record of a WAT file, in a gzip member of its own."""
    return record(note_of(number, kind, **changes))


def record(block):
    fields = (
        "WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: http://e.org/x\r\n"
        f"WARC-Record-ID: <urn:uuid:1>\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(fields.encode() + block + b"\r\n\r\n")


def noted(path):
    batches = metadata_batches("CC-MAIN-2024-10", str(path), PATH, ExtractionSettings())
    return pa.Table.from_batches(batches).to_pylist()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "CC-MAIN-a.warc.wat.gz"
    records = [note(10), note(20, "request"), record(b"{"), note(30)]
    path.write_bytes(b"".join(records))
    return path


def test_a_row_a_response_with_the_id_of_its_page(file):
    first, broken, last = noted(file)
    assert first["doc_id"] == document_id("CC-MAIN-2024-10", PAGES, 10)
    assert (first["warc_path"], first["warc_offset"], first["url"]) == (
        PAGES,
        10,
        "http://e.org/10",
    )
    assert (first["http_status"], first["content_type"]) == (200, "text/html")
    assert first["fetch_time"].isoformat() == "2024-01-02T03:04:05+00:00"
    assert first["title"] == "Ferries \ufffd"
    assert first["metas"] == [
        {"name": "robots", "content": "noindex"},
        {"name": "og:type", "content": "article"},
        {"name": "refresh", "content": None},
    ]
    assert first["links"] == [
        {"url": "/style.css", "path": "LINK@/href", "text": None},
        {"url": "b", "path": "A@/href", "text": "B"},
    ]
    assert (broken["doc_id"], broken["url"]) == (None, "http://e.org/x")
    assert broken["broken"].startswith("bad_json: ")
    assert (last["warc_offset"], last["broken"]) == (30, None)


@pytest.mark.parametrize(
    "block",
    [
        b"{}",
        b"[]",
        b'{"Envelope": {}, "Container": {}}',
        note_of(1, offset="no number"),
        note_of(1, offset="9" * 30),
        note_of(1, offset=float("inf")),
    ],
)
def test_a_note_of_another_form_costs_itself(tmp_path, block):
    (tmp_path / "a.wat.gz").write_bytes(note(10) + record(block) + note(30))
    assert {10, 30} <= {row["warc_offset"] for row in noted(tmp_path / "a.wat.gz")}


def test_odd_values_of_a_note_are_text_or_nothing(tmp_path):
    odd = {"Response-Message": {"Status": "9" * 12}}
    notes = note(10, url="http://e.org/\ud800", **odd) + note(30, url=7)
    (tmp_path / "a.wat.gz").write_bytes(notes)
    first, second = noted(tmp_path / "a.wat.gz")
    assert (first["url"], first["http_status"]) == ("http://e.org/\ufffd", None)
    assert second["url"] == "7"


def test_a_page_without_html_has_no_title(tmp_path):
    (tmp_path / "a.wat.gz").write_bytes(note(1, **{"HTML-Metadata": {}, "Headers": {}}))
    (row,) = noted(tmp_path / "a.wat.gz")
    assert (row["title"], row["metas"], row["links"], row["content_type"]) == (None, [], [], None)


def test_damage_costs_the_record(tmp_path):
    records = [note(10), note(20), note(30)]
    records[1] = records[1][:60] + b"\0" * 30 + records[1][90:]
    (tmp_path / "a.wat.gz").write_bytes(b"".join(records))
    assert [row["warc_offset"] for row in noted(tmp_path / "a.wat.gz")] == [10, None, 30]


def test_a_run_is_told_that_there_are_no_texts(file):
    found = rows(file)
    assert {row["rule"] for row in found} == {"missing_text"}
    assert "use dclm_spark.read_metadata" in found[0]["error"]


@pytest.mark.parametrize(
    ("path", "page"),
    [(PATH, PAGES), ("a.warc.wat.gz", "a.warc.gz"), ("wat/a.wat", "warc/a.warc")],
)
def test_the_path_of_the_pages(path, page):
    assert page_path(path) == page
