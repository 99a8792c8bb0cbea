"""The training run: check the data, make ready, step, measure, save, finish."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dclm_spark.train import checkpoint
from dclm_spark.train.curve import write_curve
from dclm_spark.train.data import check_sources
from dclm_spark.train.distributed import join, leave
from dclm_spark.train.measure import evaluate, log_interval
from dclm_spark.train.model import with_vocabulary
from dclm_spark.train.observe import read_log
from dclm_spark.train.prepare import prepare
from dclm_spark.train.run import Run
from dclm_spark.train.saving import leave_early, save
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.shards import read_manifest
from dclm_spark.train.signals import Preemption
from dclm_spark.train.stepping import take_step


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run ended with; losses in nats per token."""

    # Mean cross entropy of the last logged steps.
    final_loss: float
    heldout_loss: float | None
    heldout_bits_per_byte: float | None
    checkpoint_path: Path
    curve_path: Path
    num_steps: int
    num_tokens: int
    num_skipped_steps: int
    tokens_per_second: float


def train(
    settings: TrainSettings, *, shards: str | Path | Sequence[str | Path], output: str | Path,
    resume: bool = False,
) -> TrainResult:  # fmt: skip
    """Train on the manifests `shards` and leave checkpoints, log and curve in `output`.

    With `resume`, continue from the newest checkpoint there, if any. Raises ValueError before the
    first step for data or settings that do not fit, LossNotFinite and Preempted with the state
    saved.
    """
    if "://" in str(output):
        raise ValueError(
            f"output = {str(output)!r}: must be a folder on a file system that all ranks share; "
            "copy finished checkpoints to an object store with its own tool"
        )
    paths = [shards] if isinstance(shards, str | Path) else list(shards)
    manifests = [read_manifest(str(path)) for path in paths]
    check_sources(manifests, sequence_length=settings.model.sequence_length)
    settings = with_vocabulary(settings, manifests[0].vocabulary_size)
    ranks = join()
    try:
        run = prepare(settings, manifests, Path(output), ranks, resume)
        return _steps(run)
    finally:
        leave(ranks)


def _steps(run: Run) -> TrainResult:
    settings, started, first_step = run.settings, time.perf_counter(), run.step
    last_step = settings.last_step
    with Preemption() as preemption:
        for batch in run.loader.batches(run.step, last_step):
            take_step(run, batch)
            run.step += 1
            run.log.advance()
            run.checkpointer.poll()
            at_end = run.step == last_step
            if at_end or run.step % settings.observe.interval_steps == 0:
                log_interval(run)
            heldout_every = settings.observe.heldout_interval_steps
            if heldout_every and run.step % heldout_every == 0 and not at_end:
                evaluate(run)
            if at_end or run.step % settings.checkpoint.interval_steps == 0:
                save(run)
            if run.ranks.any(preemption.requested) and not at_end:
                leave_early(run)
    seconds = time.perf_counter() - started
    return _finish(run, num_steps_here=run.step - first_step, seconds=seconds)


def _finish(run: Run, *, num_steps_here: int, seconds: float) -> TrainResult:
    heldout = evaluate(run)
    run.checkpointer.finish()
    run.log.close()
    curve = run.output / "loss.html"
    last: dict[str, Any] = {}
    if run.ranks.is_first:
        lines = read_log(run.log.path)
        last = [line for line in lines if line["kind"] == "train"][-1]
        write_curve(curve, lines, title=f"{run.settings.scale}, {run.step} steps")
    return TrainResult(
        final_loss=last.get("cross_entropy", float("nan")),
        heldout_loss=heldout.loss if heldout else None,
        heldout_bits_per_byte=heldout.bits_per_byte if heldout else None,
        checkpoint_path=checkpoint.resolve(run.output),
        curve_path=curve,
        num_steps=run.step,
        num_tokens=run.step * run.settings.tokens_per_step,
        num_skipped_steps=int(run.judge.num_skipped),
        tokens_per_second=num_steps_here * run.settings.tokens_per_step / seconds,
    )
