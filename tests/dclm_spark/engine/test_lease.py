"""One driver at a time: who holds an output, for how long, and what the others are told."""

import json
import subprocess
import sys
import time

import pytest

from dclm_spark.engine import lease
from dclm_spark.engine.lease import LEASE, STALE_SECONDS, only_driver
from dclm_spark.errors import SettingError, StageError
from udfs import storage

CLAIM = {
    "token": "another",
    "host": "node-7",
    "processes": "of another",
    "pid": 1,
    "user": "u",
}


def write_claim(folder, age_seconds=0.0, **changes):
    then = time.time() - age_seconds
    content = CLAIM | {"started": then, "heartbeat": then} | changes
    storage.write_bytes(str(folder / LEASE), json.dumps(content).encode())


def owner(folder):
    return json.loads((folder / LEASE).read_text())


def test_a_second_driver_is_refused_with_host_time_and_what_to_do(tmp_path):
    write_claim(tmp_path)
    with pytest.raises(SettingError) as error, only_driver(str(tmp_path)):
        pytest.fail("two drivers in one output")
    text = str(error.value)
    assert "host node-7, process 1 of u, since 20" in text
    assert "wait for it, or stop it" in text
    assert "is free 300 s after its last sign of life, at 20" in text
    assert "\n" not in text
    assert owner(tmp_path)["token"] == "another"


def test_a_driver_that_has_not_been_heard_of_is_replaced(tmp_path, caplog):
    write_claim(tmp_path, age_seconds=STALE_SECONDS + 1)
    with only_driver(str(tmp_path)):
        assert owner(tmp_path)["token"] != "another"
    assert "taken over from host node-7" in caplog.text
    assert not (tmp_path / LEASE).exists()


def test_a_driver_that_was_killed_on_this_machine_is_replaced_at_once(tmp_path):
    code = (
        "import os, signal\nfrom dclm_spark.engine.lease import only_driver\n"
        f"with only_driver({str(tmp_path)!r}):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / LEASE).exists()
    with only_driver(str(tmp_path)):
        pass


def test_one_of_two_drivers_that_run_at_a_time_is_refused(tmp_path):
    code = (
        "import sys\nfrom dclm_spark.engine.lease import only_driver\n"
        f"with only_driver({str(tmp_path)!r}):\n    print('held', flush=True)\n    input()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "held\n"
    with pytest.raises(SettingError, match=f"process {first.pid}"), only_driver(str(tmp_path)):
        pytest.fail("two drivers in one output")
    first.communicate("\n")
    with only_driver(str(tmp_path)):
        pass


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_output_is_free_again_however_a_run_ends(tmp_path, ending):
    with pytest.raises(ending), only_driver(str(tmp_path)):
        raise ending
    assert list(tmp_path.iterdir()) == []


def test_stages_of_one_run_share_its_claim(tmp_path):
    with only_driver(str(tmp_path)):
        with only_driver(str(tmp_path), str(tmp_path / "table")):
            assert (tmp_path / "table" / LEASE).exists()
        assert (tmp_path / LEASE).exists()
        assert not (tmp_path / "table" / LEASE).exists()


def test_a_driver_leaves_signs_of_life_and_ends_when_another_takes_over(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.02)

    def work():
        deadline = time.monotonic() + 60
        with only_driver(str(tmp_path)):
            first = owner(tmp_path)["heartbeat"]
            while owner(tmp_path)["heartbeat"] == first and time.monotonic() < deadline:
                time.sleep(0.01)
            assert owner(tmp_path)["heartbeat"] > first
            while time.monotonic() < deadline:
                # A claim that is renewed while it is taken is taken again.
                write_claim(tmp_path)
                time.sleep(0.05)

    with pytest.raises(StageError, match="another driver took over"):
        work()
    assert owner(tmp_path)["token"] == "another"
