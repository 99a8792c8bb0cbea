import os
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark.settings import override
from dclm_spark.train.benchmark import benchmark
from dclm_spark.train.scales import scale

ROOT = Path(__file__).parents[3]


def test_a_benchmark_reports_speed_and_where_the_time_goes() -> None:
    settings = override(
        scale("test"), ["model.vocabulary_size=512", "observe.peak_flops_per_second=1e12"]
    )
    report = benchmark(settings, num_steps=2)
    assert "tokens/s" in report
    assert "MFU" in report
    assert "aten::" in report
    # The scale's own step: two micro-batches of two sequences, read by the loader.
    assert "2 x 2 x 32 tokens per rank" in report
    assert "waiting for the loader" in report


def test_the_command_needs_neither_shards_nor_output() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "train_model.py"), "--scale", "test", "--benchmark",
         "--set", "model.vocabulary_size=512"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout


@pytest.mark.long
def test_training_itself_needs_shards() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "train_model.py"), "--scale", "test"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--shards" in done.stderr


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="vocabulary_size"):
        override(scale("test"), ["model.vocabulary_sise=512"])
