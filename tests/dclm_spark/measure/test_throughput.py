import io
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError
from dclm_spark.measure import kernels, markdown
from dclm_spark.measure.against_reference import ReferenceResult, compare_with_reference
from dclm_spark.measure.chain import read_pages, time_chain
from dclm_spark.measure.clock import Timing
from dclm_spark.measure.inputs import first_pages, load_models
from dclm_spark.measure.libraries import within_budget
from dclm_spark.measure.peers import PeerResult, missing_packages, time_ours
from dclm_spark.measure.throughput import MeasureSettings, measure
from dclm_spark.sample.prose import sentences

ROOT = Path(__file__).parents[3]
NUM_PAGES = 12


def english_page(number):
    paragraphs = "".join(f"<p>{text}</p>" for text in sentences(Random(number), 20))
    return f"<html><body><main><h1>Walks</h1>{paragraphs}</main></body></html>"


@pytest.fixture
def warc(tmp_path):
    path = tmp_path / "pages.warc.gz"
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number in range(NUM_PAGES):
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], "HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(
                    f"http://site{number}.example/walks",
                    "response",
                    payload=io.BytesIO(english_page(number).encode()),
                    http_headers=headers,
                )
            )
    return path


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


def test_the_budget_stops_a_slow_library():
    timing = within_budget("x", lambda text: sum(range(300_000)), ["abc"] * 10_000, 0.05)
    assert 1 <= timing.documents < 10_000
    assert timing.size_bytes == 3 * timing.documents


def test_an_interpreter_that_can_run_no_peer_is_refused_at_once(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(InputError, match=r"--peers .*for datatrove datatrove,.*reference fasttext"):
        missing_packages(str(python))
    with pytest.raises(InputError, match="--peers nowhere/python"):
        missing_packages("nowhere/python")


def test_a_peer_is_left_out_alone():
    pytest.importorskip("uniseg")
    missing = missing_packages(sys.executable)
    assert list(missing) == ["datatrove"]
    assert "datatrove" in missing["datatrove"]
    assert "warcio" not in missing["datatrove"]


def test_the_reference_keeps_what_the_chain_keeps(warc, tmp_path):
    pytest.importorskip("uniseg")
    models = load_models(None, None, None)
    files = first_pages(list_inputs(str(warc)), 5, tmp_path / "cut")
    ours = time_ours(files, models)
    result = compare_with_reference(sys.executable, files, tmp_path / "cut", models, ours)
    assert [step.name for step in result.steps] == ["read", "extract", "26 steps", "language id"]
    assert result.kept == result.our_kept == result.texts.documents == 5
    assert result.texts.size_bytes == result.our_texts.size_bytes > 0
    assert min(result.ratio, result.texts_ratio) > 0
    assert result.left_out == []


def test_the_job_writes_a_report_with_every_step(warc, tmp_path, monkeypatch):
    monkeypatch.setattr("dclm_spark.measure.libraries.BUDGET_SECONDS", 0.01)
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


def test_an_input_without_english_is_refused(tmp_path):
    path = tmp_path / "empty.warc.gz"
    with path.open("wb") as file:
        WARCWriter(file, gzip=True).write_record(
            WARCWriter(file, gzip=True).create_warcinfo_record("empty.warc.gz", {"a": "b"})
        )
    with pytest.raises(InputError, match="English"):
        measure(MeasureSettings(input=str(path)))


def test_the_report_calls_a_missed_target_missed(warc, monkeypatch):
    monkeypatch.setattr("dclm_spark.measure.libraries.BUDGET_SECONDS", 0.01)
    monkeypatch.setattr("dclm_spark.measure.chain.FILTER_NGRAMS", 10_000)
    measured = measure(MeasureSettings(input=str(warc)))
    slow = Timing(name="x", cpu_seconds=2.0, documents=4, size_bytes=8)
    measured.peers = PeerResult(version="1", ours=slow, steps=[slow, slow], kept=1, words=None)
    measured.reference = ReferenceResult(
        versions={"uniseg": "0.7.2"}, ours=slow, steps=[slow, slow], kept=3, our_kept=2,
        left_out=["tokens"], texts=replace(slow, cpu_seconds=100.0), our_texts=slow,
    )  # fmt: skip
    measured.missing = {"a third": ["this", "that"]}
    measured.spark = [(1, slow, slow), (16, slow, replace(slow, cpu_seconds=2.3))]
    text = markdown.render(measured)
    assert "2.0x (target 12x: missed)" in text
    assert "2.0x (target 3x: missed). Its 26 steps kept 3 documents, ours 2." in text
    assert "Left out on its side: tokens." in text
    assert "50.0x (target 100x with uniseg 0.7.2: missed)" in text
    assert "Not measured: a third, for which that Python lacks this, that." in text
    assert "Spark takes 1.15 times the CPU of the bare kernels, JVM included (target" in text
    assert "takes 1.00 times the CPU bare and 1.15 in Spark (target at most 1.1: missed)" in text


def test_a_target_against_one_version_is_not_judged_with_another():
    slow = Timing(name="x", cpu_seconds=2.0, documents=4, size_bytes=8)
    result = ReferenceResult(
        versions={"uniseg": "0.10.1"}, ours=slow, steps=[slow], kept=3, our_kept=2, left_out=[],
        texts=replace(slow, cpu_seconds=500.0), our_texts=slow,
    )  # fmt: skip
    assert markdown._reference(result).endswith("250.0x (target 100x with uniseg 0.7.2).")
