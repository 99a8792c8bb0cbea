import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dclm_spark.settings import override
from dclm_spark.shard_format import ShardError
from dclm_spark.train.checkpoints.folder import CheckpointError, resolve
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.optimizer import OptimizerSettings, ScheduleSettings, StepJudge, learning_rate
from dclm_spark.train.scales import TrainSettings, scale
from dclm_spark.train.trainer import LossNotFinite, Trainer, train
from tests.dclm_spark.train.shards import counting_rows, write_shards

ROOT = Path(__file__).resolve().parents[3]


def settings(*assignments: str) -> TrainSettings:
    return override(scale("test"), assignments)


def losses(output: Path) -> list[float]:
    lines = read_log(output / "log.jsonl")
    return [line["loss"] for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(100, 32)
    directory = tmp_path_factory.mktemp("shards")
    return write_shards(directory, rows, sequences_per_shard=90, domains=["a.org", "b.org"])


@pytest.fixture(scope="module")
def finished(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished")
    train(settings(), shards=shards, output=output)
    return output


def test_a_stopped_and_resumed_run_is_bitwise_the_undisturbed_one(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings(f"stop_tokens={10 * 128}"), shards=shards, output=tmp_path)
    assert len(losses(tmp_path)) == 10
    train(settings(), shards=shards, output=tmp_path, resume=True)
    assert losses(tmp_path) == losses(finished)
    (one, _), (other, _) = load(tmp_path), load(finished)
    assert all(torch.equal(w, other.state_dict()[name]) for name, w in one.state_dict().items())


def test_lines_after_the_checkpoint_are_forgotten_on_resume(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings(f"stop_tokens={5 * 128}"), shards=shards, output=tmp_path)
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": "train", "step": 6, "loss": 9.0}) + '\n{"kind": "tr')
    train(settings(), shards=shards, output=tmp_path, resume=True)
    assert losses(tmp_path) == losses(finished)


def test_a_kill_during_a_save_leaves_the_previous_checkpoint_usable(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings(f"stop_tokens={5 * 128}"), shards=shards, output=tmp_path)
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(resolve(tmp_path), checkpoints / "step-000000010.partial")
    (checkpoints / "step-000000010.partial" / ".metadata").unlink()
    train(settings(), shards=shards, output=tmp_path, resume=True)
    assert losses(tmp_path) == losses(finished)
    names = sorted(path.name for path in checkpoints.iterdir())
    assert names == ["latest", "step-000000015", "step-000000020"]


def test_a_changed_corpus_under_a_resumed_run_is_refused(finished: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path, counting_rows(100, 32, seed=9), sequences_per_shard=90)
    with pytest.raises(CheckpointError, match=r"trained on the corpus .* but the shards given are"):
        train(settings(), shards=other, output=finished, resume=True)


def write_heldout(directory: Path, *, seed: int) -> Path:
    return write_shards(directory, counting_rows(8, 32, seed=seed), sequences_per_shard=90)


def test_changed_heldout_sequences_under_a_resumed_run_are_refused(
    shards: Path, tmp_path: Path
) -> None:
    held, other, moved = (
        write_heldout(tmp_path / name, seed=seed)
        for name, seed in (("held", 5), ("other", 6), ("moved", 5))
    )
    output = tmp_path / "out"
    half = settings(f"stop_tokens={10 * 128}", f"data.heldout={held}")
    train(half, shards=shards, output=output)
    with pytest.raises(CheckpointError, match=r"held-out losses are of .* pass the original"):
        train(settings(f"data.heldout={other}"), shards=shards, output=output, resume=True)
    with pytest.raises(CheckpointError, match="held-out losses are of"):
        train(settings(), shards=shards, output=output, resume=True)
    train(settings(f"data.heldout={moved}"), shards=shards, output=output, resume=True)
    lines = [line for line in read_log(output / "log.jsonl") if line["kind"] == "heldout"]
    assert [line["step"] for line in lines] == [10, 20]


def test_a_changed_remainder_under_a_resumed_run_is_refused(tmp_path: Path) -> None:
    rows = counting_rows(100, 32)
    path = write_shards(tmp_path / "shards", rows, sequences_per_shard=90)
    train(settings(f"stop_tokens={10 * 128}"), shards=path, output=tmp_path / "out")
    rows[95] = rows[0]
    path = write_shards(tmp_path / "shards", rows, sequences_per_shard=90)
    with pytest.raises(CheckpointError, match="held-out losses are of"):
        train(settings(), shards=path, output=tmp_path / "out", resume=True)


def test_held_out_shards_that_are_trained_on_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"shard-00000\.parquet is training data too"):
        train(settings(f"data.heldout={shards}"), shards=shards, output=tmp_path)


def test_a_changed_setting_under_a_resumed_run_is_refused(shards: Path, finished: Path) -> None:
    with pytest.raises(CheckpointError, match=r"optimizer\.peak_rate was 0\.01 and is 0\.5 now"):
        train(settings("optimizer.peak_rate=0.5"), shards=shards, output=finished, resume=True)


def test_a_run_is_not_overwritten_by_accident(shards: Path, finished: Path) -> None:
    with pytest.raises(CheckpointError, match="pass --resume"):
        train(settings(), shards=shards, output=finished)


def test_a_vocabulary_too_small_for_the_shards_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vocabulary_size = 128: the shards have 250 token ids"):
        train(settings("model.vocabulary_size=128"), shards=shards, output=tmp_path)


def test_a_tiny_corpus_is_learned_by_heart(tmp_path: Path) -> None:
    path = write_shards(tmp_path, counting_rows(8, 32), sequences_per_shard=4)
    result = train(
        settings(f"tokens={150 * 128}", "data.passes=150", "observe.interval_steps=10",
                 "checkpoint.interval_steps=1000", "z_loss=0"),
        shards=path,
        output=tmp_path / "out",
    )  # fmt: skip
    assert result.final_loss < 0.3


def test_accumulation_changes_nothing_but_rounding(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    train(settings("micro_batch_sequences=1"), shards=shards, output=tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(finished), abs=1e-4)


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_recomputation_changes_no_loss(
    shards: Path, finished: Path, tmp_path: Path, recompute: str
) -> None:
    train(settings(f"recompute={recompute}"), shards=shards, output=tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(finished), abs=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "bf16-mixed"])
def test_low_precision_stays_near(
    shards: Path, finished: Path, tmp_path: Path, precision: str
) -> None:
    train(settings(f"precision={precision}"), shards=shards, output=tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(finished), abs=0.2)


def test_a_loss_that_is_not_finite_stops_with_the_weights_before_it(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer.backward

    def broken(self: Trainer, batch: Any) -> torch.Tensor:
        found = backward(self, batch)
        return found * float("nan") if self.state.step == 7 else found

    train(settings(f"stop_tokens={7 * 128}"), shards=shards, output=tmp_path / "sound")
    monkeypatch.setattr(Trainer, "backward", broken)
    with pytest.raises(LossNotFinite, match="step 7 is not finite"):
        train(settings("observe.interval_steps=4"), shards=shards, output=tmp_path / "broken")
    (one, _), (other, _) = load(tmp_path / "broken"), load(tmp_path / "sound")
    assert torch.equal(one.output.weight, other.output.weight)


@pytest.mark.long
def test_a_preempted_run_saves_and_asks_to_be_run_again(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable, "-c",
        "import os, signal, sys; sys.argv[0] = 'train_model'; sys.path.insert(0, 'jobs')\n"
        "from dclm_spark.train.trainer import Trainer; step = Trainer.step\n"
        "def signalled(self, batch):\n"
        "    step(self, batch)\n"
        "    if self.state.step == 9: os.kill(os.getpid(), signal.SIGTERM)\n"
        "Trainer.step = signalled\n"
        "import train_model; train_model.run_command(train_model.main)",
        "--scale", "test", "--shards", str(shards), "--output", str(tmp_path), "--resume",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr.decode()
    assert resolve(tmp_path).name == "step-000000009"
    train(settings(), shards=shards, output=tmp_path, resume=True)
    assert losses(tmp_path) == losses(finished)


def test_losses_are_joined_to_domains_and_sources(shards: Path, tmp_path: Path) -> None:
    other = write_shards(
        tmp_path / "other",
        counting_rows(100, 32, seed=3),
        sequences_per_shard=90,
        domains=["c.org"],
    )
    train(
        settings("observe.domain_interval_steps=5", "data.weights=[1, 1]"),
        shards=[shards, other],
        output=tmp_path / "out",
    )
    lines = read_log(tmp_path / "out/log.jsonl")
    domains = next(line for line in lines if line["kind"] == "domains")["domains"]
    assert {entry["domain"] for entry in domains} <= {"a.org", "b.org", "c.org"}
    assert sum(entry["num_tokens"] for entry in domains) == 4 * 32
    trained = next(line for line in lines if line["kind"] == "train" and line["step"] == 5)
    total = sum(entry["num_tokens"] * entry["loss"] for entry in domains) / 128
    assert total == pytest.approx(trained["cross_entropy"], abs=1e-5)
    assert len(trained["source_losses"]) == 2


def test_a_run_starts_from_given_weights_with_a_fresh_optimizer(
    shards: Path, finished: Path, tmp_path: Path
) -> None:
    result = train(
        settings(f"initial_weights={finished}", "schedule.warmup_steps=0"),
        shards=shards,
        output=tmp_path,
    )
    assert losses(tmp_path)[0] < losses(finished)[0]
    assert result.curve_path.read_text().count("<polyline") == 1


def test_a_spike_is_skipped_and_leaves_the_statistics_alone() -> None:
    judge = StepJudge(
        OptimizerSettings(
            peak_rate=1.0, weight_decay=0.0, skip_deviations=6.0, skip_window_steps=8
        ),
        torch.device("cpu"),
    )
    for step in range(8):
        calm = torch.tensor(3.0 + 0.01 * (step % 2))
        assert judge.refuse(calm, torch.tensor(1.0 + 0.01 * (step % 2)), step) == 0
    before = judge.recent.clone()
    assert judge.refuse(torch.tensor(9.0), torch.tensor(1.0), 8) == 1
    assert judge.refuse(torch.tensor(3.0), torch.tensor(5.0), 9) == 1
    assert torch.equal(judge.recent, before)
    assert judge.refuse(torch.tensor(3.0), torch.tensor(1.0), 10) == 0
    assert int(judge.num_skipped) == 2


def test_warmup_stable_decay_holds_its_peak_and_ends_at_its_end() -> None:
    shape = ScheduleSettings(shape="wsd", warmup_steps=2, end_rate=0.1, decay_share=0.5)
    rates = [learning_rate(shape, peak_rate=1.0, step=s, num_steps=8) for s in range(9)]
    assert rates[:5] == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.1)
    assert rates[5:] == sorted(rates[5:], reverse=True)
