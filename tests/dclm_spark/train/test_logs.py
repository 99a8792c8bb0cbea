import json
import logging
from pathlib import Path

import pytest

from dclm_spark.settings import override
from dclm_spark.train import logs
from dclm_spark.train.logs import ObserveSettings, RunLog, read_log
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.shards import counting_rows, write_shards


@pytest.mark.long  # Starts the service of wandb twice, three seconds each.
def test_a_run_and_its_continuation_are_one_run_of_weights_and_biases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    shards = write_shards(tmp_path / "shards", counting_rows(100, 32), sequences_per_shard=90)
    output = tmp_path / "run"
    options = ["observe.wandb_project=probes", "checkpoint.interval_steps=2"]
    for stop in (2, 4):
        settings = override(scale("test"), [*options, f"stop_tokens={stop * 128}"])
        train(settings, shards=shards, output=output, resume=True)
    kept = (output / "wandb.id").read_text()
    files = sorted((output / "wandb").glob(f"offline-run-*{kept}/run-{kept}.wandb"))
    assert files
    content = b"".join(file.read_bytes() for file in files)
    assert b"train/loss" in content
    assert b"heldout/loss" in content
    assert b"peak_rate" in content
    assert [line["step"] for line in read_log(output / "log.jsonl") if line["kind"] == "train"] == [
        1, 2, 3, 4,
    ]  # fmt: skip


def test_without_the_package_the_setting_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    observe = ObserveSettings(tensorboard=False, wandb_project="probes")
    with pytest.raises(ValueError, match=r"wandb_project = 'probes': .*dclm-spark\[wandb\]"):
        RunLog(tmp_path, observe, is_first=True, first_step=0, last_step=1)


def test_a_number_that_is_not_finite_stays_in_the_log_alone(tmp_path: Path) -> None:
    log = RunLog(
        tmp_path, ObserveSettings(tensorboard=False), is_first=True, first_step=0, last_step=3
    )
    seen: list[tuple[dict[str, float], int]] = []

    class Seen:
        def add(self, numbers: dict[str, float], step: int) -> None:
            seen.append((dict(numbers), step))

        def close(self) -> None:
            seen.clear()

    log._boards.append(Seen())  # type: ignore[arg-type]
    log.write("train", 1, {"loss": float("nan"), "num_tokens": 5, "name": "x"})
    assert seen == [({"train/num_tokens": 5}, 1)]
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["num_tokens"] == 5
    log.close()
    assert seen == []


def test_progress_is_said_with_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "PROGRESS_SECONDS", 0.0)
    log = RunLog(
        tmp_path, ObserveSettings(tensorboard=False), is_first=True, first_step=0, last_step=4
    )
    with caplog.at_level(logging.INFO, "dclm_spark"):
        log.advance(1)
    assert "step 1 of 4 (25.0 %)" in caplog.text
