import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.documents.formats import InputUnit, Reading, format_of, read_unit
from udfs.documents.given import InputSettings
from udfs.documents.schema import EXTRACTED
from udfs.warc.scanner import WarcSettings

LINES = [
    json.dumps({"text": "one\nline", "url": "http://a/1"}),
    json.dumps(
        {
            "text": "two",
            "metadata": {"WARC-Target-URI": "http://a/2", "WARC-Date": "2024-01-02T03:04:05Z"},
        }
    ),
    "{broken",
    json.dumps({"url": "http://a/4"}),
    "[1]",
    json.dumps({"text": "sechs é", "url": None}),
]
RULES = [None, None, "bad_json", "missing_text", "bad_json", None]


def batches(path, counts=None, columns=None, part=(0, None), name=None, **settings):
    name = name or path.name
    unit = InputUnit(
        crawl="C", path=name, uri=str(path), kind=format_of(name).name, start=part[0], end=part[1]
    )
    reading = Reading(
        extraction=ExtractionSettings(**settings),
        columns=columns or InputSettings(),
        counts=counts or RecordCounts(),
    )
    return read_unit(unit, reading)


def rows(path, counts=None, **settings):
    return pa.Table.from_batches(batches(path, counts, **settings), EXTRACTED).to_pylist()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".jsonl", bytes),
        (".jsonl.gz", gzip.compress),
        (".jsonl.zst", zstandard.compress),
        (".jsonl.bz2", bz2.compress),
        (".jsonl.xz", lzma.compress),
        # Two streams in a file, as parallel packers write, and padding after each.
        (".ndjson.bz2", lambda data: bz2.compress(data[:50]) + bz2.compress(data[50:])),
        (".json.xz", lambda data: lzma.compress(data[:50]) + b"\0" * 8 + lzma.compress(data[50:])),
    ],
)
def test_lines_of_json_become_documents_and_malformed_ones_are_quarantined(tmp_path, suffix, pack):
    path = tmp_path / f"pool{suffix}"
    path.write_bytes(pack("\n".join(LINES).encode()))
    counts = RecordCounts()
    found = rows(path, counts)
    assert [row["rule"] for row in found] == RULES
    assert [row["url"] for row in found][:2] == ["http://a/1", "http://a/2"]
    assert [row["warc_offset"] for row in found] == list(range(6))
    assert (found[0]["text"], found[5]["text"]) == ("one\nline", "sechs é")
    assert found[1]["fetch_time"].isoformat() == "2024-01-02T03:04:05+00:00"
    assert counts.broken == 3
    assert rows(path, batch_rows=1) == found


def test_parquet_gives_the_same_documents(tmp_path):
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"text": ["one", None], "url": ["http://a/1", "http://a/2"]}), path)
    found = rows(path)
    assert [row["text"] for row in found] == ["one", None]
    assert [row["rule"] for row in found] == [None, "missing_text"]


def test_a_damaged_file_keeps_what_came_before(tmp_path):
    path = tmp_path / "pool.jsonl.gz"
    path.write_bytes(gzip.compress((LINES[0] + "\n").encode() * 9)[:-12])
    assert rows(path)[-1]["rule"] == "damaged_file"


def test_a_line_without_end_is_quarantined(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b"x" * 5_000_000 + b"\n" + LINES[0].encode() + b"\n")
    found = rows(path, warc=WarcSettings(max_record_size_bytes=100_000))
    assert [row["rule"] for row in found] == ["line_too_large", None]


