"""Saving a run's state: on schedule, when told to leave, and when its loss has broken."""

from pathlib import Path

from dclm_spark.train import checkpoint
from dclm_spark.train.checkpoint import Facts
from dclm_spark.train.run import Run
from dclm_spark.train.shards import fingerprints
from dclm_spark.train.signals import Preempted


class LossNotFinite(ArithmeticError):
    """The loss or a gradient became infinite or NaN; the last sound state is saved."""


def save(run: Run) -> Path:
    """Start writing a checkpoint of the present state and return its path."""
    if (broken := int(run.judge.broken_step)) >= 0:
        stop_broken(run, broken)
    return _write_checkpoint(run, run.step)


def stop_broken(run: Run, broken_step: int) -> None:
    """Save the weights as they were before `broken_step` and stop."""
    # The judge has refused every update since, so the present weights are those.
    path = _write_checkpoint(run, broken_step)
    run.checkpointer.finish()
    run.log.close()
    raise LossNotFinite(
        f"the loss or gradient norm of step {broken_step} is not finite; the state before it is "
        f"saved in {path}; resume with a lower optimizer.peak_rate or "
        "optimizer.skip_deviations=6 as a new run from initial_weights"
    )


def leave_early(run: Run) -> None:
    """Save, wait for it, and raise Preempted."""
    path = save(run)
    run.checkpointer.finish()
    run.log.close()
    raise Preempted(f"told to leave after step {run.step}; saved in {path}, take up with --resume")


def _write_checkpoint(run: Run, step: int) -> Path:
    facts = Facts(
        step=step,
        tokens=step * run.settings.tokens_per_step,
        fingerprints=fingerprints(run.manifests),
        num_ranks=run.ranks.num_ranks,
        heldout_fingerprint=run.heldout.fingerprint if run.heldout else None,
    )
    state = checkpoint.run_state(run.model, run.optimizer, run.extra())
    return run.checkpointer.save(state, facts, run.settings)
