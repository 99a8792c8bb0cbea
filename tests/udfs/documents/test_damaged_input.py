"""Damage in pre-extracted input costs the line, member, frame, page or row group that it hits."""

import bz2
import codecs
import gzip
import json
import lzma
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.udfs.documents.test_given import rows
from udfs.documents.parts import parts_of
from udfs.warc.reader import RecordCounts
from udfs.warc.scanner import WarcSettings

MEMBERS, LINES = 6, 30
WORDS = random.Random(1).choices([f"w{n:x}" for n in range(3000)], k=4000)


def line(member: int, number: int) -> bytes:
    start = (member * LINES + number) * 17
    document = {
        "text": " ".join(WORDS[start : start + 60]),
        "url": f"http://e.org/{member}/{number}",
    }
    return json.dumps(document).encode() + b"\n"


def member(number: int) -> bytes:
    return b"".join(line(number, at) for at in range(LINES))


def long_window(data: bytes, log: int = 28) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(
        window_log=log, enable_ldm=True, write_content_size=0, write_checksum=1
    )
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def skippable(data: bytes) -> bytes:
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    return b"\x50\x2a\x4d\x18\x04\0\0\0" + len(frame).to_bytes(4, "little") + frame


PACKS = {
    ".jsonl.gz": lambda data: gzip.compress(data, mtime=0),
    ".jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".ndjson.zst": skippable,
    ".json.zst": long_window,
    ".jsonl.bz2": bz2.compress,
    ".jsonl.xz": lzma.compress,
}


def read_urls(path: Path, data: bytes, **settings) -> tuple[set[str], list[str]]:
    path.write_bytes(data)
    found = rows(path, **settings)
    assert len({row["doc_id"] for row in found}) == len(found)
    kept = {row["url"] for row in found if row["rule"] is None}
    assert all(row["text"] for row in found if row["rule"] is None)
    return kept, [row["rule"] for row in found if row["rule"]]


def urls_of(members) -> set[str]:
    return {f"http://e.org/{one}/{number}" for one in members for number in range(LINES)}


@pytest.mark.parametrize("suffix", PACKS)
@pytest.mark.parametrize("kind", ["flipped", "cut", "overwritten", "garbage before", "garbage for"])
@pytest.mark.parametrize("hit", [0, 2, MEMBERS - 1])
def test_a_damaged_member_costs_its_lines_only(tmp_path, suffix, kind, hit):
    packed = [PACKS[suffix](member(number)) for number in range(MEMBERS)]
    draw = random.Random(f"{suffix}{kind}{hit}")
    noise = bytes(draw.randrange(256) for _ in range(5000))
    for share in (0.2, 0.55, 0.9):
        broken, at = bytearray(packed[hit]), int(len(packed[hit]) * share)
        if kind == "flipped":
            broken[at] ^= 0x11
        elif kind == "cut":
            del broken[at:]
        elif kind == "overwritten":
            broken[at : at + 40] = bytes(40)
        else:
            broken = bytearray(noise + broken if kind == "garbage before" else noise)
            if hit == 0:
                # A file of unknown compression is read as plain lines.
                continue
        data = b"".join([*packed[:hit], bytes(broken), *packed[hit + 1 :]])
        kept, rules = read_urls(tmp_path / f"pool{suffix}", data)
        others = urls_of(number for number in range(MEMBERS) if number != hit)
        assert others <= kept, (share, len(others - kept))
        assert rules or kept == urls_of(range(MEMBERS))
        if kind == "garbage before":
            assert kept == urls_of(range(MEMBERS))


@pytest.mark.parametrize("kind", ["flipped", "cut"])
def test_lines_before_the_damage_of_a_gzip_member_are_kept(tmp_path, kind):
    packed = [gzip.compress(member(number), mtime=0) for number in range(3)]
    if kind == "cut":
        packed[1] = packed[1][:-60]
    else:
        packed[1] = packed[1][:-60] + b"\xff" * 30 + packed[1][-30:]
    kept, rules = read_urls(tmp_path / "pool.jsonl.gz", b"".join(packed))
    assert len(kept & urls_of([1])) >= LINES - 3
    assert "damaged_file" in rules


