"""Bodies in every legal combination of codings, and damaged at every place: text or a reason."""

import gzip
import itertools
import random
import zlib

import brotli
import pytest
import zstandard

from udfs.warc.body_kinds import looks_like_text
from udfs.warc.http_response import BrokenMessageError, HttpMessage, parse_response

LIMIT = 1 << 24
_RANDOM = random.Random(5)
PAGE = b"<html><body>" + b"".join(
    b"<p>Paragraph %d of words %s.</p>"
    % (number, b" ".join(b"w%x" % _RANDOM.randrange(4000) for _ in range(40)))
    for number in range(60)
)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def small_window(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 12)
    return packer.compress(data) + packer.flush()


def two_members(data: bytes) -> bytes:
    middle = len(data) // 2
    return gzip.compress(data[:middle], mtime=0) + gzip.compress(data[middle:], mtime=0)


def zstd_frames(data: bytes) -> bytes:
    middle = len(data) // 2
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    return pack(data[:middle]) + b"\x53\x2a\x4d\x18\x04\0\0\0skip" + pack(data[middle:])


def blocks_of_zstd(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    parts = [
        packer.compress(data[at : at + 1500]) + packer.flush(1) for at in range(0, len(data), 1500)
    ]
    return b"".join(parts) + packer.flush()


def chunked(data: bytes, size: int = 700) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


CONTENT = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "x-gzip": two_members,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "DEFLATE": small_window,
    "br": brotli.compress,
    "zstd": zstd_frames,
    "identity": bytes,
}
LISTS = [names for count in (1, 2) for names in itertools.product(CONTENT, repeat=count)] + [
    ("gzip", "br", "zstd"),
    ("br", "deflate", "identity", "gzip"),
    ("zstd", "zstd", "zstd"),
]
FORMS = {
    "one line": lambda name, values: f"{name}: {', '.join(values)}\r\n",
    "without blanks": lambda name, values: f"{name.upper()}:{','.join(values)},\r\n",
    "lines": lambda name, values: "".join(f"{name}: {value}\r\n" for value in values),
    "folded": lambda name, values: f"{name}:\r\n " + ",\r\n\t".join(values) + "\r\n",
}
TRANSFER = [(), ("chunked",), ("gzip", "chunked"), ("x-gzip", "deflate", "chunked"), ("br",)]


def encoded(names: tuple[str, ...], data: bytes = PAGE) -> bytes:
    for name in names:
        data = chunked(data) if name == "chunked" else CONTENT[name](data)
    return data


def response(body: bytes, head: str = "") -> HttpMessage:
    start = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    return parse_response((start + head + "\r\n").encode() + body, LIMIT)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("transfer", TRANSFER, ids="-".join)
def test_codings_in_any_order_and_form_are_undone(transfer, form):
    for names in LISTS:
        head = FORMS[form]("Content-Encoding", names)
        if transfer:
            head += FORMS[form]("Transfer-Encoding", transfer)
        found = response(encoded((*names, *transfer)), head)
        assert (found.body, found.damage) == (PAGE, None), names


@pytest.mark.parametrize("names", [*[(name,) for name in CONTENT], ("gzip", "br"), ("chunked",)])
def test_a_body_that_was_stored_decoded_stays_as_it_is(names):
    header = "Transfer-Encoding" if names == ("chunked",) else "Content-Encoding"
    for body in (PAGE, b"\n" + PAGE, "<p>été".encode(), "<p>été".encode("latin-1"), b"plain text"):
        found = response(body, f"{header}: {', '.join(names)}\r\n")
        assert (found.body, found.damage) == (body, None)


@pytest.mark.parametrize(
    "said", ["utf-8", "UTF-8, gzip", "none", "gzip;q=1", "text/html", '"gzip"']
)
def test_names_that_are_no_codings_cost_nothing(said):
    body = encoded(("gzip",)) if "gzip" in said else PAGE
    assert response(body, f"Content-Encoding: {said}\r\n").body == PAGE


@pytest.mark.parametrize("before", [b"\r\n", b"\n", b" \r\n\r\n"])
@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "br"])
def test_line_ends_before_a_coded_body_are_passed_over(before, name):
    assert response(before + encoded((name,)), f"Content-Encoding: {name}\r\n").body == PAGE


