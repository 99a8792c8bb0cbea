"""Codings that mislead: texts that look coded, many codings or members, damaged dictionaries."""

import gzip
import io
import time
import zlib

import brotli
import pytest
import zstandard

from udfs.warc.compression import pieces
from udfs.warc.http_chunks import unchunked
from udfs.warc.http_codings import decoded_body
from udfs.warc.http_response import is_response, parse_response

LIMIT = 1 << 20


@pytest.mark.parametrize("letter", [b"3", b"5", b"7", b"9", b";", b"=", b"?"])
def test_a_text_that_begins_as_an_empty_brotli_stream_stays_as_it_is(letter):
    body = letter + b" men went out to mow the meadow"
    assert decoded_body(body, "", "br", LIMIT).data == body


def test_a_brotli_stream_of_nothing_is_nothing():
    assert decoded_body(b";", "", "br", LIMIT).data == b""


def test_raw_deflate_may_begin_with_the_byte_of_a_line_end():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(b"The ferry") + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush()
    assert body[:1] == b"\n"
    assert decoded_body(body, "", "deflate", LIMIT).data == b"The ferry"


def test_codings_beyond_the_limit_never_pass_for_text():
    body = b"<p>text</p>" * 9
    for _ in range(12):
        body = gzip.compress(body, mtime=0)
    found = decoded_body(body, "", ", ".join(["gzip"] * 12), LIMIT)
    assert found.is_lost
    assert "12 codings" in str(found.damage)


@pytest.mark.parametrize("name", ["gzip", "zstd", "chunked"])
def test_many_small_members_take_time_in_proportion(name):
    parts = {
        "gzip": gzip.compress(b"", mtime=0),
        "zstd": b"\x50\x2a\x4d\x18\0\0\0\0",
        "chunked": b"1\r\na\r\n?\r\n",
    }
    last = {"gzip": gzip.compress(b"text"), "zstd": zstandard.compress(b"text"), "chunked": b""}
    started = time.process_time()
    body = parts[name] * 100_000 + last[name]
    if name == "chunked":
        assert unchunked(body)[0].startswith(b"a")
    else:
        assert decoded_body(body, "", name, LIMIT).data == b"text"
    # Some 0.3 s; copies of what is left would take half a minute.
    assert time.process_time() - started < 10


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_damaged_dictionary_costs_what_needs_it_alone(is_packed):
    samples = [b"WARC/1.0\r\nthe page of number %d says %d" % (one, one * 7) for one in range(900)]
    dictionary = zstandard.train_dictionary(2048, samples)
    content = bytearray(dictionary.as_bytes())
    needs_it = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0])
    alone = zstandard.compress(samples[1])
    for harm in (None, 9):
        if harm is not None:
            content[harm : harm + 60] = b"\xff" * 60
        packed = bytearray(zstandard.compress(bytes(content)) if is_packed else content)
        if is_packed and harm is not None:
            packed[9:40] = b"\xff" * 31
        frame = b"\x5d\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed
        found = list(pieces(io.BytesIO(frame + needs_it + alone))[0])
        assert b"".join(piece.data for piece in found) == (
            samples[0] + samples[1] if harm is None else samples[1]
        )
        assert [piece.error is not None for piece in found].count(True) == (harm is not None)


@pytest.mark.parametrize("line", ["f" * 18, "-5", "+a;x=y", "0x1F", " 123456789abc "])
@pytest.mark.parametrize("end", [b"", b"\r\n0\r\n\r\n"])
def test_a_number_that_is_no_size_is_never_text(line, end):
    page = b"<p>The ferry</p>"
    found, damage = unchunked(line.encode() + b"\r\n" + page + end)
    assert found == page
    assert damage is not None


PAGE = b"<html><body><p>The ferry leaves at seven.</p></body></html>\n" * 9


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PACKS = {
    "gzip": gzip.compress, "zlib": zlib.compress, "br": brotli.compress, "raw": raw_deflate,
    "zstd": zstandard.compress,
}  # fmt: skip


@pytest.mark.parametrize("sent", PACKS)
@pytest.mark.parametrize("named", ["gzip", "deflate", "br", "zstd", "brotli", "x-br", "zip"])
def test_a_body_in_another_coding_than_its_header_names_is_undone(sent, named):
    assert decoded_body(PACKS[sent](PAGE), "", named, LIMIT).data == PAGE


@pytest.mark.parametrize("first", PACKS)
@pytest.mark.parametrize("then", ["gzip", "br", "zstd"])
def test_a_list_of_codings_may_stand_in_the_wrong_order(first, then):
    body = PACKS[then](PACKS[first](PAGE))
    name = {"zlib": "deflate", "raw": "deflate"}.get(first, first)
    if first in ("gzip", "zstd") or name == then:
        assert decoded_body(body, "", f"{then}, {name}", LIMIT).data == PAGE
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert decoded_body(chunks, f"chunked, {name}, {then}", "", LIMIT).data == PAGE


@pytest.mark.parametrize("name", ["zstd", "gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 9, 9000])
def test_a_wrong_checksum_costs_no_byte_of_a_body(name, size):
    text = b"".join(b"<p>%d is a number</p>" % (number * 7919) for number in range(size))
    packed = {
        "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(text),
        "gzip": gzip.compress(text), "deflate": zlib.compress(text),
    }[name]  # fmt: skip
    at = -6 if name == "gzip" else -2
    body = bytearray(packed)
    body[at] ^= 1
    found = decoded_body(bytes(body), "", name, LIMIT)
    assert (found.data, found.is_lost) == (text, False)
    assert "damaged data" in str(found.damage)


@pytest.mark.parametrize("last", [b"0\r\n\r\n", b"0\r\nX-Time: 3\r\n\r\n", b"", b"1c\r\ncut off"])
def test_chunks_that_no_header_tells_of_are_joined(last):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(PAGE), PAGE) for _ in range(3))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    found = parse_response(head + chunks + last, LIMIT)
    assert found.body == PAGE * 3 + (b"cut off" if b"cut off" in last else b"")
    assert (found.damage is None) == last.startswith(b"0")


@pytest.mark.parametrize("text", [b"7\r\n\r\nlucky numbers", b"10\r\ngreen bottles\r\n9\r\n", PAGE])
def test_a_text_that_begins_with_a_number_is_no_chunk(text):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    assert parse_response(head + text, LIMIT).body == text


@pytest.mark.parametrize("start", ["ICY 200 OK", "HTTP 200 OK", "HTTP/2 200", "http/1.1 200"])
def test_status_lines_of_other_servers_are_no_text(start):
    block = f"{start}\r\nContent-Type: text/html\r\n\r\n".encode() + PAGE
    assert is_response(block)
    found = parse_response(block, LIMIT)
    assert (found.status, found.content_type, found.body) == (200, "text/html", PAGE)
