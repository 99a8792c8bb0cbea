"""A driver holds little of each unit, so that a crawl of a hundred thousand is no matter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.spark


def driver(folder, units, *arguments):
    """Return what a driver of `units` units took (`tests.benchmarks.driver_scale`)."""
    command = [
        sys.executable, "-m", "tests.benchmarks.driver_scale", "--units", str(units),
        "--folder", str(folder / str(units)), *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["manifest_bytes"] <= 4096
    return found


def test_a_unit_takes_less_than_ten_kilobytes_of_a_drivers_memory(tmp_path):
    few, many = (driver(tmp_path, units, "--domains", "50") for units in (1_000, 10_000))
    growth = (many["driver_peak_bytes"] - few["driver_peak_bytes"]) / 9_000
    assert growth < 10_000, f"{growth:.0f} bytes a unit"
    assert many["columns_bytes_a_unit"] < 2_000


@pytest.mark.slow
def test_a_crawl_of_a_hundred_thousand_files_fits_a_small_driver(tmp_path):
    found = driver(tmp_path, 100_000)
    assert found["driver_peak_bytes"] < 2e9
    assert found["driver_cpu_seconds"] < 600