def test_blocks_that_end_within_lines_are_joined_and_lose_only_cut_lines(tmp_path):
    data = b"".join(map(member, range(MEMBERS)))
    blocks = [gzip.compress(data[at : at + 7000], mtime=0) for at in range(0, len(data), 7000)]
    path = tmp_path / "pool.jsonl.gz"
    assert read_urls(path, b"".join(blocks)) == (urls_of(range(MEMBERS)), [])
    blocks[3] = blocks[3][:2000] + b"\0" * 50 + blocks[3][2050:]
    kept, rules = read_urls(path, b"".join(blocks))
    lost = data[3 * 7000 - 1 : 4 * 7000 + 1].count(b"\n") + 2
    assert len(kept) >= MEMBERS * LINES - lost
    assert set(rules) <= {"damaged_file", "bad_json"}


@pytest.mark.parametrize("log", [27, 28, 31])
def test_windows_of_any_length_are_read_within_a_declared_bound(tmp_path, log):
    path = tmp_path / "pool.jsonl.zst"
    data = long_window(b"".join(map(member, range(MEMBERS))), log)
    assert read_urls(path, data) == (urls_of(range(MEMBERS)), [])
    path.write_bytes(data)
    (row,) = rows(path, warc=WarcSettings(max_window_size_bytes=1 << 26))
    assert "set extraction.warc.max_window_size_bytes" in row["error"]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb'{"text": "a \ud800 b"}', "a \ufffd b"),
        (rb'{"text": "a \udc00\ud83d\ude00 b"}', "a \ufffd\U0001f600 b"),
        (b'{"text": "caf\xe9 and more"}', "caf\ufffd and more"),
        (b'\xef\xbb\xbf{"text": "a"}', "a"),
        (b'{"text": "a"}\r', "a"),
        (b'{"text": "a", "number": NaN, "text": "b"}', "b"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"text": "a"}', "a"),
        (
            b'{"text": "He said \x93yes\x94, ' + b"and went on " * 30 + b'"}',
            "He said \ufffdyes\ufffd, " + "and went on " * 30,
        ),
    ],
)
def test_what_is_no_unicode_in_a_line_becomes_the_replacement_character(tmp_path, written, text):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(written + b"\n" + line(0, 0))
    first, second = rows(path)
    assert (first["text"], first["rule"], second["rule"]) == (text, None, None)
    assert bool(first["damage"]) == ("\ufffd" in text)


@pytest.mark.parametrize(
    ("charset", "has_mark"),
    [
        ("utf-16-be", False), ("utf-16-le", False), ("utf-16-be", True), ("utf-16-le", True),
        ("utf-32-le", True), ("utf-8", True),
    ],
)  # fmt: skip
def test_lines_that_an_editor_saved_as_utf_16_are_read(tmp_path, charset, has_mark):
    mark = "\ufeff" if has_mark else "\r\n "[: 3 * (charset == "utf-16-be")]
    text = mark + '{"text": "été 日本"}\r\n{"text": "zwei"}\r\n'
    path = tmp_path / "pool.jsonl"
    path.write_bytes(text.encode(charset))
    found = [row for row in rows(path) if row["rule"] != "empty_line"]
    assert [row["text"] for row in found] == ["été 日本", "zwei"]
    parts = parts_of(path.stat().st_size, 20)
    again = [row for one in parts for row in rows(path, part=(one.start, one.end))]
    assert [row["text"] for row in again if row["rule"] != "empty_line"] == ["été 日本", "zwei"]


@pytest.mark.parametrize("zeros", [1, 2, 3, 5000])
def test_zeros_that_a_stopped_machine_left_cost_no_line_beside_them(tmp_path, zeros):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(
        line(0, 0) + bytes(zeros) + line(0, 1) + bytes(zeros) + b"\n" + line(0, 2)[:-1]
    )
    counts = RecordCounts()
    found = rows(path, counts)
    assert [row["url"] for row in found] == [
        "http://e.org/0/0", "http://e.org/0/1", None, "http://e.org/0/2",
    ]  # fmt: skip
    assert [row["damage"] for row in found] == [None, "zeros beside it", None, None]
    assert found[2]["rule"] == "bad_json"
    assert abs(counts.lost_size_bytes - 2 * zeros) <= 3


def test_control_characters_within_a_text_are_read_and_said(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'{"text": "a\tb\x00c"}\n{"text": "a\tb"\n')
    first, second = rows(path)
    assert (first["text"], first["damage"]) == ("a\tb\0c", "control characters")
    assert second["rule"] == "bad_json"


@pytest.mark.parametrize(
    "broken",
    [b"{", b'{"text": "a"', b"[" * 100_000, b"null", b'"text"', b"\xff\xfe\xfd" * 9, b"\0"],
)
def test_a_broken_line_costs_itself(tmp_path, broken):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(line(0, 0) + broken + b"\n" + line(0, 1))
    assert [row["rule"] for row in rows(path)] == [None, "bad_json", None]