@pytest.mark.parametrize("after", [b"\r\n", b"\0" * 9, b"<!-- served in 3 ms -->"])
@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "br"])
def test_bytes_behind_a_coded_body_are_passed_over(after, name):
    assert response(encoded((name,)) + after, f"Content-Encoding: {name}\r\n").body == PAGE


BROKEN = {
    "gzip": encoded(("gzip",)), "deflate": encoded(("deflate",)), "br": encoded(("br",)),
    "zstd": blocks_of_zstd(PAGE), "gzip, br": encoded(("gzip", "br")),
    "br, gzip": encoded(("br", "gzip")),
}  # fmt: skip


@pytest.mark.parametrize("names", BROKEN)
def test_a_cut_body_gives_what_comes_before_the_cut(names):
    body, lengths = BROKEN[names], []
    for end in range(40, len(body), 97):
        found = response(body[:end], f"Content-Encoding: {names}\r\n")
        assert found.damage, end
        assert found.is_lost == (not found.body)
        assert PAGE.startswith(found.body), end
        lengths.append(len(found.body))
    assert lengths == sorted(lengths)
    assert lengths[-1] > len(PAGE) * (0.85 if "," not in names else 0.5)


@pytest.mark.parametrize("names", BROKEN)
def test_a_damaged_body_never_passes_for_text(names):
    body = BROKEN[names]
    for at in range(0, len(body), 61):
        damaged = bytearray(body)
        damaged[at] ^= 0x5A
        found = response(bytes(damaged), f"Content-Encoding: {names}\r\n")
        assert found.is_lost or looks_like_text(found.body), at
        assert found.body != bytes(damaged)
        if found.is_lost:
            assert (found.body, "could not be decoded" in found.damage) == (b"", True)


def test_a_wrong_checksum_costs_nothing_and_is_said():
    body = bytearray(encoded(("gzip",)))
    body[-6] ^= 1
    found = response(bytes(body), "Content-Encoding: gzip\r\n")
    assert (found.body, found.is_lost) == (PAGE, False)
    assert (
        found.damage
        == "gzip: damaged data (Error -3 while decompressing data: incorrect data check)"
    )


@pytest.mark.parametrize("said", ["gzip", "br", "zstd", "utf-8", "text/html"])
def test_images_that_were_stored_decoded_stay_as_they_are(said):
    body = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
    found = response(body, f"Content-Encoding: {said}\r\n")
    assert (found.body, found.damage) == (body, None)


def test_coded_bytes_of_an_unknown_coding_are_lost():
    found = response(encoded(("gzip",)), "Content-Encoding: compress\r\n")
    assert found.body == PAGE
    found = response(b"\x1f\x9d\x90" + bytes(_RANDOM.randrange(256) for _ in range(500)),
                     "Content-Encoding: compress\r\n")  # fmt: skip
    assert (found.body, found.is_lost) == (b"", True)
    assert "compress is none that can be undone" in found.damage


@pytest.mark.parametrize("name", ["gzip", "deflate", "Deflate", "br", "zstd"])
def test_a_body_that_grows_beyond_the_limit_is_refused(name):
    body = encoded((name,), bytes(3 * LIMIT))
    with pytest.raises(BrokenMessageError, match="16777216 bytes once decoded"):
        response(body, f"Content-Encoding: {name}\r\n")


CHUNK_FORMS = {
    "plain": b"%x\r\n%s\r\n",
    "upper case": b"%X\r\n%s\r\n",
    "padded with zeros": b"%08x\r\n%s\r\n",
    "padded with more zeros": b"%020x\r\n%s\r\n",
    "padded with blanks": b"%-8x\r\n%s\r\n",
    "blanks before": b"  %x\r\n%s\r\n",
    "extension": b"%x;name=value\r\n%s\r\n",
    "quoted extension": b'%x ; name="a b"\r\n%s\r\n',
    "line feeds": b"%x\n%s\n",
    "mixed line ends": b"%x\n%s\r\n",
    "doubled returns": b"%x\r\r\n%s\r\r\n",
    "no line end behind": b"%x\r\n%s",
}
# No line of it could be the size of a chunk.
CHUNK = b"<p>%d sind so manche Zeilen\n mit Worten, die hier stehen und gehen. </p>"
CHUNKS = [(CHUNK % number) * (1 + number % 5) for number in range(20)]


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"000\n\n", b"0\r\n\r\nmore"])
@pytest.mark.parametrize("form", CHUNK_FORMS)
def test_chunks_of_any_form_are_joined(form, end):
    body = b"".join(CHUNK_FORMS[form] % (len(one), one) for one in CHUNKS) + end
    found = response(body, "Transfer-Encoding: chunked\r\n")
    assert (found.body, found.damage) == (b"".join(CHUNKS), None)