def test_a_missing_text_names_the_keys_that_are_there(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text(json.dumps({"body": "x", "id": 1}))
    error = "no text in `text`; the keys are body, id; set input.text_column"
    assert rows(path)[0]["error"] == error
    pq.write_table(pa.table({"body": ["x"], "id": [1]}), tmp_path / "pool.PARQUET")
    assert "the keys are body, id" in rows(tmp_path / "pool.PARQUET")[0]["error"]


def test_a_value_that_is_no_text_is_named_by_its_kind(tmp_path):
    values = [7, 0.5, None, True, ["a"], {"a": 1}]
    path = tmp_path / "pool.jsonl"
    path.write_text("\n".join(json.dumps({"text": value}) for value in values))
    kinds = ["a number", "a number", "null", "true or false", "a list", "an object"]
    assert [row["error"] for row in rows(path)] == [
        f"`text` is {kind}, and a text is expected" for kind in kinds
    ]
    pq.write_table(pa.table({"text": pa.array([7, None], pa.int32())}), tmp_path / "pool.parquet")
    assert [(row["rule"], row["error"]) for row in rows(tmp_path / "pool.parquet")] == [
        ("missing_text", "`text` is of type int32, and a text is expected"),
        ("missing_text", "`text` is null, and a text is expected"),
    ]


def own(path, name=None, **columns):
    found = batches(path, columns=InputSettings(**columns), name=name)
    return pa.Table.from_batches(found).to_pylist()


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_text_and_address_may_have_any_name_and_own_columns_travel(tmp_path, suffix):
    document = {"body": "one", "link": "http://a/1", "license": "CC0", "id": 7, "note": None}
    path = tmp_path / f"pool{suffix}"
    if suffix == ".jsonl":
        path.write_text(json.dumps(document))
    else:
        pq.write_table(pa.Table.from_pylist([document]), path)
    named = own(path, text_column="body", url_column="link", columns=("license", "absent"))[0]
    assert (named["text"], named["url"]) == ("one", "http://a/1")
    assert json.loads(named["own_columns"]) == {"license": "CC0"}
    every = own(path, text_column="body", url_column="link", columns=("*",))[0]
    assert json.loads(every["own_columns"]) == {"id": 7, "license": "CC0"}
    assert "own_columns" not in own(path, text_column="body")[0]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_long_file_is_read_in_pieces_and_a_cut_one_keeps_what_it_has(tmp_path, pack):
    lines = [json.dumps({"text": f"{number} " + "word " * 200}) for number in range(5000)]
    whole = pack("\n".join(lines).encode())
    path = tmp_path / "pool.jsonl"
    path.write_bytes(whole)
    assert [row["text"].split()[0] for row in rows(path)] == [str(n) for n in range(5000)]
    path.write_bytes(whole[: -len(whole) // 2])
    found = rows(path)
    assert found[-1]["rule"] == "damaged_file"
    assert "cut off" in found[-1]["error"]
    path.write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    found = rows(path)
    assert "damaged_file" in {row["rule"] for row in found}
    # Blocks of bzip2 are read by themselves.
    assert (found[-1]["rule"] is None) == (pack is bz2.compress)


def strictly(text: str):
    def refused(name: str):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refused)


def test_own_columns_are_json_whatever_their_values_are(tmp_path):
    table = pa.table({
        "text": ["a"], "number": [float("nan")], "nested": [{"list": [1.5, float("-inf")]}],
        "bytes": [b"caf\xc3\xa9 \xff"], "many": [[b"b"]], "id": [2**63 - 1],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "pool.parquet")
    (row,) = own(tmp_path / "pool.parquet", columns=("*",))
    assert strictly(row["own_columns"]) == {
        "number": None, "nested": {"list": [1.5, None]}, "bytes": "caf\xe9 \ufffd", "many": ["b"],
        "id": 2**63 - 1,
    }  # fmt: skip
    line = '{"text": "a", "x": [NaN, {"y": 1e999}], "z": -Infinity}'
    (tmp_path / "pool.jsonl").write_text(line)
    (row,) = own(tmp_path / "pool.jsonl", columns=("*",))
    assert strictly(row["own_columns"]) == {"x": [None, {"y": None}], "z": None}


@pytest.mark.parametrize(
    ("written", "year"),
    [
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2024-02-30", None),
        ("2024-02-29", 2024),
        ("2024-01-01T00:00:00+01:00", 2023),
    ],
)
def test_a_date_that_no_calendar_has_is_none(tmp_path, written, year):
    document = {"text": "a", "metadata": {"WARC-Date": written}}
    (tmp_path / "pool.jsonl").write_text(json.dumps(document))
    (row,) = rows(tmp_path / "pool.jsonl")
    assert (row["fetch_time"] and row["fetch_time"].year) == year
