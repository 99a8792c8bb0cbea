import bz2
import gzip
import lzma
import zlib

import brotli
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.fault_server import end_after, reset_after, serve, status
from udfs.documents.extract import ExtractionSettings, RecordCounts, extract_documents
from udfs.documents.schema import document_id
from udfs.html.page_policy import PagePolicySettings
from udfs.html.parser import SupervisedParser
from udfs.storage.files import ReadSettings
from udfs.warc.selection import OFFSETS

PAGES = (
    (b"<main><p>A plain page of text.</p></main>", "text/html", 200),
    ("<p>caf\xe9</p>".encode("latin-1"), "text/html; charset=latin1", 200),
    (b"", "text/html", 200),
    (b'{"a": 1}', "application/json", 200),
    (b"<p>not found</p>", "text/html", 404),
)


def warc(pages=PAGES) -> bytes:
    members = [
        gzip.compress(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n")
    ]
    for number, (body, content_type, code) in enumerate(pages):
        block = f"HTTP/1.1 {code} X\r\nContent-Type: {content_type}\r\n\r\n".encode() + body
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}\r\n"
        head += f"Content-Length: {len(block)}\r\n\r\n"
        members.append(gzip.compress(head.encode() + block + b"\r\n\r\n"))
    return b"".join(members)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(warc())
    return str(tmp_path / "a.warc.gz")


def extract(path, **settings):
    names = ("skip_url", "counts", "parser")
    options = {name: settings.pop(name) for name in names if name in settings}
    resolved = ExtractionSettings(**settings)
    batches = extract_documents("C", path, "seg/a.warc.gz", resolved, **options)
    return pa.Table.from_batches(batches, resolved.schema)


def test_every_response_record_gets_a_row(path):
    counts = RecordCounts()
    table = extract(path, counts=counts)
    assert table["rule"].to_pylist() == [None, "not_utf8", None, None, None]
    assert table["text"].to_pylist()[0] == "A plain page of text."
    assert table["text"].to_pylist()[2] == ""
    assert (counts.response, counts.warcinfo) == (5, 1)
    first = table.to_pylist()[0]
    assert first["doc_id"] == document_id("C", "seg/a.warc.gz", first["warc_offset"])
    assert first["extractor"].startswith("resiliparse")


def test_records_that_the_index_did_not_select_are_dropped_unparsed(path, tmp_path):
    class Parser(SupervisedParser):
        pages = 0

        def parse_all(self, pages):
            self.pages += len(pages)
            return super().parse_all(pages)

    offsets = extract(path)["warc_offset"].to_pylist()
    selection = pa.table(
        [["seg/0.warc.gz", "seg/a.warc.gz"], [offsets[:3], [offsets[0], offsets[4]]]],
        schema=OFFSETS,
    )
    location = str(tmp_path / "selected.parquet")
    pq.write_table(selection, location, row_group_size=1)
    with Parser(30) as parser:
        table = extract(path, selected_records=location, parser=parser)
    none = "not_selected"
    assert table["rule"].to_pylist() == [None, none, none, none, None]
    assert table["fate"].to_pylist()[1:4] == ["dropped"] * 3
    assert parser.pages == 2


def test_a_file_that_names_no_records_is_refused_as_a_selection(path, tmp_path):
    location = str(tmp_path / "other.parquet")
    pq.write_table(pa.table({"a": [1]}), location)
    with pytest.raises(ValueError, match=r"selected_records = .*other\.parquet: expected"):
        extract(path, selected_records=location)


def test_other_charsets_are_read_without_the_reference_s_quirk(path):
    row = extract(path, quirks="none").to_pylist()[1]
    assert (row["text"], row["charset"], row["charset_source"]) == ("café", "cp1252", "http-header")


def test_status_type_and_size_policies_say_what_they_dropped(path):
    table = extract(
        path, http_statuses=(200,), mime_types=("text/html",), max_html_size_bytes=20, quirks="none"
    )
    assert table["rule"].to_pylist() == ["html_too_large", None, None, "mime_type", "http_status"]
    assert table["fate"].to_pylist() == ["quarantined", None, None, "dropped", "dropped"]
    assert table["value"].to_pylist() == [41.0, None, None, None, 404.0]


HEADERS = "text/html\r\nX-Robots-Tag: googlebot: noindex\r\nX-Robots-Tag: noai"
OPINIONS = (
    (b"<main><p>A plain page of text.</p></main>", "text/html", 200),
    (b"<p>By header</p>", HEADERS, 200),
    (b"<meta name=robots content=noindex><p>By meta</p>"
     b'<a rel=license href="//creativecommons.org/licenses/by/4.0">', "text/html", 200),
    (b"<p>Reserved</p>", "text/html\r\nTDM-Reservation: 1", 200),
)  # fmt: skip


def test_what_pages_say_of_their_use_is_stored_and_drops_them_unparsed(tmp_path):
    path = tmp_path / "b.warc.gz"
    path.write_bytes(warc(OPINIONS))
    assert "robots_noai" not in extract(str(path)).column_names
    seen = extract(str(path), page_policy=PagePolicySettings(record=True))
    assert seen["robots_noai"].to_pylist() == [False, True, False, False]
    assert seen["robots_noindex"].to_pylist() == [False, False, True, False]
    assert seen["tdm_reservation"].to_pylist() == [False, False, False, True]
    assert seen["licence_kind"].to_pylist() == [None, None, "by", None]
    assert seen["rule"].null_count == 4
    policy = PagePolicySettings(drop=("tdm_reservation", "robots_noai"))
    dropped = extract(str(path), page_policy=policy)
    assert dropped["rule"].to_pylist() == [None, "robots_noai", None, "tdm_reservation"]
    assert dropped["text"].to_pylist()[1] is None
    assert dropped["licence_version"].to_pylist()[2] == "4.0"


