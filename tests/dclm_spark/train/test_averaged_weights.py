import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dclm_spark.errors import InputError
from dclm_spark.evaluate.models import load_model
from dclm_spark.settings import override
from dclm_spark.train.checkpoints.folder import CheckpointError
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.scales import TrainSettings, scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.models import fresh_model
from tests.dclm_spark.train.ranks import end, start_ranks
from tests.dclm_spark.train.shards import counting_rows, write_shards

ROOT = Path(__file__).resolve().parents[3]
KEPT = ["optimizer.average_decay=0.9", "tokens=768", "observe.heldout_interval_steps=2"]
AVERAGED = [*KEPT, "observe.heldout_weights=averaged"]


def settings(*assignments: str) -> TrainSettings:
    return override(scale("test"), assignments)


def weights(path: Path, which: str) -> dict[str, Tensor]:
    return dict(load(path, weights=which)[0].named_parameters())


def lines(run: Path, kind: str) -> list[dict[str, float]]:
    return [line for line in read_log(run / "log.jsonl") if line["kind"] == kind]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(100, 32)
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequences_per_shard=90)


@pytest.fixture(scope="module")
def finished(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps, of which every checkpoint is kept; held-out losses are of the averages."""
    output = tmp_path_factory.mktemp("finished")
    every = ["checkpoint.interval_steps=1", "checkpoint.keep=9"]
    train(settings(*AVERAGED, *every), shards=shards, output=output)
    return output


def test_the_averages_are_those_of_all_steps(finished: Path) -> None:
    model = load(finished)[1].model
    expected = dict(fresh_model(model, seed=settings().seed).named_parameters())
    for step in range(1, 7):
        present = weights(finished / f"checkpoints/step-{step:09d}", "last")
        expected = {n: 0.9 * mean + 0.1 * present[n] for n, mean in expected.items()}
    found = weights(finished, "averaged")
    last = weights(finished, "last")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-5, atol=1e-7)
        assert not torch.equal(found[name], last[name])


def test_the_averages_of_a_resumed_run_are_bitwise_those_of_an_undisturbed_one(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings(*KEPT, "stop_tokens=384"), shards=shards, output=tmp_path)
    train(settings(*AVERAGED), shards=shards, output=tmp_path, resume=True)
    expected = weights(finished, "averaged")
    assert all(torch.equal(w, expected[n]) for n, w in weights(tmp_path, "averaged").items())


def test_measuring_the_averages_leaves_training_alone(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings(*KEPT), shards=shards, output=tmp_path)
    assert [line["loss"] for line in lines(tmp_path, "train")] == [
        line["loss"] for line in lines(finished, "train")
    ]
    for ours, theirs in zip(lines(tmp_path, "heldout"), lines(finished, "heldout"), strict=True):
        assert (ours["weights"], theirs["weights"]) == ("last", "averaged")
        # The average lags behind a loss that falls.
        assert ours["loss"] < theirs["loss"] - 1e-3


@pytest.mark.long
def test_two_ranks_measure_and_save_the_averages_that_one_process_loads(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    for code, errors in end(start_ranks(shards, tmp_path, 2, *AVERAGED)):
        assert code == 0, errors
    for kind in ("train", "heldout"):
        found, expected = lines(tmp_path, kind), lines(finished, kind)
        assert [line["loss"] for line in found] == pytest.approx(
            [line["loss"] for line in expected], abs=1e-4
        )
    expected_weights = weights(finished, "averaged")
    for name, value in weights(tmp_path, "averaged").items():
        torch.testing.assert_close(value, expected_weights[name], rtol=0, atol=1e-3)


def export(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs/export_model.py"), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_export_holds_the_averages_when_asked_for(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    done = export("--model", finished, "--weights", "averaged", "--output", target)
    assert done.returncode == 0, done.stderr
    expected = weights(finished, "averaged")
    assert all(torch.equal(w, expected[n]) for n, w in weights(target, "last").items())
    with pytest.raises(ValueError, match="an export holds one set of weights"):
        load(target, weights="averaged")


def test_a_run_without_averages_says_how_to_keep_some(shards: Path, tmp_path: Path) -> None:
    train(settings("tokens=256"), shards=shards, output=tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no averaged weights.* --set optim.*=0\.999"):
        load(tmp_path, weights="averaged")


def test_averages_that_are_not_kept_cannot_be_measured(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keeps no average"):
        train(settings("observe.heldout_weights=averaged"), shards=shards, output=tmp_path)


def test_other_weights_are_refused(shards: Path, tmp_path: Path) -> None:
    allowed = r"weights = 'best': must be one of \('last', 'averaged'"
    with pytest.raises(ValueError, match=rf"observe\.heldout_{allowed}"):
        train(settings("observe.heldout_weights=best"), shards=shards, output=tmp_path)
    with pytest.raises(ValueError, match=allowed):
        load(tmp_path, weights="best")


def test_a_model_of_another_library_has_no_averages() -> None:
    with pytest.raises(InputError, match="it holds one set"):
        load_model("hf:any", weights="averaged")
