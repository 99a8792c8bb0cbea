"""Codings that mislead: texts that look coded, many codings or members, damaged dictionaries."""

import gzip
import io
import time
import zlib

import pytest
import zstandard

from udfs.warc.compression import pieces
from udfs.warc.http_chunks import unchunked
from udfs.warc.http_codings import decoded_body

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