def test_pages_named_by_their_url_are_not_parsed(path):
    parsed = []

    def skip(urls):
        rule = pa.array(["banned" if url.endswith("/0") else None for url in urls.to_pylist()])
        return rule, pa.nulls(len(urls), pa.float64()), pa.nulls(len(urls), pa.float64())

    def parser(html):
        parsed.append(html)
        return html

    table = extract(path, skip_url=skip, parser=SupervisedParser(5, parser))
    assert table["rule"].to_pylist()[0] == "banned"
    assert table["fate"].to_pylist()[0] == "dropped"
    assert table["text"].to_pylist()[0] is None


def test_a_page_that_kills_the_parser_is_quarantined_and_the_job_goes_on(path):
    def parser(html):
        return html if "plain" not in html else __import__("os")._exit(3)

    table = extract(path, parser=SupervisedParser(5, parser))
    assert table["rule"].to_pylist()[0] == "parser_crash"
    assert table["fate"].to_pylist()[0] == "quarantined"
    assert table["text"].to_pylist()[3] == '{"a": 1}'


def test_batches_are_cut_by_bytes_and_rows_without_changing_the_documents(path):
    whole = extract(path)
    assert extract(path, batch_rows=2).equals(whole)
    assert extract(path, batch_size_bytes=1).equals(whole)
    pieces = list(extract_documents("C", path, "p", ExtractionSettings(batch_rows=2)))
    assert [piece.num_rows for piece in pieces] == [2, 2, 1]


def test_a_broken_record_is_a_quarantined_row(tmp_path):
    data = bytearray(warc())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "b.warc.gz").write_bytes(bytes(data))
    table = extract(str(tmp_path / "b.warc.gz"))
    broken = table.filter(pc.equal(table["fate"], "quarantined"))
    assert broken["rule"].to_pylist() == ["damaged_file"]
    assert table.num_rows == 5


def test_a_broken_connection_changes_nothing(path):
    local = extract(path)
    quick = ReadSettings(min_wait_seconds=0.001, max_wait_seconds=0.005)
    with open(path, "rb") as file, serve(file.read()) as server:  # noqa: PTH123
        assert extract(server.url, reading=quick).equals(local)
        assert len(server.gets) == 1
        server.faults += [status(503), end_after(200), reset_after(100)]
        assert extract(server.url, reading=quick).equals(local)


def test_an_unknown_charset_policy_names_the_known_ones():
    with pytest.raises(ValueError, match="strict-utf-8"):
        ExtractionSettings(charset_policy="guess")


@pytest.mark.parametrize("policy", ["declared", "strict-utf-8"])
def test_a_compressed_body_that_no_header_tells_of_is_no_text(tmp_path, policy):
    bodies = [gzip.compress(b"<p>one page of text</p>"), zstandard.compress(b"<p>another</p>")]
    pages = [(body, "text/html; charset=latin1", 200) for body in bodies]
    (tmp_path / "a.warc.gz").write_bytes(warc(pages))
    settings = ExtractionSettings(charset_policy=policy)
    found = pa.Table.from_batches(
        extract_documents("c", str(tmp_path / "a.warc.gz"), "a.warc.gz", settings)
    )
    expected = "could_not_decode" if policy == "declared" else "not_utf8"
    assert found["rule"].to_pylist() == [expected] * 2
    assert not any(found["text"].to_pylist())


MEDIA = {
    "zlib": zlib.compress, "br": brotli.compress, "bzip2": bz2.compress, "xz": lzma.compress,
    "raw deflate": lambda data: zlib.compress(data)[2:-4],
    "image": lambda data: b"\xff\xd8\xff\xe0\0\x10JFIF" + zlib.compress(data),
}  # fmt: skip


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "gbk", ""])
def test_data_that_is_no_text_never_becomes_one(tmp_path, charset):
    page = "".join(f"<p>{number**5} ways to say it: été</p>" for number in range(60)).encode()
    kind = f"text/html; charset={charset}" if charset else "text/html"
    pages = [(pack(page), kind, 200) for pack in MEDIA.values()]
    # Control bytes are no reason by themselves, nor are letters beyond ASCII.
    texts = ["<p>" + "a\0\x01b" * 90, "<p>\x07" + "письмо " * 90]
    pages += [(text.encode(), "text/html; charset=utf-8", 200) for text in texts]
    # A page that goes on as noise is one up to there.
    pages.append((b"<p>" + b"some words " * 9 + zlib.compress(page), "text/html", 200))
    wide = ("<p>" + "今天的天气非常好" * 40).encode("utf-16-be")
    pages.append((wide, "text/html; charset=utf-16be", 200))
    (tmp_path / "a.warc.gz").write_bytes(warc(pages))
    settings = ExtractionSettings(charset_policy="declared")
    found = pa.Table.from_batches(
        extract_documents("c", str(tmp_path / "a.warc.gz"), "a.warc.gz", settings)
    )
    assert found["rule"].to_pylist() == ["could_not_decode"] * len(MEDIA) + [None] * 4
    assert [bool(text) for text in found["text"].to_pylist()] == [False] * len(MEDIA) + [True] * 4
