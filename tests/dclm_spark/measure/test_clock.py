import os
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark.measure.clock import Timing, on_one_core, seconds_of, timed, total
from udfs.cpu_clock import cpu_seconds

BURN = "import time\nwhile time.process_time() < 0.15: pass"


def burn(seconds):
    end = cpu_seconds() + seconds
    while cpu_seconds() < end:
        pass


def test_rates_are_per_second_of_cpu():
    timing = Timing(name="x", cpu_seconds=2.0, documents=10, size_bytes=4_000_000)
    assert timing.documents_per_second == 5.0
    assert timing.megabytes_per_second == 2.0
    assert timing.seconds_per_document == 0.2


def test_steps_over_the_same_documents_add_up():
    steps = [
        Timing(name=n, cpu_seconds=s, documents=4, size_bytes=8) for n, s in (("a", 1), ("b", 2))
    ]
    assert total("both", steps) == Timing(name="both", cpu_seconds=3, documents=4, size_bytes=8)


def test_the_work_of_a_child_that_ended_counts():
    spent = seconds_of(lambda: subprocess.run([sys.executable, "-c", BURN], check=True))
    assert spent >= 0.15


def test_waiting_does_not_count():
    import time

    assert seconds_of(lambda: time.sleep(0.3)) < 0.2


# In a process without other children: those of a test session's Spark end when they want.
TREE = f"""
import subprocess, sys
from dclm_spark.measure.clock import tree_cpu_seconds
before = tree_cpu_seconds()
child = subprocess.Popen(
    [sys.executable, "-c", {BURN + chr(10) + "print('done', flush=True)" + chr(10) + "input()"!r}],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
assert child.stdout.readline() == b"done" + bytes([10])
alive = tree_cpu_seconds() - before
child.communicate(bytes([10]))
print(alive, tree_cpu_seconds() - before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")  # noqa: PTH112
def test_the_tree_holds_children_that_are_still_alive():
    said = subprocess.run(
        [sys.executable, "-c", TREE], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    alive, after = map(float, said.stdout.split())
    assert alive >= 0.1
    assert after >= alive


def test_the_fastest_pass_counts_and_preparation_comes_before_each(monkeypatch):
    seconds = iter([0.06, 0.02, 0.05])
    calls = []
    monkeypatch.setattr(
        "dclm_spark.measure.clock.seconds_of", lambda work: (work(), next(seconds))[1]
    )
    timing = timed(
        "x",
        lambda: calls.append("work"),
        documents=1,
        size_bytes=1,
        passes=3,
        prepare=lambda: calls.append("prepare"),
    )
    assert timing.cpu_seconds == 0.02
    assert calls == ["prepare", "work"] * 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinity")
def test_a_block_on_one_core_leaves_all_of_them_behind():
    allowed = os.sched_getaffinity(0)
    with on_one_core():
        inside = os.sched_getaffinity(0)
    assert len(inside) == 1
    assert inside <= allowed == os.sched_getaffinity(0)
