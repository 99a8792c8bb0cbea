import subprocess
import sys
import time

from udfs.cpu_clock import count_child, cpu_seconds, forget_child

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_a_counted_child_counts_while_it_lives_and_once_when_it_has_ended():
    before = cpu_seconds()
    child = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    count_child(child.pid)
    child.stdout.readline()
    alive = cpu_seconds() - before
    child.communicate(b"\n")
    forget_child(child.pid)
    ended = cpu_seconds() - before
    assert alive >= 0.3 or sys.platform != "linux"
    assert 0.3 <= ended < alive + 0.3


def test_the_clock_does_not_count_sleep():
    before = cpu_seconds()
    time.sleep(0.2)
    assert cpu_seconds() - before < 0.15
