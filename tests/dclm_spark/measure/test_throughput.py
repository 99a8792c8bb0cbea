import runpy
import sys
from pathlib import Path

import pytest
from warcio.warcwriter import WARCWriter

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError
from dclm_spark.measure import kernels
from dclm_spark.measure.chain import read_pages, time_chain
from dclm_spark.measure.inputs import first_pages, load_models
from dclm_spark.measure.throughput import MeasureSettings, measure
from tests.dclm_spark.measure.pages import NUM_PAGES, write_pages

ROOT = Path(__file__).parents[3]


@pytest.fixture
def warc(tmp_path):
    return write_pages(tmp_path / "pages.warc.gz")


def test_the_first_pages_are_a_warc_of_their_own(warc, tmp_path):
    files = first_pages(list_inputs(str(warc)), 5, tmp_path / "cut")
    urls = [record.url for record in read_pages(files)]
    assert urls == [f"http://site{number}.example/walks" for number in range(5)]


def test_more_pages_than_there_are_is_all_of_them(warc, tmp_path):
    files = first_pages(list_inputs(str(warc)), 99, tmp_path / "cut")
    assert len(read_pages(files)) == NUM_PAGES


def test_the_chain_counts_what_came_through(warc):
    counts, curating, refining = time_chain(
        list_inputs(str(warc)), load_models(None, None, None), ngrams=10_000
    )
    assert (counts.documents, counts.kept, counts.deduplicated) == (NUM_PAGES,) * 3
    assert counts.tokens == 0
    assert curating > 0
    assert refining > 0


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(InputError, match="--lists"):
        load_models(str(tmp_path), None, None)


def test_the_job_writes_a_report_with_every_step(warc, tmp_path, monkeypatch):
    monkeypatch.setattr("dclm_spark.measure.chain.FILTER_NGRAMS", 10_000)
    output = tmp_path / "report.md"
    monkeypatch.setattr(
        sys, "argv",
        ["measure_throughput.py", "--input", str(warc), "--limit", "9", "--output", str(output)],
    )  # fmt: skip
    runpy.run_path(str(ROOT / "jobs" / "measure_throughput.py"), run_name="__main__")
    text = output.read_text()
    assert "9 pages" in text
    assert "9 English texts" in text
    names = (
        "read", "decode", "extract", "floor", "whole chain", kernels.HEURISTICS, kernels.SEGMENTS,
        kernels.LANGUAGE, kernels.MINHASH_128, kernels.MINHASH_1395, kernels.DEDUP,
    )  # fmt: skip
    for name in names:
        assert f"| {name} |" in text
    # Nobody gave a tokenizer or a quality model.
    assert kernels.TOKENS not in text
    assert kernels.QUALITY not in text


@pytest.mark.long
def test_an_input_without_english_is_refused(tmp_path):
    path = tmp_path / "empty.warc.gz"
    with path.open("wb") as file:
        WARCWriter(file, gzip=True).write_record(
            WARCWriter(file, gzip=True).create_warcinfo_record("empty.warc.gz", {"a": "b"})
        )
    with pytest.raises(InputError, match="English"):
        measure(MeasureSettings(input=str(path)))
