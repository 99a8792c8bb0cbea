"""Answers of sites to a crawler that asked for their robots.txt."""

import gzip
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from udfs.documents.formats import JSON_LINES, WARC
from udfs.robots.answers import ANSWERS, robots_answers

REFUSAL = b"User-agent: GPTBot\nDisallow: /"


def record(url, status, body, day):
    block = b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\n\r\n%s" % (status, body)
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\n"
        f"WARC-Date: 2026-05-{day:02d}T10:00:00Z\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def answers(path, kind, until=None):
    return pa.Table.from_batches(robots_answers(str(path), kind, until), ANSWERS).to_pylist()


def test_of_a_warc_the_answers_that_say_something_come_with_their_time(tmp_path):
    path = tmp_path / "robots.warc.gz"
    path.write_bytes(
        b"".join(
            [
                record("https://A.example:8443/robots.txt", 200, REFUSAL, 1),
                record("http://b.example/robots.txt", 404, b"<p>not here: Disallow: /", 2),
                # These say nothing of what is allowed.
                record("http://c.example/robots.txt", 301, b"", 2),
                record("http://d.example/robots.txt", 503, b"", 2),
                record("http://e.example/robots.txt", 429, b"", 2),
                record("http://f.example/index.html", 200, REFUSAL, 2),
                record("http://g.example/robots.txt", 200, REFUSAL, 9),
            ]
        )
    )
    found = answers(path, WARC.name, datetime(2026, 5, 8, tzinfo=UTC))
    assert [(row["host"], row["asked"][:13], row["rules"]) for row in found] == [
        ("a.example", "2026-05-01T10", REFUSAL.decode()),
        ("b.example", "2026-05-02T10", ""),
    ]


def test_a_given_list_has_address_date_and_text(tmp_path):
    path = tmp_path / "robots.jsonl"
    row = {"url": "https://a.example/robots.txt", "date": "2026-05-01", "text": REFUSAL.decode()}
    path.write_text(json.dumps(row))
    (found,) = answers(path, JSON_LINES.name)
    assert found == {
        "host": "a.example", "asked": "2026-05-01T00:00:00Z", "rules": REFUSAL.decode(),
    }  # fmt: skip


@pytest.mark.parametrize("line", ['{"url": "https://a.example/robots.txt"}', "none", '{"url": 3}'])
def test_a_line_of_a_list_that_is_none_is_named(tmp_path, line):
    path = tmp_path / "robots.jsonl"
    path.write_text(line)
    with pytest.raises(ValueError, match=r"robots\.jsonl, line 1: expected an object with url"):
        answers(path, JSON_LINES.name)
