"""What a run measures of itself while it goes on: log lines, domains, held-out loss."""

import dataclasses
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dclm_spark.shard_format import fingerprints
from dclm_spark.train import checkpoint, heldout
from dclm_spark.train.batches import Batch
from dclm_spark.train.checkpoint import Facts
from dclm_spark.train.heldout import HeldoutLoss
from dclm_spark.train.logs import peak_flops_per_second, utilization
from dclm_spark.train.signals import Preempted
from dclm_spark.train.state import Interval, Run


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


def log_interval(run: Run) -> None:
    """Write the means since the last line; the one place where the host waits for the device."""
    interval, settings, ranks = run.interval, run.settings, run.ranks
    assert interval.sums is not None
    by_source = ranks.add_up(interval.sums[3:].clone())
    cross_entropy, squared, norm = (interval.sums[:3] / interval.num_steps).tolist()
    seconds = time.perf_counter() - interval.started
    speed = interval.num_steps * settings.tokens_per_step / seconds
    broken = int(run.judge.broken_step)
    facts: dict[str, Any] = {
        "loss": cross_entropy + settings.z_loss * squared,
        "cross_entropy": cross_entropy,
        "z_loss": settings.z_loss * squared,
        "gradient_norm": norm,
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        "num_tokens": run.step * settings.tokens_per_step,
        "tokens_per_second": speed,
        "utilization": utilization(
            speed,
            settings.model.flops_per_token(),
            ranks.num_ranks,
            peak_flops_per_second(settings.observe, ranks.device),
        ),
        "loader_wait_seconds": run.loader.wait_seconds - interval.wait_seconds,
        "num_skipped_steps": int(run.judge.num_skipped),
    }
    if len(run.manifests) > 1:
        facts["source_losses"] = _source_losses(run, by_source)
    if ranks.device.type == "cuda":
        facts["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    run.log.write("train", run.step, facts)
    run.interval = Interval(wait_seconds=run.loader.wait_seconds)
    if broken >= 0:
        stop_broken(run, broken)


def _source_losses(run: Run, sums: Tensor) -> dict[str, float | None]:
    losses, counts = sums.view(2, -1).tolist()
    return {
        manifest.path: loss / count if count else None
        for manifest, loss, count in zip(run.manifests, losses, counts, strict=True)
    }


def observe_domains(run: Run, batch: Batch, losses: Tensor) -> None:
    """Log the losses [B, S] of the largest domains, at the steps when that is due."""
    every = run.settings.observe.domain_interval_steps
    if run.provenance is None or (run.step + 1) % every:
        return
    parts = [run.provenance.losses(batch, losses.float().cpu().numpy())]
    if run.ranks.group is not None:
        own, parts = parts[0], [{}] * run.ranks.num_ranks
        dist.all_gather_object(parts, own, group=run.ranks.group)
    domains = heldout.largest(heldout.merge(parts))
    run.log.write("domains", run.step + 1, {"domains": domains})


def evaluate(run: Run) -> HeldoutLoss | None:
    """Measure and log the held-out loss; None without held-out sequences."""
    if run.heldout is None:
        return None
    chosen = run.settings.observe.heldout_weights
    with (
        run.average.standing_in(run.model)
        if run.average is not None and chosen == "averaged"
        else nullcontext()
    ):
        found = run.heldout.evaluate(run.model)
    run.log.write("heldout", run.step, dataclasses.asdict(found) | {"weights": chosen})
    run.interval.started = (
        time.perf_counter() if run.interval.num_steps == 0 else run.interval.started
    )
    return found