@pytest.mark.parametrize("form", ["plain", "padded with zeros", "line feeds", "extension"])
def test_cut_chunks_give_what_is_there(form):
    body, whole = b"".join(CHUNK_FORMS[form] % (len(one), one) for one in CHUNKS), b"".join(CHUNKS)
    for end in range(3, len(body) + 1, 7):
        found = response(body[:end], "Transfer-Encoding: chunked\r\n")
        assert whole.startswith(found.body), end
        assert found.damage
        assert len(found.body) > end - 25 * (body[:end].count(b"</p>\n") + 40)


@pytest.mark.parametrize("wrong", ["too large", "too small", "no size", "far too large"])
@pytest.mark.parametrize("number", [0, 1, 9, 18])
def test_a_wrong_size_costs_no_other_chunk_and_is_no_text(number, wrong):
    parts = [b"%x\r\n%s\r\n" % (len(one), one) for one in CHUNKS]
    length = len(CHUNKS[number])
    size = {"too large": b"%x" % (length + 9), "too small": b"%x" % (length - 9),
            "no size": b"z%x!" % length, "far too large": b"fffffff"}[wrong]  # fmt: skip
    parts[number] = size + b"\r\n" + CHUNKS[number] + b"\r\n"
    found = response(b"".join(parts) + b"0\r\n\r\n", "Transfer-Encoding: chunked\r\n")
    assert found.damage
    others = [one for place, one in enumerate(CHUNKS) if place not in (number, number - 1)]
    assert all(one in found.body for one in others)
    assert b"\r\n" not in found.body
    assert size not in found.body


def test_interim_responses_and_proxies_do_not_count():
    final = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>text"
    for before in (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Type: x/y\r\n\r\n" * 3,
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"\r\n",
        b"\r\n\r\nHTTP/1.1 100 Continue\n\n",
    ):
        found = parse_response(before + final, LIMIT)
        assert (found.status, found.content_type, found.body) == (404, "text/html", b"<p>text")


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n", b"\r"])
@pytest.mark.parametrize("gap", [None, b"\n", b"\r\n"])
def test_odd_line_ends_divide_heads_all_the_same(end, gap):
    if end == b"\r" and gap is not None:
        return
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/html", b"X-Robots-Tag: a", b"X-Robots-Tag: b"]
    block = end.join(lines) + end + (end if gap is None else gap) + b"<p>a\n\nb"
    found = parse_response(block, LIMIT)
    assert (found.status, found.content_type, found.body) == (200, "text/html", b"<p>a\n\nb")
    assert found.x_robots_tag == "a\nb"


def test_a_head_without_a_blank_line_ends_with_its_last_field():
    found = parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n<p>text: a", LIMIT)
    assert (found.content_type, found.body) == ("text/html", b"<p>text: a")
    assert parse_response(b"HTTP/1.1 204 No Content\r\nX: y\r\n", LIMIT).body == b""


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_folded_values_keep_no_leading_blank(end):
    head = f"HTTP/1.1 200 OK{end}Content-Type:{end} text/html;{end}\tcharset=utf-8{end}{end}"
    found = parse_response(head.encode(), LIMIT)
    assert found.content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        (["text/html", "text/html; charset=koi8-r"], "text/html; charset=koi8-r"),
        (["text/html; charset=utf-8", "text/html"], "text/html; charset=utf-8"),
        (["text/html", "text/plain; charset=koi8-r"], "text/html"),
    ],
)
def test_a_second_content_type_may_add_the_charset(values, taken):
    head = "".join(f"Content-Type: {value}\r\n" for value in values)
    assert parse_response(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode(), LIMIT).content_type == taken