TABLE_ROWS, GROUP_ROWS = 600, 100


def table() -> pa.Table:
    draw = random.Random(3)
    texts = [f"{n} " + " ".join(draw.choices(WORDS, k=80)) for n in range(TABLE_ROWS)]
    return pa.table({"text": texts, "url": [f"http://e.org/{n}" for n in range(TABLE_ROWS)]})


def write_parquet(path: Path, compression: str, dictionary: bool = False) -> pq.FileMetaData:
    pq.write_table(
        table(), path, row_group_size=GROUP_ROWS, compression=compression,
        use_dictionary=dictionary, data_page_size=4096, write_page_checksum=True,
    )  # fmt: skip
    return pq.read_metadata(path)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_a_damaged_page_costs_the_rest_of_its_row_group_at_most(
    tmp_path, compression, column, share
):
    path = tmp_path / "pool.parquet"
    group = write_parquet(path, compression).row_group(2)
    chunk = group.column(column)
    at = chunk.data_page_offset + int(chunk.total_compressed_size * share)
    data = bytearray(path.read_bytes())
    data[at : at + 20] = os.urandom(20)
    path.write_bytes(data)
    counts = RecordCounts()
    found = rows(path, counts)
    kept = {int(row["text"].split()[0]) for row in found if row["rule"] is None}
    assert set(range(200)) | set(range(300, TABLE_ROWS)) <= kept
    assert len({row["doc_id"] for row in found}) == len(found)
    if column == 1:
        assert kept == set(range(TABLE_ROWS))
        assert {row["damage"] for row in found[200:300]} <= {None, "damaged column url"}
    elif len(kept) < TABLE_ROWS:
        (lost,) = [row for row in found if row["rule"] == "damaged_file"]
        assert "to 299 of row group 2" in lost["error"]
        assert lost["value"] == TABLE_ROWS - len(kept)
        size = sum(group.column(at).total_compressed_size for at in range(group.num_columns))
        assert counts.lost_size_bytes == round(size * lost["value"] / GROUP_ROWS)
    rows_of_kept = {row["warc_offset"] for row in found if row["rule"] is None}
    assert rows_of_kept == kept


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet" * 99, "cut", "without start"])
def test_a_file_that_is_no_parquet_is_one_quarantined_row(tmp_path, data):
    path = tmp_path / "pool.parquet"
    write_parquet(path, "zstd")
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-100], "without start": whole[-9:]}.get(data, data)
        if isinstance(data, str)
        else data
    )
    (row,) = rows(path)
    assert (row["rule"], row["fate"]) == ("damaged_file", "quarantined")


KINDS = {
    "string": pa.string(), "large_string": pa.large_string(), "binary": pa.binary(),
    "large_binary": pa.large_binary(), "string_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_no_utf_8_is_mended_in_every_type_of_column(tmp_path, kind):
    texts = [f"{n} plain words".encode() for n in range(20)]
    texts[7], texts[9] = b"7 caf\xe9 words", b"\xe9\xe8\xea\xeb" * 20
    column = pa.array(texts, pa.binary())
    if kind == "dictionary":
        column = pa.DictionaryArray.from_arrays(
            pa.array(range(20), pa.int32()), column.view("string")
        )
    elif "binary" not in kind:
        column = column.view(pa.string())
        column = column if kind == "string" else column.cast(KINDS[kind], safe=False)
    else:
        column = column.cast(KINDS[kind])
    path = tmp_path / "pool.parquet"
    urls = pa.array([b"http://e.org/\xff"] * 20, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column, "url": urls}), path)
    found = rows(path)
    assert found[7]["text"] == "7 caf\ufffd words"
    assert found[7]["damage"] == "1 times no utf-8"
    assert [row["rule"] for row in found if row["rule"]] == ["could_not_decode"]
    assert {row["url"] for row in found} == {"http://e.org/\ufffd"}


def test_rows_that_python_cannot_hold_lose_the_value_only(tmp_path):
    path = tmp_path / "pool.parquet"
    days = pa.array([0, -62_135_629_200_000], pa.int64()).view(pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["a", "b"], "day": days}), path)
    from tests.udfs.documents.test_given import own

    first, second = own(path, columns=("day",))
    assert json.loads(first["own_columns"]) == {"day": "1970-01-01 00:00:00"}
    assert json.loads(second["own_columns"])["day"].startswith("0000-12-31")


