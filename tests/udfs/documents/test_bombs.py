"""Input made to exhaust a worker: each costs one record, and memory that is stated here."""

import gzip
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
HTTP_SIZE = len(HTTP) + 2
# Reads and extracts one WARC as a task does, and tells the fates and the peaks of memory of the
# worker (VmHWM: ru_maxrss keeps what the parent had before exec) and of the parser's process.
WORKER = """
import json, resource, sys, time
from pathlib import Path
from udfs.documents.extract import ExtractionSettings, extract_documents
from udfs.html.parser import kept_parser

settings = ExtractionSettings(**json.loads(sys.argv[2]))
started, fates, rows, batches = time.process_time(), [], 0, 0
for batch in extract_documents("C", sys.argv[1], "a.warc.gz", settings):
    rows, batches = rows + batch.num_rows, batches + 1
    if rows < 100:
        keys = ("url", "rule", "text", "error")
        fates += [[row[key] and row[key][-200:] for key in keys] for row in batch.to_pylist()]
kept_parser(settings.timeout_seconds, settings.max_parser_memory_bytes).close()
status = Path("/proc/self/status").read_text()
children = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "fates": fates, "rows": rows, "batches": batches,
    "cpu_seconds": time.process_time() - started + children.ru_utime + children.ru_stime,
    "worker_kib": int(status.partition("VmHWM:")[2].split()[0]),
    "parser_kib": children.ru_maxrss,
}))
"""
PAGE = b"<main><p>A neighbour that must come through, whatever lies beside it.</p></main>"
NEIGHBOUR = "A neighbour that must come through, whatever lies beside it."


def record(name: str, body: bytes, head: bytes = b"", length: int | None = None) -> bytes:
    block = HTTP + head + b"\r\n" + body
    size = len(block) if length is None else length
    fields = f"WARC-Type: response\r\nWARC-Target-URI: http://a.example/{name}\r\n"
    start = f"WARC/1.0\r\n{fields}Content-Length: {size}\r\n\r\n".encode()
    return start + block + b"\r\n\r\n"


def member(name: str, body: bytes, head: bytes = b"", length: int | None = None) -> bytes:
    return gzip.compress(record(name, body, head, length), 1)


def gigabyte_of_zeros(prefix: bytes = b"") -> bytes:
    """Return a gzip member of a megabyte that holds `prefix` and 2**30 zeros."""
    start = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = start.compress(prefix) + start.flush(zlib.Z_FULL_FLUSH)
    block, check = bytes(MIB), zlib.crc32(prefix)
    repeated = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = repeated.compress(block) + repeated.flush(zlib.Z_FULL_FLUSH)
    for _ in range(1024):
        check = zlib.crc32(block, check)
    size = (len(prefix) + 2**30) % 2**32
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    magic = bytes([31, 139, 8, 0, 0, 0, 0, 0, 0, 255])
    return magic + head + 1024 * body + end + struct.pack("<II", check, size)


def zstandard_zeros() -> bytes:
    """Return a frame of 2**30 zeros with the widest window that decoders take, 128 MiB."""
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    writer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    block = bytes(MIB)
    return b"".join([*(writer.compress(block) for _ in range(1024)), writer.flush()])


