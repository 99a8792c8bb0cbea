import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from dclm_spark.settings import override
from dclm_spark.train.checkpoints.folder import read_facts, resolve
from dclm_spark.train.distributed import num_threads
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.ranks import end, start_ranks
from tests.dclm_spark.train.shards import counting_rows, write_shards

ROOT = Path(__file__).resolve().parents[3]
# Sums over two ranks round otherwise than over one: the losses of 20 steps agree to this.
TOLERANCE = 1e-4
SETTINGS = ["optimizer.average_decay=0.9", "loss_chunk_tokens=24", "checkpoint.interval_steps=4"]


def losses(output: Path) -> list[float]:
    lines = read_log(output / "log.jsonl")
    return [line["loss"] for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(100, 32)
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequences_per_shard=90)


@pytest.fixture(scope="module")
def undisturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    train(override(scale("test"), SETTINGS), shards=shards, output=output)
    return output


@pytest.fixture(scope="module")
def killed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Two ranks of which one dies by SIGKILL in the middle of step 13."""
    output = tmp_path_factory.mktemp("killed")
    return output, end(start_ranks(shards, output, 2, *SETTINGS, KILLED_AT_STEP="13"))


@pytest.mark.long
def test_a_run_whose_rank_was_killed_ends_on_one_process_as_if_undisturbed(
    shards: Path, undisturbed: Path, killed: tuple[Path, Any]
) -> None:
    output, results = killed
    assert results[1][0] == -9
    assert results[0][0] not in (0, None)
    saved = read_facts(resolve(output))
    assert saved.num_ranks == 2
    assert saved.step in (8, 12)
    train(override(scale("test"), SETTINGS), shards=shards, output=output, resume=True)
    assert read_facts(resolve(output)).num_ranks == 1
    found, wanted = losses(output), losses(undisturbed)
    assert len(found) == len(wanted) == 20
    assert found == pytest.approx(wanted, abs=TOLERANCE)
    tokens = torch.arange(32)[None]
    (one, _), (other, _) = load(output), load(undisturbed)
    torch.testing.assert_close(one(tokens), other(tokens), rtol=0, atol=1e-2)


@pytest.mark.long
def test_a_checkpoint_of_one_process_goes_on_with_four(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    settings = override(scale("test"), [*SETTINGS, f"stop_tokens={12 * 128}"])
    train(settings, shards=shards, output=tmp_path)
    for code, errors in end(start_ranks(shards, tmp_path, 4, *SETTINGS)):
        assert code == 0, errors
    assert read_facts(resolve(tmp_path)).num_ranks == 4
    assert losses(tmp_path) == pytest.approx(losses(undisturbed), abs=TOLERANCE)


@pytest.mark.long
def test_two_replicas_start_from_weights_that_one_rank_reads_and_train_as_one_process(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    settings = [*SETTINGS, f"initial_weights={undisturbed}", f"stop_tokens={4 * 128}"]
    train(override(scale("test"), settings), shards=shards, output=tmp_path / "one")
    replicated = [*settings, "replicas=2", "timeout_minutes=5"]
    for code, errors in end(start_ranks(shards, tmp_path / "two", 2, *replicated)):
        assert code == 0, errors
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=TOLERANCE)


def test_ranks_that_cannot_be_replicated_are_refused_on_each(shards: Path, tmp_path: Path) -> None:
    for code, errors in end(start_ranks(shards, tmp_path, 2, "replicas=3")):
        assert code == 1
        assert "replicas = 3: must divide the number of ranks (2)" in errors


def test_a_small_model_takes_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert num_threads(scale("tiny")) == 1
    assert num_threads(scale("80m")) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert num_threads(scale("tiny")) is None


@pytest.mark.long
def test_torchrun_that_is_told_to_stop_leaves_a_state_to_go_on_from(
    shards: Path, tmp_path: Path
) -> None:
    long = [*SETTINGS, "tokens=2560000", "data.passes=1000"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(ROOT / "jobs" / "train_model.py"), "--scale", "test", "--shards", str(shards)]
    command += ["--output", str(tmp_path), "--resume"]
    for assignment in long:
        command += ["--set", assignment]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    # torchrun hides its workers' 143 behind its own code: schedulers see any failure.
    assert process.returncode == 1, errors.decode()
    saved = read_facts(resolve(tmp_path))
    assert saved.num_ranks == 2
    two_more = [*long, f"stop_tokens={(saved.step + 2) * 128}"]
    train(override(scale("test"), two_more), shards=shards, output=tmp_path, resume=True)
    assert read_facts(resolve(tmp_path)).step == saved.step + 2
