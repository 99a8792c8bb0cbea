import sys
from dataclasses import replace

import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError
from dclm_spark.measure.clock import Timing
from dclm_spark.measure.inputs import first_pages, load_models
from dclm_spark.measure.throughput import MeasureSettings
from tests.benchmarks import markdown
from tests.benchmarks.against_reference import ReferenceResult, compare_with_reference
from tests.benchmarks.compare import compare
from tests.benchmarks.libraries import within_budget
from tests.benchmarks.peers import PeerResult, missing_packages, time_ours
from tests.dclm_spark.measure.pages import write_pages


@pytest.fixture
def warc(tmp_path):
    return write_pages(tmp_path / "pages.warc.gz")


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


@pytest.mark.long
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


@pytest.mark.long
def test_the_report_calls_a_missed_target_missed(warc, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.libraries.BUDGET_SECONDS", 0.01)
    monkeypatch.setattr("dclm_spark.measure.chain.FILTER_NGRAMS", 10_000)
    compared = compare(MeasureSettings(input=str(warc)))
    measured = compared.measured
    slow = Timing(name="x", cpu_seconds=2.0, documents=4, size_bytes=8)
    compared.peers = PeerResult(version="1", ours=slow, steps=[slow, slow], kept=1, words=None)
    compared.reference = ReferenceResult(
        versions={"uniseg": "0.7.2"}, ours=slow, steps=[slow, slow], kept=3, our_kept=2,
        left_out=["tokens"], texts=replace(slow, cpu_seconds=100.0), our_texts=slow,
    )  # fmt: skip
    compared.missing = {"a third": ["this", "that"]}
    measured.spark = [(1, slow, slow), (16, slow, replace(slow, cpu_seconds=2.3))]
    text = markdown.render(compared)
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
