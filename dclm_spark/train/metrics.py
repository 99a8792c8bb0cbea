"""What a run measures of itself while it goes on: log lines, domains, held-out loss."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dclm_spark.train import heldout
from dclm_spark.train.data.batches import Batch
from dclm_spark.train.distributed import on_device
from dclm_spark.train.heldout import HeldoutLoss
from dclm_spark.train.logs import peak_flops_per_second, utilization
from dclm_spark.train.network import OpenLM
from dclm_spark.train.state import Interval, TrainState


def log_interval(state: TrainState) -> None:
    """Write the means since the last line; the one place where the host waits for the device."""
    interval, settings, ranks = state.interval, state.settings, state.ranks
    assert interval.sums is not None
    by_source = ranks.add_up(interval.sums[3:].clone())
    cross_entropy, squared, norm = (interval.sums[:3] / interval.num_steps).tolist()
    seconds = time.perf_counter() - interval.started
    speed = interval.num_steps * settings.tokens_per_step / seconds
    peak = peak_flops_per_second(settings.observe, ranks.device)
    facts: dict[str, Any] = {
        "loss": cross_entropy + settings.z_loss * squared,
        "cross_entropy": cross_entropy,
        "z_loss": settings.z_loss * squared,
        "gradient_norm": norm,
        "learning_rate": state.optimizer.param_groups[0]["lr"],
        "num_tokens": state.step * settings.tokens_per_step,
        "tokens_per_second": speed,
        "utilization": utilization(speed, settings.model.flops_per_token(), ranks.num_ranks, peak),
        "loader_wait_seconds": state.loader.wait_seconds - interval.wait_seconds,
        "num_skipped_steps": int(state.judge.num_skipped),
    }
    if len(state.manifests) > 1:
        facts["source_losses"] = _source_losses(state, by_source)
    if ranks.device.type == "cuda":
        facts["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    state.log.write("train", state.step, facts)
    state.interval = Interval(wait_seconds=state.loader.wait_seconds)


def _source_losses(state: TrainState, sums: Tensor) -> dict[str, float | None]:
    losses, counts = sums.view(2, -1).tolist()
    return {
        manifest.path: loss / count if count else None
        for manifest, loss, count in zip(state.manifests, losses, counts, strict=True)
    }


def losses_by_source(state: TrainState, batch: Batch, losses: Tensor, weights: Tensor) -> Tensor:
    """Return [2, sources]: the summed weighted losses [B, S] of each source, and their weights."""
    by_source = torch.zeros(2, len(state.manifests), device=losses.device)
    sources = on_device(batch.sources, losses.device)
    by_source[0].index_add_(0, sources, (losses * weights).sum(1))
    by_source[1].index_add_(0, sources, weights.sum(1))
    return by_source


def observe_domains(state: TrainState, batch: Batch, losses: Tensor) -> None:
    """Log the losses [B, S] of the largest domains, at the steps when that is due."""
    every = state.settings.observe.domain_interval_steps
    if not every or (state.step + 1) % every:
        return
    domains = heldout.largest(_losses_by(state, batch, losses, "domain"))
    state.log.write("domains", state.step + 1, {"domains": domains})


def observe_sources(state: TrainState, batch: Batch, losses: Tensor) -> None:
    """Log tokens, share of tokens and loss of each source of a recipe, in the steps of log lines.

    `losses` [B, S] are of this step's batch alone: a sample of what the line's steps have read.
    """
    settings, step = state.settings, state.step + 1
    has_sources = any(one.sources for one in state.manifests)
    if state.provenance is None or not settings.observe.source_losses or not has_sources:
        return
    if step % settings.observe.interval_steps and step != settings.last_step:
        return
    found = _losses_by(state, batch, losses, "source")
    whole = max(sum(count for _, count in found.values()), 1)
    sources = {
        name: {"num_tokens": count, "share": count / whole, "loss": total / max(count, 1)}
        for name, (total, count) in sorted(found.items())
    }
    state.log.write("sources", step, {"sources": sources})


def _losses_by(state: TrainState, batch: Batch, losses: Tensor, by: str) -> heldout.DomainLosses:
    """Return the losses of all ranks' batches, summed by a column of the provenance."""
    assert state.provenance is not None
    parts = [state.provenance.losses(batch, losses.float().cpu().numpy(), by)]
    if state.ranks.group is not None:
        own, parts = parts[0], [{}] * state.ranks.num_ranks
        dist.all_gather_object(parts, own, group=state.ranks.group)
    return heldout.merge(parts)


def observe(state: TrainState, kind: str, measure: Callable[[OpenLM], Mapping[str, Any]]) -> None:
    """Log what `measure` finds of the model as it is; the time that it takes is not training's."""
    started = time.perf_counter()
    found = dict(measure(state.model))
    seconds = time.perf_counter() - started
    state.log.write(kind, state.step, found | {"seconds": round(seconds, 3)})
    state.interval.started += seconds


def evaluate(state: TrainState) -> HeldoutLoss | None:
    """Measure and log the held-out loss; None without held-out sequences."""
    if state.heldout is None:
        return None
    chosen = state.settings.observe.heldout_weights
    with (
        state.average.standing_in(state.model)
        if state.average is not None and chosen == "averaged"
        else nullcontext()
    ):
        found = state.heldout.evaluate(state.model)
    state.log.write("heldout", state.step, dataclasses.asdict(found) | {"weights": chosen})
    if state.interval.num_steps == 0:
        state.interval.started = time.perf_counter()
    return found
