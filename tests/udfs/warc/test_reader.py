import csv
import gzip
import io
import json
import lzma
import os
import tracemalloc
import zlib
from collections import Counter

import pytest
import zstandard

from tests.shared_data import SHARED, needs_shared
from udfs.warc.reader import RecordCounts, WarcRecord, read_records
from udfs.warc.scanner import BrokenRecord, WarcSettings

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"


def record(number: int, body: bytes = b"<p>text", kind: str = "response", **extra: str) -> bytes:
    block = HTTP + body if kind == "response" else body
    fields = {
        "WARC-Type": kind,
        "WARC-Target-URI": f"http://a.example/{number}",
        "WARC-Date": "2026-11-23T10:00:00Z",
        "WARC-Record-ID": f"<urn:uuid:{number}>",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in extra.items()}
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + block + b"\r\n\r\n"


def read(data: bytes, **limits: int) -> list[WarcRecord | BrokenRecord]:
    return list(read_records(io.BytesIO(data), WarcSettings(**limits)))


def urls(records: list[WarcRecord | BrokenRecord]) -> list[str]:
    return [str(found.url)[-1] for found in records if isinstance(found, WarcRecord)]


def rules(records: list[WarcRecord | BrokenRecord]) -> list[str]:
    return [found.rule for found in records if isinstance(found, BrokenRecord)]


def members(count: int = 4) -> list[bytes]:
    noise = [zlib.crc32(bytes([n])).to_bytes(4, "big").hex().encode() * 300 for n in range(count)]
    return [gzip.compress(record(n, noise[n])) for n in range(count)]


def test_a_record_of_a_gzip_file_has_the_offset_of_its_member():
    parts = members()
    found = read(b"".join(parts))
    assert urls(found) == ["0", "1", "2", "3"]
    assert [entry.offset for entry in found] == [
        sum(map(len, parts[:number])) for number in range(4)
    ]


def test_a_response_carries_its_http_facts():
    (found,) = read(record(7, b"<p>hi", WARC_Truncated="length"))
    assert isinstance(found, WarcRecord)
    assert (found.http_status, found.http_content_type) == (200, "text/html; charset=utf-8")
    assert (found.payload, found.truncated, found.offset) == (b"<p>hi", "length", 0)
    assert found.fetch_time is not None
    assert found.fetch_time.isoformat() == "2026-11-23T10:00:00+00:00"


@pytest.mark.parametrize(
    "packed",
    [
        b"".join(record(n) for n in range(4)),
        gzip.compress(b"".join(record(n) for n in range(4))),
        b"".join(zstandard.compress(record(n)) for n in range(4)),
        zstandard.ZstdCompressor(write_content_size=False).compress(
            b"".join(record(n) for n in range(4))
        ),
    ],
    ids=["plain", "one gzip member", "zstd frames", "one zstd frame of unknown size"],
)
def test_every_container_gives_the_same_records_at_distinct_offsets(packed):
    found = read(packed)
    assert urls(found) == ["0", "1", "2", "3"]
    assert len({entry.offset for entry in found}) == 4


def test_members_that_do_not_end_with_records_are_joined():
    whole = b"".join(record(n) for n in range(4))
    cut = b"".join(gzip.compress(whole[at : at + 333]) for at in range(0, len(whole), 333))
    assert urls(read(cut)) == ["0", "1", "2", "3"]


def test_reads_of_any_size_give_the_same_records():
    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 37) if size >= 0 else -1)

    data = b"".join(members(20))
    assert list(read_records(Trickle(data))) == read(data)


@pytest.mark.parametrize("at", [15, 60, 150, -6])
def test_a_damaged_member_costs_its_record_only(at):
    parts = members()
    damaged = bytearray(parts[1])
    damaged[at] ^= 0xFF
    found = read(parts[0] + bytes(damaged) + parts[2] + parts[3])
    assert urls(found) == ["0", "2", "3"]
    assert rules(found) == ["damaged_file"]
    assert len({entry.offset for entry in found}) == 4


