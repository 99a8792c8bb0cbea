"""The size of a run's output before it starts."""

import bz2
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.planning.output_sizes import expected_sizes
from dclm_spark.planning.text_shares import text_share
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import InputSettings

TEXTS = [f"Line {number} of a text that is often said again. " * 20 for number in range(4000)]
LINES = "".join(json.dumps({"text": text, "id": "x" * 900}) + "\n" for text in TEXTS).encode()


def files(kind: str, count: int = 1) -> list[InputFile]:
    return [InputFile(crawl="a", path=f"{n}", uri=f"{n}", kind=kind) for n in range(count)]


def test_ids_of_32_bits_take_twice_the_room() -> None:
    found = [expected_sizes(files("json lines"), 8_400_000, size, 0.5) for size in (2, 4)]
    narrow, wide = found
    assert narrow is not None
    assert wide is not None
    assert narrow.tokens == wide.tokens == 1_000_000
    assert wide.output_size_bytes - narrow.output_size_bytes == pytest.approx(2_000_000)


def test_only_files_like_common_crawls_are_sized_up_by_its_constants() -> None:
    crawl = expected_sizes(files("warc", 2), 2_000_000_000, 2)
    assert crawl is not None
    assert crawl.tokens == pytest.approx(2 * 39_082 * 0.2 * 1_200, abs=1)
    assert expected_sizes(files("warc", 2), 2_000_000, 2) is None
    assert expected_sizes(files("json lines"), 2_000_000, 2, None) is None


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.bz2", "parquet"])
def test_the_text_for_each_byte_is_measured_whatever_the_compression(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    pack = {"jsonl": bytes, "jsonl.gz": gzip.compress, "jsonl.bz2": bz2.compress}
    if suffix == "parquet":
        table = pa.table({"text": TEXTS, "id": ["x" * 900] * len(TEXTS)})
        pq.write_table(table, path, use_dictionary=False)
    else:
        path.write_bytes(pack[suffix](LINES))
    share = text_share(list_inputs(str(path)), ExtractionSettings(), InputSettings())
    assert share is not None
    text_size_bytes = sum(map(len, TEXTS))
    assert share * path.stat().st_size == pytest.approx(text_size_bytes, rel=0.05)


def test_the_text_for_each_byte_of_nothing_is_unknown(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    given = list_inputs(str(tmp_path))
    assert text_share(given, ExtractionSettings(), InputSettings()) is None
