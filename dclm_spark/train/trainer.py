"""The training run: check the data, make ready, step, measure, save, finish."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.shard_format import read_manifest
from dclm_spark.train import checkpoint
from dclm_spark.train.batches import Batch, check_sources, document_mask, loss_weights
from dclm_spark.train.distributed import join, leave, reduce_gradients
from dclm_spark.train.logs import read_log, write_curve
from dclm_spark.train.metrics import evaluate, leave_early, log_interval, observe_domains, save
from dclm_spark.train.model import with_vocabulary
from dclm_spark.train.optimizer import clip_gradients, learning_rate, step_unless
from dclm_spark.train.prepare import prepare
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.signals import Preemption
from dclm_spark.train.state import Run


def take_step(run: Run, batch: Batch) -> None:
    """Update the weights from one batch, unless the step is refused; the host waits for nothing."""
    settings, ranks = run.settings, run.ranks
    losses = backward(run, batch)
    norm = clip_gradients(run.model, settings.optimizer.clip_norm)
    # Each rank's sums become everyone's; the count of positions is global already.
    cross_entropy, squared = ranks.add_up(losses[:2].clone()) / losses[2]
    refused = run.judge.refuse(cross_entropy + settings.z_loss * squared, norm, run.step)
    rate = learning_rate(
        settings.schedule,
        peak_rate=settings.optimizer.peak_rate,
        step=run.step,
        num_steps=settings.num_steps,
    )
    step_unless(run.optimizer, refused, rate)
    if run.average is not None:
        run.average.update(run.model, refused)
    observed = torch.cat((torch.stack((cross_entropy, squared, norm)), losses[3:]))
    interval = run.interval
    interval.sums = observed if interval.sums is None else interval.sums + observed
    interval.num_steps += 1


def backward(run: Run, batch: Batch) -> Tensor:
    """Accumulate gradients over micro-batches.

    Returns this rank's summed cross entropy and squared normalizer, the global count of
    positions, then cross entropy and count of each source.
    """
    settings, ranks = run.settings, run.ranks
    tokens = torch.from_numpy(batch.tokens)
    if ranks.device.type == "cuda":
        tokens = tokens.pin_memory()
    tokens = tokens.to(ranks.device, non_blocking=True).long()
    weights, count = _weights(run, tokens)
    micro = min(settings.micro_batch_sequences, len(tokens))
    found: list[Tensor] = []
    sums = torch.zeros(2, device=ranks.device)
    for start in range(0, len(tokens), micro):
        part, weight = tokens[start : start + micro], weights[start : start + micro]
        reduce_gradients(run.model, start + micro >= len(tokens))
        cross_entropy, normalizer = run.model(part[:, :-1], part[:, 1:], _mask(run, part))
        losses = torch.stack(((cross_entropy * weight).sum(), (normalizer**2 * weight).sum()))
        # Sharded gradients are averaged over ranks, so each rank's share counts num_ranks times.
        ((losses[0] + settings.z_loss * losses[1]) * (ranks.num_ranks / count)).backward()  # type: ignore[no-untyped-call]
        sums += losses.detach()
        found.append(cross_entropy.detach())
    position_losses = torch.cat(found)
    observe_domains(run, batch, position_losses)
    by_source = torch.zeros(2, len(run.manifests), device=ranks.device)
    sources = torch.from_numpy(batch.sources).to(ranks.device)
    by_source[0].index_add_(0, sources, (position_losses * weights).sum(1))
    by_source[1].index_add_(0, sources, weights.sum(1))
    return torch.cat((sums, count.reshape(1), by_source.flatten()))


def _weights(run: Run, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return each target's weight [B, S], and their sum over all ranks."""
    if run.settings.data.mask_padding:
        weights = loss_weights(tokens, run.manifests[0].padding_id)
        return weights, run.ranks.add_up(weights.sum())
    weights = torch.ones_like(tokens[:, 1:], dtype=torch.float32)
    return weights, torch.tensor(float(run.settings.tokens_per_step), device=tokens.device)


def _mask(run: Run, tokens: Tensor) -> Tensor | None:
    if not run.settings.data.reset_at_document_ends:
        return None
    return document_mask(tokens[:, :-1], run.manifests[0].end_of_text_id)


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
