import json
import logging
import shutil
from pathlib import Path

import pytest
import torch

from dclm_spark.settings import override
from dclm_spark.train import logs
from dclm_spark.train.checkpoints.folder import CheckpointError, damage, resolve, steps_below
from dclm_spark.train.checkpoints.mirror import Mirror, fetch_newest
from dclm_spark.train.checkpoints.resume import CHANGES
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.scales import TrainSettings, scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.shards import counting_rows, write_shards
from tests.s3_store import CREDENTIALS, s3_store

STEP = 128
WSD = ["schedule.shape=wsd", "optimizer.average_decay=0.9", "data.passes=9"]


def settings(*assignments: str) -> TrainSettings:
    return override(scale("test"), assignments)


def steps(count: int) -> str:
    return f"tokens={count * STEP}"


def stop(count: int) -> str:
    return f"stop_tokens={count * STEP}"


def losses(output: Path) -> list[float]:
    lines = read_log(output / "log.jsonl")
    return [line["loss"] for line in lines if line["kind"] == "train"]


def weights(output: Path, which: str = "last") -> list[torch.Tensor]:
    return list(load(output, weights=which)[0].state_dict().values())


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(100, 32)
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequences_per_shard=90)


@pytest.fixture(scope="module")
def long(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty steps without a pause, of which the last six decay."""
    output = tmp_path_factory.mktemp("long")
    train(settings(*WSD, steps(30)), shards=shards, output=output)
    return output


@pytest.fixture(scope="module")
def short(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped after fifteen of twenty steps, just before the decay."""
    output = tmp_path_factory.mktemp("short")
    train(settings(*WSD, steps(20), stop(15)), shards=shards, output=output)
    return output


def copied(run: Path, target: Path) -> Path:
    return Path(shutil.copytree(run, target / "run"))


def test_an_extended_run_is_bitwise_the_long_one(
    shards: Path, short: Path, long: Path, tmp_path: Path
) -> None:
    output = copied(short, tmp_path)
    extended = settings(*WSD, steps(30))
    train(extended, shards=shards, output=output, resume=True, reason="more data came")
    assert losses(output) == losses(long)
    for which in ("last", "averaged"):
        for one, other in zip(weights(output, which), weights(long, which), strict=True):
            assert torch.equal(one, other)


def test_a_branch_goes_on_with_the_moments_of_another_run(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    whole = settings(*WSD, steps(20))
    train(whole, shards=shards, output=tmp_path / "whole")
    branch = settings(*WSD, steps(20), f"initial_state={short}")
    train(branch, shards=shards, output=tmp_path / "branch")
    assert losses(tmp_path / "branch") == losses(tmp_path / "whole")[15:]
    for one, other in zip(weights(tmp_path / "branch"), weights(tmp_path / "whole"), strict=True):
        assert torch.equal(one, other)
    # The branch is a run of its own, with its own checkpoints to go on from.
    again = train(branch, shards=shards, output=tmp_path / "branch", resume=True)
    assert again.num_steps == 20


def test_a_branch_onto_other_shards_must_say_where_they_begin(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    other = write_shards(tmp_path / "other", counting_rows(60, 32, seed=4), sequences_per_shard=50)
    branch = [*WSD, steps(20), f"initial_state={short}"]
    with pytest.raises(CheckpointError, match=r"pass --set data\.start_step=15"):
        train(settings(*branch), shards=other, output=tmp_path / "out")
    train(settings(*branch, "data.start_step=15"), shards=other, output=tmp_path / "out")
    assert len(losses(tmp_path / "out")) == 5


def test_a_branch_with_another_architecture_is_refused(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    wide = settings(*WSD, f"initial_state={short}", "model.width=64")
    with pytest.raises(CheckpointError, match=r"model\.width was 32 and is 64"):
        train(wide, shards=shards, output=tmp_path)


def test_a_changed_rate_needs_a_reason_which_is_kept(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    output = copied(short, tmp_path)
    lower = settings(*WSD, steps(20), stop(17), "optimizer.peak_rate=0.005")
    with pytest.raises(CheckpointError, match="say why with --reason"):
        train(lower, shards=shards, output=output, resume=True)
    train(lower, shards=shards, output=output, resume=True, reason="spikes after step 14")
    (line,) = (json.loads(text) for text in (output / CHANGES).read_text().splitlines())
    assert (line["step"], line["reason"]) == (15, "spikes after step 14")
    assert line["changes"] == {"optimizer.peak_rate": [0.01, 0.005]}
    rates = [line["learning_rate"] for line in read_log(output / "log.jsonl") if line["step"] == 16]
    assert rates == [pytest.approx(0.005)]


def test_a_setting_of_the_data_cannot_change_even_with_a_reason(shards: Path, short: Path) -> None:
    with pytest.raises(CheckpointError, match="seed was 124 and is 5"):
        train(settings(*WSD, steps(20), "seed=5"), shards=shards, output=short, resume=True,
              reason="because")  # fmt: skip


def test_a_run_from_before_groups_took_turns_goes_on_in_its_own_order(
    shards: Path, tmp_path: Path
) -> None:
    options = ("batch_sequences=64", "micro_batch_sequences=64", f"tokens={64 * 32 * 3}",
               "data.passes=9", "checkpoint.interval_steps=1")  # fmt: skip
    first = settings(*options, f"stop_tokens={64 * 32}", "data.interleaved_groups=1")
    output = tmp_path / "run"
    train(first, shards=shards, output=output)
    for file in output.rglob("settings.yaml"):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if "interleaved_groups" not in line))
    with pytest.raises(CheckpointError, match=r"pass --set data\.interleaved_groups=1"):
        train(settings(*options), shards=shards, output=output, resume=True)
    own = settings(*options, "data.interleaved_groups=1")
    train(own, shards=shards, output=output, resume=True)
    assert len(losses(output)) == 3


def test_a_window_of_data_is_skipped_by_a_resumed_run(
    shards: Path, short: Path, long: Path, tmp_path: Path
) -> None:
    output = copied(short, tmp_path)
    skip = settings(*WSD, steps(20), stop(16), "data.skip_steps=[[15, 17]]")
    train(skip, shards=shards, output=output, resume=True, reason="step 15 spiked")
    assert losses(output)[:15] == losses(long)[:15]
    assert losses(output)[15] != losses(long)[15]
    earlier = settings(*WSD, steps(20), stop(16), "data.skip_steps=[[10, 17]]")
    with pytest.raises(CheckpointError, match="begins before batch"):
        train(earlier, shards=shards, output=output, resume=True, reason="step 10 spiked")


def test_windows_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="do not overlap"):
        settings("data.skip_steps=[[3, 9], [5, 12]]")


def truncate_largest_file(path: Path) -> None:
    file = max(path.glob("*.distcp"), key=lambda one: one.stat().st_size)
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize("harm", ["cut", "gone", "facts", "metadata"])
def test_a_run_goes_on_from_the_newest_whole_checkpoint(
    shards: Path, short: Path, long: Path, tmp_path: Path, harm: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    output = copied(short, tmp_path)
    newest = steps_below(output / "checkpoints")[-1]
    assert newest.name == "step-000000015"
    match harm:
        case "cut":
            truncate_largest_file(newest)
        case "gone":
            shutil.rmtree(newest)
        case "facts":
            (newest / "facts.json").write_text("{")
        case "metadata":
            (newest / ".metadata").write_bytes(b"\x80\x04")
    if harm != "gone":
        with pytest.raises(CheckpointError, match=r"damaged, .*; take .*step-000000010 instead"):
            load(output)
    with caplog.at_level(logging.WARNING):
        train(settings(*WSD, steps(20), stop(16)), shards=shards, output=output, resume=True)
    assert losses(output) == losses(long)[:16]
    assert (harm == "gone") == ("is damaged" not in caplog.text)
    assert damage(resolve(output)) is None


def test_without_a_whole_checkpoint_nothing_is_started_anew(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    output = copied(short, tmp_path)
    for path in steps_below(output / "checkpoints"):
        truncate_largest_file(path)
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        train(settings(*WSD, steps(20)), shards=shards, output=output, resume=True)


def test_checkpoints_are_mirrored_and_a_lost_machine_goes_on_from_there(
    shards: Path, long: Path, tmp_path: Path
) -> None:
    mirror = f"checkpoint.mirror={tmp_path / 'mirror'}"
    train(settings(*WSD, steps(30), stop(15), mirror), shards=shards, output=tmp_path / "one")
    assert (tmp_path / "mirror/latest").read_text() == "step-000000015"
    assert damage(tmp_path / "mirror/step-000000015") is None
    # Another machine, whose disk is empty.
    train(settings(*WSD, steps(30), mirror), shards=shards, output=tmp_path / "two", resume=True)
    assert losses(tmp_path / "two") == losses(long)[15:]


def test_a_mirror_keeps_as_many_checkpoints_as_the_output(short: Path, tmp_path: Path) -> None:
    mirror = Mirror(str(tmp_path / "mirror"), keep=2, permanent_steps=None)
    whole = steps_below(short / "checkpoints")[-1]
    for step in (5, 10, 15):
        path = shutil.copytree(whole, tmp_path / f"local/step-{step:09d}")
        mirror.start(path)
        assert mirror.holds(path)
        mirror.finish()
        assert not mirror.holds(path)
    names = [path.name for path in steps_below(tmp_path / "mirror")]
    assert names == ["step-000000010", "step-000000015"]
    assert fetch_newest(str(tmp_path / "none"), tmp_path / "x") is None


def test_a_mirror_in_an_object_store_gives_whole_checkpoints_back(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3 = pytest.importorskip("boto3")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_store(tmp_path) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="runs")
        mirror = Mirror("s3://runs/7b", keep=1, permanent_steps=None)
        mirror.start(steps_below(short / "checkpoints")[-1])
        mirror.finish()
        (tmp_path / "fetched").mkdir()
        found = fetch_newest("s3://runs/7b", tmp_path / "fetched")
    assert found is not None
    assert damage(found) is None
    for one, other in zip(weights(found), weights(short), strict=True):
        assert torch.equal(one, other)


def test_a_mirror_that_cannot_be_written_does_not_stop_a_run(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    broken = settings(*WSD, stop(5), f"checkpoint.mirror={tmp_path / 'file'}")
    assert train(broken, shards=shards, output=tmp_path / "out").num_steps == 5
    assert "step-000000005 is not mirrored" in caplog.text


def test_a_context_is_extended_with_a_larger_rotary_base(
    shards: Path, short: Path, tmp_path: Path
) -> None:
    longer = write_shards(tmp_path / "longer", counting_rows(40, 64), sequences_per_shard=30)
    start = ["model.sequence_length=64", stop(2), f"initial_weights={short}"]
    extended = settings(*start, "model.rotary_base=100000")
    train(extended, shards=longer, output=tmp_path / "out")
    assert load(tmp_path / "out")[0].rotary.base == 100_000
    wider = settings("model.width=64", f"initial_weights={short}")
    with pytest.raises(ValueError, match=r": model\.width was 32 and is 64 now; only model\.seq"):
        train(wider, shards=shards, output=tmp_path / "wider")
    back = settings("model.sequence_length=32", f"initial_weights={tmp_path / 'out'}")
    with pytest.raises(ValueError, match=r"model\.rotary_base be larger"):
        train(back, shards=shards, output=tmp_path / "back")


def test_rows_of_shards_serve_shorter_sequences(shards: Path, tmp_path: Path) -> None:
    half = settings("model.sequence_length=16", "batch_sequences=8", stop(3))
    result = train(half, shards=shards, output=tmp_path)
    assert (result.num_steps, result.num_tokens) == (3, 3 * STEP)
    assert result.heldout_loss is not None
    with pytest.raises(ValueError, match=r"model\.sequence_length = 24, which does not divide"):
        train(settings("model.sequence_length=24"), shards=shards, output=tmp_path / "no")


def test_progress_is_said_without_a_terminal(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "PROGRESS_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, logger="dclm_spark"):
        result = train(settings(stop(4)), shards=shards, output=tmp_path)
    assert "step 2 of 4 (50.0 %)" in caplog.text
    assert " left, loss " in caplog.text
    assert f"guessing evenly among all token ids gives {result.uniform_loss:.3f}" in (
        result.meaning()
    )