def test_columns_of_one_name_are_the_first_of_them(tmp_path):
    path = tmp_path / "pool.parquet"
    names = ["text", "note", "text", "url", "url", "note"]
    values = ["one", "n", "two", "http://e.org/1", "http://e.org/2", "m"]
    pq.write_table(pa.table([pa.array([value]) for value in values], names=names), path)
    from tests.udfs.documents.test_given import own

    (row,) = own(path, columns=("*",))
    assert (row["text"], row["url"]) == ("one", "http://e.org/1")
    assert json.loads(row["own_columns"]) == {"note": "n"}


@pytest.mark.parametrize(
    "odd", [pa.int64(), pa.list_(pa.string()), pa.struct([("a", pa.string())])]
)
def test_a_text_column_of_another_type_is_missing(tmp_path, odd):
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"text": pa.nulls(3, odd)}), path)
    assert [row["rule"] for row in rows(path)] == ["missing_text"] * 3


def test_parts_of_a_file_give_each_line_and_row_once_and_alike(tmp_path):
    plain = tmp_path / "pool.jsonl"
    plain.write_bytes(b"".join(map(member, range(MEMBERS))))
    parquet = tmp_path / "pool.parquet"
    write_parquet(parquet, "snappy")
    for path, positions in ((plain, False), (parquet, True)):
        whole = rows(path)
        for size in (999, 7777, 20_000, 10**9):
            parts = parts_of(path.stat().st_size, size)
            found = [row for one in parts for row in rows(path, part=(one.start, one.end))]
            assert [row["url"] for row in found] == [row["url"] for row in whole]
            assert len({row["doc_id"] for row in found}) == len(whole)
            if positions:
                assert [row["doc_id"] for row in found] == [row["doc_id"] for row in whole]


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        zstandard.compress,
        bz2.compress,
        lzma.compress,
        lambda data: b"\x50\x2a\x4d\x18\x04\0\0\0note" + zstandard.compress(data),
        lambda data: codecs.BOM_UTF16_LE + data.decode().encode("utf-16-le"),
        lambda data: codecs.BOM_UTF16_BE + data.decode().encode("utf-16-be"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_read_once_by_its_first_part(tmp_path, pack):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(pack(b"".join(map(member, range(MEMBERS)))))
    expected = [row["url"] for row in rows(path)]
    assert len(set(expected)) == MEMBERS * LINES
    for size in (999, path.stat().st_size // 3):
        parts = parts_of(path.stat().st_size, size)
        assert len(parts) > 1
        found = [row for one in parts for row in rows(path, part=(one.start, one.end))]
        assert [row["url"] for row in found] == expected


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_pages_that_are_read_from_disk_give_the_same_rows(
    tmp_path, monkeypatch, version, compression, dictionary
):
    draw = random.Random(2)
    choices = [None, "a", "bb" * 9, "é" * 70, "long " * 999]
    texts = [draw.choice([*choices, f"text {n}"]) for n in range(700)]
    data = pa.table({"number": range(700), "text": texts, "url": [f"u{n}" for n in range(700)]})
    path = tmp_path / "pool.parquet"
    pq.write_table(
        data, path, compression=compression, use_dictionary=dictionary, row_group_size=300,
        data_page_size=3000, data_page_version=version,
    )  # fmt: skip
    limits = WarcSettings(max_record_size_bytes=4000)
    expected = rows(path, warc=limits)
    assert sum(row["rule"] == "row_too_large" for row in expected) > 50
    monkeypatch.setattr("udfs.documents.parquet.parquet_rows._LARGE_CHUNK_BYTES", 100)
    monkeypatch.setattr("udfs.documents.parquet.parquet_rows._LARGE_VALUE_BYTES", 1)
    monkeypatch.setattr("udfs.documents.parquet.large_pages._IN_MEMORY_SIZE_BYTES", 1000)
    assert rows(path, warc=limits) == expected
    damaged = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(1).column(1)
    at = chunk.data_page_offset + chunk.total_compressed_size // 2
    damaged[at : at + 30] = os.urandom(30)
    path.write_bytes(damaged)
    found = rows(path, warc=limits)
    assert len({row["doc_id"] for row in found}) == len(found)
    assert {row["url"] for row in expected[:300]} <= {row["url"] for row in found}
    assert found[-1] == expected[-1]


MEASURE = """
import resource, sys
from pathlib import Path
from tests.udfs.documents.test_given import batches
path, rules, count = Path(sys.argv[1]), set(), 0
for batch in batches(path):
    rules |= set(batch.column("rule").to_pylist())
    count += batch.num_rows
print(count, sorted(map(str, rules)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@pytest.mark.slow  # Decompresses gigabytes, in processes of their own whose peak counts.
@pytest.mark.parametrize("rows_and_size", [(256, 4 << 20), (1, 200 << 20)])
@pytest.mark.parametrize("kind", ["parquet", "dictionary.parquet", "jsonl.gz"])
def test_large_rows_take_the_memory_of_a_worker_and_no_more(tmp_path, rows_and_size, kind):
    count, size = rows_and_size
    path = tmp_path / f"pool.{kind}"
    texts = (f"{n} " + "word " * (size // 5) for n in range(count))
    if kind == "jsonl.gz":
        with gzip.open(path, "wt", 1) as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    else:
        whole = pa.table({"text": list(texts)})
        pq.write_table(
            whole, path, compression="zstd", row_group_size=256, use_dictionary="dict" in kind
        )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    num_rows, rules, peak_mib = done.stdout.partition(" ")[0], done.stdout, done.stdout.split()[-1]
    assert int(num_rows) == count
    assert ("too_large" in rules) == (size > 64 << 20)
    assert int(peak_mib) < 1.2e9 / 2**20, done.stdout


@pytest.mark.parametrize(
    ("suffix", "pack", "hole", "lost"),
    [
        (".jsonl.gz", PACKS[".jsonl.gz"], (0.1, 0.11), 0.9),
        (".jsonl", bytes, (0.2, 0.8), 0.6),
        (".jsonl.gz", PACKS[".jsonl.gz"], (0.5, 0.5), 0),
    ],
)
def test_the_bytes_of_a_file_that_gave_no_line_are_counted(tmp_path, suffix, pack, hole, lost):
    data = bytearray(pack(b"".join(map(member, range(MEMBERS)))))
    start, end = (int(len(data) * place) for place in hole)
    data[start:end] = bytes(end - start)
    counts = RecordCounts()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert rows(path, counts)
    assert counts.lost_size_bytes / len(data) == pytest.approx(lost, abs=0.05)


def test_a_member_whose_checksum_is_wrong_counts_as_lost_though_its_lines_are_kept(tmp_path):
    data = bytearray(gzip.compress(b"".join(map(member, range(MEMBERS)))))
    # The checksum stands before the size, at the end.
    data[-6] ^= 1
    counts = RecordCounts()
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    found = rows(path, counts)
    assert sum(one["fate"] is None for one in found) == MEMBERS * LINES
    assert counts.lost_size_bytes == len(data)


@pytest.mark.parametrize("at", [2, 0.3, 0.6, -20])
def test_a_damaged_block_of_bzip2_costs_its_lines_alone(tmp_path, at):
    data = b"".join(line(number % 6, number % 30) for number in range(1980))
    packed = bytearray(bz2.compress(data, 1))
    place = at if isinstance(at, int) else int(len(packed) * at)
    packed[place] ^= 0x55
    packed += bz2.compress(line(9, 9), 1)
    counts = RecordCounts()
    path = tmp_path / "a.jsonl.bz2"
    path.write_bytes(packed)
    found = rows(path, counts)
    lost = 1981 - sum(row["rule"] is None for row in found)
    # A block of level 1 decodes to 100,000 bytes.
    assert lost <= 100_000 // min(map(len, data.splitlines())) + 2
    assert found[-1]["url"] == "http://e.org/9/9"
    assert len({row["doc_id"] for row in found}) == len(found)
    assert any(row["rule"] == "damaged_file" for row in found)
    assert abs(counts.lost_size_bytes - len(packed) * lost / 1981) < 9000


def test_marks_of_bzip2_in_noise_are_no_blocks(tmp_path):
    path = tmp_path / "a.jsonl.bz2"
    noise = b"BZh9 noise 1AY&SY1AY&SY.\x17\x72\x45\x38\x50\x90.sum"
    path.write_bytes(noise + bz2.compress(line(0, 0)))
    *lost, last = rows(path)
    assert ({row["rule"] for row in lost}, last["url"]) == ({"damaged_file"}, "http://e.org/0/0")


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_lost_bytes_are_counted_from_the_damage_on_in_small_files(tmp_path, pack):
    packed = bytearray(pack(member(0)))
    packed[len(packed) // 2] ^= 0x55
    counts = RecordCounts()
    path = tmp_path / f"a.jsonl.{'bz2' if pack is bz2.compress else 'xz'}"
    path.write_bytes(packed + pack(member(1)))
    found = rows(path, counts)
    assert {row["url"] for row in found if row["rule"] is None} >= urls_of([1])
    assert counts.lost_size_bytes >= len(packed) // 2