def run(path: Path, **settings: float) -> dict:
    command = [sys.executable, "-c", WORKER, str(path), json.dumps(settings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def between_neighbours(folder: Path, bomb: bytes, **settings: float) -> tuple[list, dict]:
    """Return the rows that are not the two neighbours', who must be whole, and the result."""
    path = folder / "a.warc.gz"
    path.write_bytes(member("before", PAGE) + bomb + member("after", PAGE))
    result = run(path, **settings)
    (first, *found, last) = result["fates"]
    assert (first[2], last[2]) == (NEIGHBOUR, NEIGHBOUR)
    assert (first[0][-7:], last[0][-6:]) == ("/before", "/after")
    return found, result


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    found, result = between_neighbours(tmp_path_factory.mktemp("baseline"), b"")
    assert found == []
    return result


def added_mib(result: dict, baseline: dict, process: str) -> float:
    return (result[f"{process}_kib"] - baseline[f"{process}_kib"]) / 1024


SHORT_BOMBS = {
    "a gigabyte of zeros that is no record": (gigabyte_of_zeros, "not_a_record"),
    "a gigabyte of zeros in a record": (
        lambda: gigabyte_of_zeros(record("bomb", b"", length=HTTP_SIZE + 2**30)[:-4]),
        "record_too_large",
    ),
    "a gigabyte of zeros in an HTTP body": (
        lambda: member("bomb", gigabyte_of_zeros(), b"Content-Encoding: gzip\r\n"),
        "http_too_large",
    ),
    "a gigabyte of zeros in Zstandard": (
        lambda: member("bomb", zstandard_zeros(), b"Content-Encoding: zstd\r\n"),
        "http_too_large",
    ),
    "a million WARC headers": (
        lambda: gzip.compress(
            record("bomb", b"").replace(
                b"\r\n\r\n", b"".join(b"\r\nX-%d: y" % n for n in range(10**6)) + b"\r\n\r\n", 1
            ),
            1,
        ),
        "header_too_large",
    ),
    "a million HTTP headers": (
        lambda: member("bomb", PAGE, b"".join(b"X-%d: y\r\n" % n for n in range(10**6))),
        "http_too_large",
    ),
    "a Content-Length of 2 GB": (
        lambda: member("bomb", PAGE, length=2 * 10**9), "record_too_large",
    ),
    "a page of 50 MB": (lambda: member("bomb", b"<p>text " * 6_250_000), "html_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT_BOMBS)
def test_a_bomb_costs_one_record_and_less_than_256_mib(tmp_path, baseline, name):
    make, rule = SHORT_BOMBS[name]
    found, result = between_neighbours(tmp_path, make())
    assert [row[1] for row in found] == [rule], found
    assert added_mib(result, baseline, "worker") < 256, result
    assert added_mib(result, baseline, "parser") < 256, result


NESTED = {
    "div": b"<div>" * 10**6,
    "a": b"<a>" * 10**6,
    "table": b"<table><tr><td>" * (10**6 // 3),
    "unclosed b in every p": b"<p>a<b>c" * (10**6 // 2),
    "span, closed": b"<span>" * (10**6 // 2) + b"</span>" * (10**6 // 2),
    "select": b"<select><option>" * (10**6 // 2),
    "svg": b"<svg>" * 10**6,
    "a million attributes": b"<p %b>" % b"".join(b"a%d=b " % n for n in range(10**6)),
    "a million entities": b"<p>" + b"&amp;&#x1F600;" * 500_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NESTED)
def test_a_million_tags_cost_one_page_and_the_parser_s_limit(tmp_path, baseline, name):
    bomb = member("bomb", NESTED[name])
    found, result = between_neighbours(tmp_path, bomb, timeout_seconds=10)
    assert len(found) == 1
    assert found[0][1] in (None, "parser_timeout", "parser_memory", "parser_error", "parser_crash")
    assert added_mib(result, baseline, "worker") < 256, result
    assert added_mib(result, baseline, "parser") < 2048 + 64, result


@pytest.mark.slow
def test_a_plain_file_that_promises_two_gigabytes_costs_one_record(tmp_path, baseline):
    path = tmp_path / "a.warc"
    bomb = record("bomb", PAGE, length=2 * 10**9)
    path.write_bytes(record("before", PAGE) + bomb + record("after", PAGE))
    result = run(path)
    assert [row[1] for row in result["fates"]] == [None, "record_too_large", None]
    assert added_mib(result, baseline, "worker") < 64, result


@pytest.mark.slow
def test_two_hundred_thousand_tiny_pages_cost_less_than_a_millisecond_each(tmp_path, baseline):
    path = tmp_path / "a.warc.gz"
    one = member("tiny", b"<p>x")
    path.write_bytes(one * 200_000)
    result = run(path)
    assert (result["rows"], result["batches"]) == (200_000, 100)
    assert result["cpu_seconds"] < 200_000 * 1e-3
    assert added_mib(result, baseline, "worker") < 256, result


@pytest.mark.slow
@pytest.mark.parametrize("what", ["page", "url"])
def test_batches_are_cut_by_bytes_whatever_the_bytes_are_in(tmp_path, baseline, what):
    path = tmp_path / "a.warc.gz"
    if what == "page":
        one = member("large", b"<p>" + b"a word " * 140_000)
    else:
        one = member("x" * 200_000, b"<p>x")
    path.write_bytes(one * 2_000)
    result = run(path)
    assert result["rows"] == 2_000
    assert result["batches"] > 40
    assert added_mib(result, baseline, "worker") < 256, result