def test_a_member_cut_short_costs_its_record_only():
    parts = members()
    found = read(parts[0] + parts[1][: len(parts[1]) // 2] + parts[2])
    assert urls(found) == ["0", "2"]
    assert len(rules(found)) == 1


def test_damage_behind_a_whole_record_has_an_offset_of_its_own():
    found = read(gzip.compress(record(0) + record(1))[:-2])
    assert (urls(found), rules(found)) == (["0", "1"], ["damaged_file"])
    assert len({entry.offset for entry in found}) == 3


def test_a_file_that_ends_in_the_middle_of_a_record_says_so():
    parts = members()
    found = read(parts[0] + parts[1][:-30])
    assert urls(found) == ["0"]
    assert "cut off by the file's end" in found[-1].reason
    found = read(record(0) + record(1)[:-20])
    assert (urls(found), rules(found)) == (["0"], ["truncated_record"])


def test_bytes_between_members_cost_nothing_else():
    parts = members()
    found = read(parts[0] + b"garbage" + parts[1] + b"\0" * 500 + parts[2])
    assert (urls(found), rules(found)) == (["0", "1", "2"], ["damaged_file"])


@pytest.mark.parametrize("length", ["0", "3", "99999", "-1", "many", "9" * 30, str(2 << 30)])
@pytest.mark.parametrize("packed", [False, True])
def test_a_wrong_content_length_costs_its_record_only(length, packed):
    parts = [record(0), record(1, Content_Length=length), record(2), record(3)]
    found = read(b"".join(map(gzip.compress, parts)) if packed else b"".join(parts))
    assert [url for url in urls(found) if url != "1"] == ["0", "2", "3"]
    assert len(rules(found)) == 1


def test_a_member_that_ends_with_its_header_takes_nothing_from_the_next():
    head = record(1, Content_Length="500").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    found = read(b"".join(map(gzip.compress, (record(0), head, record(2)))))
    assert (urls(found), rules(found)) == (["0", "2"], ["truncated_record"])


def test_other_records_are_counted():
    kinds = ("warcinfo", "request", "response", "metadata", "revisit", "Response", "odd")
    counts = RecordCounts()
    data = b"".join(record(n, kind=kind) for n, kind in enumerate(kinds))
    assert len(list(read_records(io.BytesIO(data), counts=counts))) == 2
    assert (counts.warcinfo, counts.request, counts.response, counts.other) == (1, 1, 2, 1)


def test_types_that_have_names_of_ours_are_other_types():
    counts = RecordCounts()
    names = ("broken", "count", "lost_size_bytes", "__class__")
    data = b"".join(record(n, kind=kind) for n, kind in enumerate(names))
    assert list(read_records(io.BytesIO(data), counts=counts)) == []
    assert counts == RecordCounts(other=4)


def test_bytes_that_damage_left_nothing_of_are_counted():
    whole = [gzip.compress(record(number)) for number in range(4)]
    lost = bytearray(gzip.compress(record(4, os.urandom(9000))))
    lost[40:60] = bytes(20)
    for data, expected in (
        (b"".join(whole), 0),
        (b"".join([*whole[:2], lost, *whole[2:]]), len(lost)),
        (b"".join(whole) + b"no member" * 100, 900),
        (record(0) + b"no record\n" * 50 + record(1), 500),
        (lzma.compress(record(0)) + bytes(12) + b"no stream" + lzma.compress(record(1)), 9),
    ):
        counts = RecordCounts()
        list(read_records(io.BytesIO(data), counts=counts))
        assert counts.lost_size_bytes == pytest.approx(expected, abs=60)


def test_the_crawler_s_charset_is_taken_from_the_metadata_record():
    about = {"WARC_Concurrent_To": "<urn:uuid:1>"}
    fields = b"fetchTimeMs: 12\r\ncharset-detected: Shift_JIS\r\n"
    data = record(1) + record(2, fields, "metadata", **about) + record(3)
    first, second = read(data)
    assert isinstance(first, WarcRecord)
    assert isinstance(second, WarcRecord)
    assert (first.detected_charset, second.detected_charset) == ("Shift_JIS", None)


def with_http(head: bytes, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
    return record(0, block, kind="response", Content_Length=str(len(block))).replace(HTTP, b"")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"4\r\n<p>t\r\n3;x=y\r\next\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"<p>text"),
        (b"Content-Encoding: gzip\r\n", gzip.compress(b"<p>text", mtime=0)),
        (b"Content-Encoding: gzip\r\n", b"<p>text"),
        (b"Content-Encoding: deflate\r\n", zlib.compress(b"<p>text")),
        (b"Content-Encoding: zstd\r\n", zstandard.compress(b"<p>text")),
        (b"Content-Encoding: br\r\n", bytes.fromhex("0b03803c703e7465787403")),
        (b"Content-Encoding: br\r\n", b"<p>text"),
    ],
)
def test_bodies_are_read_as_sent_or_as_stored(head, body):
    (found,) = read(with_http(head, body))
    assert isinstance(found, WarcRecord)
    assert found.payload == b"<p>text"


def arc_record(number: int, body: bytes = b"<p>text", *, url: str = "", more: str = "") -> bytes:
    block = HTTP + body
    url = url or f"http://a.example/{number}"
    line = f"{url} 192.0.2.{number} 20080430121314 text/html{more} {len(block)}\n"
    return line.encode() + block + b"\n"


ARC_HEAD = b"filedesc://IA-001.arc 0.0.0.0 20080430204825 text/plain 16\n1 0 InternetArch\n"


@pytest.mark.parametrize("pack", [lambda parts: b"".join(parts), lambda parts: b"".join(
    gzip.compress(part, mtime=0) for part in parts)], ids=["plain", "members"])  # fmt: skip
def test_an_arc_file_gives_the_pages_of_its_records(pack):
    parts = [
        ARC_HEAD, arc_record(0), arc_record(1, b"<p>WARC/1.0\n\n"),
        arc_record(2, b"", url="dns:a.example"), arc_record(3, more=" 200 - - 77 a.arc.gz"),
        arc_record(4, url="http://a.example/a b/4"),
    ]  # fmt: skip
    found = read(pack(parts))
    assert urls(found) == ["0", "1", "3", "4"]
    assert len({entry.offset for entry in found}) == 4
    assert isinstance(found[0], WarcRecord)
    assert (found[0].http_status, found[0].payload) == (200, b"<p>text")
    assert str(found[0].fetch_time) == "2008-04-30 12:13:14+00:00"
    counts = RecordCounts()
    list(read_records(io.BytesIO(pack(parts)), counts=counts))
    assert (counts.response, counts.warcinfo, counts.resource) == (4, 1, 1)


@pytest.mark.parametrize("at", [8, 30, 60, -9])
def test_damage_in_an_arc_file_costs_the_record_that_it_hits(at):
    parts = [gzip.compress(part, mtime=0) for part in (ARC_HEAD, *map(arc_record, range(4)))]
    damaged = bytearray(parts[2])
    damaged[at] ^= 0xFF
    found = read(b"".join([*parts[:2], bytes(damaged), *parts[3:]]))
    assert set(urls(found)) - {"1"} == {"0", "2", "3"}
    assert len(rules(found)) <= 1
    plain = [ARC_HEAD, *map(arc_record, range(4))]
    plain[2] = plain[2].replace(b" text/html ", b" text/html 9")
    found = read(b"".join(plain))
    assert [url for url in urls(found) if url != "1"] == ["0", "2", "3"]
    assert len(rules(found)) == 1


def test_other_files_say_what_they_are():
    assert rules(read(gzip.compress(b"filedesc://IA-001.arc 0.0.0.0\n", mtime=0))) == [
        "not_a_record"
    ]
    assert rules(read(b"")) == ["empty_file"]
    assert rules(read(b"\x89PNG\r\n\x1a\n" + b"x" * 5000)) == ["not_a_record"]
    assert rules(read(gzip.compress(b'{"text": "x"}\n' * 500))) == ["not_a_record"]


def bomb(prefix: bytes, size: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    parts = [deflate.compress(prefix)]
    parts += [deflate.compress(zeros) for _ in range(size >> 20)]
    return b"".join([*parts, deflate.flush()])


@pytest.mark.parametrize("prefix", [b"", record(1, Content_Length=str(1 << 30)).split(b"<p>")[0]])
def test_a_bomb_of_zeros_costs_one_record_and_little_memory(prefix):
    parts = members()
    data = parts[0] + bomb(prefix, 1 << 28) + parts[2]
    tracemalloc.start()
    found = read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert urls(found) == ["0", "2"]
    assert len(rules(found)) == 1
    assert peak < 64 << 20


def test_a_body_that_inflates_without_end_costs_one_record():
    data = with_http(b"Content-Encoding: gzip\r\n", bomb(b"", 1 << 26)) + record(1)
    found = read(data, max_record_size_bytes=8 << 20)
    assert (urls(found), rules(found)) == (["1"], ["http_too_large"])


def test_a_million_headers_cost_one_record():
    many = b"".join(b"X-%d: y\r\n" % number for number in range(1_000_000))
    warc = b"WARC/1.0\r\n" + many + b"\r\n" + record(1)
    assert (urls(read(warc)), rules(read(warc))) == (["1"], ["header_too_large"])
    assert urls(read(gzip.compress(warc) + gzip.compress(record(2)))) == ["1", "2"]
    found = read(with_http(many, b"body") + record(1))
    assert (urls(found), rules(found)) == (["1"], ["http_too_large"])


# What we do not count as read: the file ends within the record, or the header is not WARC's.
UNREADABLE = {
    "netarchivesuite_solrwayback__Evil-Warc-Headers.warc": 1,
    "netarchivesuite_solrwayback__transfer_compression_none_truncated.warc.gz": 1,
    "oduwsdl_ipwb__redirect.warc": 1,
}


def manifest() -> list[dict[str, str]]:
    if not SHARED.is_dir():
        return []
    with (SHARED / "warc" / "manifest.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def counted(path) -> tuple[RecordCounts, list[WarcRecord | BrokenRecord]]:
    counts = RecordCounts()
    with path.open("rb") as file:
        return counts, list(read_records(file, counts=counts))


@needs_shared
@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["file"].rpartition("/")[2])
def test_real_files_give_every_record_that_other_readers_read(row):
    path = SHARED / "warc" / row["file"]
    counts, found = counted(path)
    assert len({entry.offset for entry in found}) == len(found)
    if ".arc" in path.name:
        # Those that end within their last record are broken ones here.
        read = counts.response + counts.resource + counts.broken
        assert read >= by_warcio(row)["response"] > 0 or row["file"].startswith("broken/")
        assert counts.broken <= 1 or row["file"].startswith("broken/")
        return
    if not row["file"].startswith("genuine/"):
        assert found or vars(counts)
        return
    others = max(by_warcio(row), by_fastwarc(path), key=Counter.total)
    missing = UNREADABLE.get(path.name, 0)
    for kind, number in others.items():
        have = getattr(counts, kind, counts.other)
        assert have >= number - missing, (kind, counts)
    assert counts.broken >= missing


def by_warcio(row: dict[str, str]) -> "Counter[str]":
    numbers: Counter[str] = Counter()
    for kind, number in json.loads(row["records_read_by_warcio"]).items():
        numbers[kind.lower()] += number
    del numbers["records"]
    return numbers


def by_fastwarc(path) -> "Counter[str]":
    from fastwarc.warc import ArchiveIterator

    numbers: Counter[str] = Counter()
    with path.open("rb") as file:
        try:
            for entry in ArchiveIterator(file, parse_http=False):
                numbers[entry.record_type.name] += 1
                entry.reader.read()
        except Exception:
            numbers["stopped"] = 0
    return +numbers


PACKERS = {"gzip": gzip.compress, "zstd": zstandard.compress, "plain": bytes}


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
@pytest.mark.parametrize("before", [b"garbage" * 900, b"\0" * 512, b"\r\n", b"\xef\xbb\xbf"])
def test_bytes_before_the_first_member_cost_nothing_else(pack, before):
    parts = [PACKERS[pack](record(n)) for n in range(3)]
    found = read(before + b"".join(parts))
    assert urls(found) == ["0", "1", "2"]
    offsets = [len(before) + sum(map(len, parts[:n])) for n in range(3)]
    assert [one.offset for one in found if isinstance(one, WarcRecord)] == offsets
    assert rules(found) == ([] if not before.strip(b"\0\r\n") else ["damaged_file"])


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_damaged_mark_of_the_first_member_costs_its_record_only(pack, at):
    parts = [bytearray(PACKERS[pack](record(n))) for n in range(3)]
    parts[0][at] ^= 0x10
    found = read(b"".join(parts))
    assert urls(found)[-2:] == ["1", "2"]
    assert len(rules(found)) == 3 - len(urls(found))
    assert len({one.offset for one in found}) == len(found)


def test_a_skippable_frame_of_a_wrong_size_costs_nothing_else():
    frame = b"\x50\x2a\x4d\x18" + (1 << 30).to_bytes(4, "little") + b"note"
    counts = RecordCounts()
    data = zstandard.compress(record(0)) + frame + zstandard.compress(record(1))
    found = list(read_records(io.BytesIO(data), counts=counts))
    assert (urls(found), rules(found)) == (["0", "1"], ["damaged_file"])
    assert counts.lost_size_bytes == len(frame)


def longer_arc_record(number: int, extra: int = 0, fields: str = "text/html") -> bytes:
    """Return a record whose length is wrong by `extra`."""
    block = HTTP + b"<p>text"
    address = f"http://a.example/{number} 1.2.3.4 20080101000000"
    return f"{address} {fields} {len(block) + extra}\n".encode() + block + b"\n"


@pytest.mark.parametrize("packer", ["plain", "whole"])
@pytest.mark.parametrize("kind", ["warc", "arc", "arc of version 2"])
@pytest.mark.parametrize("extra", [5, 9, 20, 60])
def test_a_length_that_reaches_into_the_next_record_costs_one_record(packer, kind, extra):
    if kind == "warc":
        length = len(HTTP + b"<p>text") + extra
        parts = [record(0), record(1, Content_Length=str(length)), record(2), record(3)]
    else:
        fields = "text/html" if kind == "arc" else "text/html 200 - - 0 file.arc"
        parts = [longer_arc_record(n, extra if n == 1 else 0, fields) for n in range(4)]
        parts.insert(0, b"filedesc://a.arc 0.0.0.0 20080101000000 text/plain 2\n1\n\n")
    data = b"".join(parts)
    found = read(data if packer == "plain" else gzip.compress(data))
    assert (urls(found), rules(found)) == (["0", "2", "3"], ["bad_content_length"])


@pytest.mark.parametrize("first", [b"", b"\n", b"damaged" * 99 + b"\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("pack", PACKERS)
def test_an_arc_file_is_known_without_its_first_record(first, pack):
    parts = [first] if first.strip() else []
    found = read(
        b"".join(PACKERS[pack](one) for one in [*parts, *map(longer_arc_record, range(3))])
    )
    assert urls(found) == ["0", "1", "2"]
    assert len(rules(found)) == len(parts)


def test_an_longer_arc_record_is_found_wherever_the_pieces_of_a_file_end():
    parts = [b"filedesc://a.arc 0.0.0.0 20080101000000 text/plain 2\n1\n\n", longer_arc_record(0)]
    parts += [longer_arc_record(1, fields="text/html x" + "y" * shift) for shift in (20, 21, 22)]
    for lost in range((1 << 20) - 90, (1 << 20) - 40, 7):
        found = read(b"".join([*parts[:2], b"noise" + b"n" * (lost - 200), b"\n", *parts[2:]]))
        assert urls(found) == ["0", "1", "1", "1"], lost
