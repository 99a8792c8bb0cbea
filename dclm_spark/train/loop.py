"""The training run: check the data, build the model, step, observe, save, resume."""

import dataclasses
import importlib.metadata
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dclm_spark.train import checkpoint, provenance
from dclm_spark.train import settings as settings_tree
from dclm_spark.train.checkpoint import Checkpointer, CheckpointError, Facts
from dclm_spark.train.curve import write_curve
from dclm_spark.train.data import (
    Batch,
    Loader,
    check_sources,
    document_mask,
    heldout_rows,
    loss_weights,
    open_reader,
)
from dclm_spark.train.distributed import Ranks, join, leave, reduce_gradients, spread
from dclm_spark.train.heldout import Heldout, HeldoutLoss
from dclm_spark.train.model import assign, build, initialize, load, with_vocabulary
from dclm_spark.train.network import OpenLM
from dclm_spark.train.observe import RunLog, peak_flops_per_second, read_log, utilization
from dclm_spark.train.optimizer import (
    AveragedWeights,
    StepJudge,
    build_optimizer,
    clip_gradients,
    step_unless,
)
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.schedule import learning_rate
from dclm_spark.train.shards import Manifest, read_manifest
from dclm_spark.train.signals import Preempted, Preemption

log = logging.getLogger(__name__)
# Settings that may change between a run and its continuation, for they change no result.
_FREE = (
    "micro_batch_sequences", "compile", "recompute", "loss_chunk_tokens", "checkpoint", "observe",
    "stop_tokens",
)  # fmt: skip
_FREE_DATA = ("passes", "prefetch_batches", "cache_directory", "verify_checksums")


class LossNotFinite(ArithmeticError):
    """The loss or a gradient became infinite or NaN; the last sound state is saved."""


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
        run = _prepare(settings, manifests, Path(output), ranks, resume)
        return _steps(run)
    finally:
        leave(ranks)


@dataclass(kw_only=True)
class Run:
    """The live parts of a training run."""

    settings: TrainSettings
    manifests: Sequence[Manifest]
    output: Path
    ranks: Ranks
    loader: Loader
    model: OpenLM
    optimizer: torch.optim.AdamW
    judge: StepJudge
    average: AveragedWeights | None
    checkpointer: Checkpointer
    heldout: Heldout | None
    provenance: provenance.Provenance | None
    log: RunLog
    step: int = 0
    interval: "Interval" = field(default_factory=lambda: Interval())


@dataclass(kw_only=True)
class Interval:
    """What happened since the last log line."""

    started: float = field(default_factory=time.perf_counter)
    num_steps: int = 0
    wait_seconds: float = 0.0
    # On the device: losses, squared normalizers, gradient norms; then losses and counts by source.
    sums: Tensor | None = None


def _prepare(
    settings: TrainSettings, manifests: Sequence[Manifest], output: Path, ranks: Ranks, resume: bool
) -> Run:
    found = _resumable(output, settings, manifests, resume)
    loader = Loader(
        settings.data,
        manifests,
        seed=settings.seed,
        batch_sequences=settings.batch_sequences,
        rank=ranks.rank,
        num_ranks=ranks.num_ranks,
    )
    _check_micro_batches(settings, loader.share)
    loader.check_budget(settings.last_step)
    heldout = _heldout(settings, manifests, ranks)
    model = _build_model(settings, ranks, fresh=found is None)
    if ranks.is_first:
        output.mkdir(parents=True, exist_ok=True)
        _write_facts(output, settings, manifests, ranks)
    run = Run(
        settings=settings,
        manifests=manifests,
        output=output,
        ranks=ranks,
        loader=loader,
        model=model,
        optimizer=build_optimizer(settings.optimizer, model),
        judge=StepJudge(settings.optimizer, ranks.device),
        average=_average(settings, model),
        checkpointer=Checkpointer(
            output / "checkpoints", settings.checkpoint, ranks.checkpoint_group
        ),
        heldout=heldout,
        provenance=(
            provenance.Provenance(manifests) if settings.observe.domain_interval_steps else None
        ),
        log=RunLog(
            output,
            settings.observe,
            is_first=ranks.is_first,
            first_step=0 if found is None else checkpoint.read_facts(found).step,
            last_step=settings.last_step,
        ),
    )
    if found is not None:
        _restore(run, found)
    _announce(run)
    return run


def _steps(run: Run) -> TrainResult:
    settings, started, first_step = run.settings, time.perf_counter(), run.step
    last_step = settings.last_step
    with Preemption() as preemption:
        for batch in run.loader.batches(run.step, last_step):
            _step(run, batch)
            run.step += 1
            run.log.advance()
            run.checkpointer.poll()
            at_end = run.step == last_step
            if at_end or run.step % settings.observe.interval_steps == 0:
                _log_interval(run)
            heldout_every = settings.observe.heldout_interval_steps
            if heldout_every and run.step % heldout_every == 0 and not at_end:
                _evaluate(run)
            if at_end or run.step % settings.checkpoint.interval_steps == 0:
                _save(run)
            if run.ranks.any(preemption.requested) and not at_end:
                _leave_early(run)
    seconds = time.perf_counter() - started
    return _finish(run, num_steps_here=run.step - first_step, seconds=seconds)


def _step(run: Run, batch: Batch) -> None:
    settings, ranks = run.settings, run.ranks
    losses = _backward(run, batch)
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
        run.average.update(run.model)
    observed = torch.cat((torch.stack((cross_entropy, squared, norm)), losses[3:]))
    interval = run.interval
    interval.sums = observed if interval.sums is None else interval.sums + observed
    interval.num_steps += 1


def _backward(run: Run, batch: Batch) -> Tensor:
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
    _observe_domains(run, batch, position_losses)
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


def _log_interval(run: Run) -> None:
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
        _stop_broken(run, broken)


def _source_losses(run: Run, sums: Tensor) -> dict[str, float | None]:
    losses, counts = sums.view(2, -1).tolist()
    return {
        manifest.path: loss / count if count else None
        for manifest, loss, count in zip(run.manifests, losses, counts, strict=True)
    }


def _observe_domains(run: Run, batch: Batch, losses: Tensor) -> None:
    every = run.settings.observe.domain_interval_steps
    if run.provenance is None or (run.step + 1) % every:
        return
    parts = [run.provenance.losses(batch, losses.float().cpu().numpy())]
    if run.ranks.group is not None:
        own, parts = parts[0], [{}] * run.ranks.num_ranks
        dist.all_gather_object(parts, own, group=run.ranks.group)
    domains = provenance.largest(provenance.merge(parts))
    run.log.write("domains", run.step + 1, {"domains": domains})


def _evaluate(run: Run) -> HeldoutLoss | None:
    if run.heldout is None:
        return None
    found = run.heldout.evaluate(run.model)
    run.log.write("heldout", run.step, dataclasses.asdict(found))
    run.interval.started = (
        time.perf_counter() if run.interval.num_steps == 0 else run.interval.started
    )
    return found


def _save(run: Run) -> Path:
    if (broken := int(run.judge.broken_step)) >= 0:
        _stop_broken(run, broken)
    return _write_checkpoint(run, run.step)


def _write_checkpoint(run: Run, step: int) -> Path:
    facts = Facts(
        step=step,
        tokens=step * run.settings.tokens_per_step,
        fingerprints=_fingerprints(run.manifests),
        num_ranks=run.ranks.num_ranks,
    )
    state = checkpoint.run_state(run.model, run.optimizer, _extra(run))
    return run.checkpointer.save(state, facts, run.settings)


def _stop_broken(run: Run, broken_step: int) -> None:
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


def _leave_early(run: Run) -> None:
    path = _save(run)
    run.checkpointer.finish()
    run.log.close()
    raise Preempted(f"told to leave after step {run.step}; saved in {path}, take up with --resume")


def _finish(run: Run, *, num_steps_here: int, seconds: float) -> TrainResult:
    heldout = _evaluate(run)
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


def _resumable(
    output: Path, settings: TrainSettings, manifests: Sequence[Manifest], resume: bool
) -> Path | None:
    """Return the checkpoint to go on from, after checking that it belongs to this run."""
    if not (output / "checkpoints" / checkpoint.LATEST).is_file():
        return None
    if not resume:
        raise CheckpointError(f"{output}: holds a run already; pass --resume or another --output")
    found = checkpoint.resolve(output)
    checkpoint.check_same_corpus(found, checkpoint.read_facts(found), _fingerprints(manifests))
    before = settings_tree.read(TrainSettings, found / checkpoint.SETTINGS)
    for key in settings_tree.keys(settings):
        first, _, rest = key.partition(".")
        old, new = _value(before, key), _value(settings, key)
        if old != new and first not in _FREE and (first != "data" or rest not in _FREE_DATA):
            raise CheckpointError(
                f"{found}: {key} was {old!r} and is {new!r} now; a run continues with its own "
                f"settings: pass --set {key}={old}, or start a new run from these weights with "
                f"--set initial_weights={found}"
            )
    return found


def _value(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def _check_micro_batches(settings: TrainSettings, share: int) -> None:
    micro = min(settings.micro_batch_sequences, share)
    if share % micro:
        raise ValueError(
            f"micro_batch_sequences = {micro}: must divide the {share} sequences that each rank "
            f"takes of batch_sequences = {settings.batch_sequences}"
        )


def _heldout(
    settings: TrainSettings, manifests: Sequence[Manifest], ranks: Ranks
) -> Heldout | None:
    if settings.data.heldout is not None:
        own = read_manifest(settings.data.heldout)
        check_sources([manifests[0], own], sequence_length=settings.model.sequence_length)
        manifests = [own]
    readers = [open_reader(settings.data, manifest) for manifest in manifests]
    rows = heldout_rows(settings.data, manifests, readers)
    if rows is None:
        log.warning("no remainder shard and no data.heldout: no held-out loss will be measured")
        return None
    return Heldout(
        rows,
        manifests[0],
        ranks,
        tokenizer=settings.data.tokenizer,
        micro_batch_sequences=settings.micro_batch_sequences,
    )


def _build_model(settings: TrainSettings, ranks: Ranks, *, fresh: bool) -> OpenLM:
    model = build(settings.model, precision=settings.precision)
    spread(model, settings, ranks)
    model.to_empty(device=ranks.device)
    if not fresh or settings.initial_weights is None:
        initialize(model, seed=settings.seed)
        return model
    given, _ = load(settings.initial_weights)
    if dataclasses.replace(given.settings, sequence_length=0) != dataclasses.replace(
        settings.model, sequence_length=0
    ):
        raise ValueError(
            f"initial_weights = {settings.initial_weights}: its model is {given.settings}, "
            f"this run's is {settings.model}"
        )
    model.rotary.reset()
    whole = dict(given.named_parameters())
    for name, weight in model.named_parameters():
        assign(weight.detach(), whole[name])
    return model


def _average(settings: TrainSettings, model: OpenLM) -> AveragedWeights | None:
    decay = settings.optimizer.average_decay
    return None if decay is None else AveragedWeights(model, decay)


def _extra(run: Run) -> dict[str, Any]:
    extra: dict[str, Any] = {"judge": run.judge.state()}
    if run.average is not None:
        extra["average"] = run.average.weights
    return extra


def _restore(run: Run, found: Path) -> None:
    extra = checkpoint.restore(
        found, run.model, run.optimizer, _extra(run), run.ranks.checkpoint_group
    )
    run.judge.load(extra["judge"])
    if run.average is not None:
        run.average.weights = extra["average"]
    run.step = checkpoint.read_facts(found).step


def _fingerprints(manifests: Sequence[Manifest]) -> tuple[str, ...]:
    return tuple(manifest.fingerprint for manifest in manifests)


def _write_facts(
    output: Path, settings: TrainSettings, manifests: Sequence[Manifest], ranks: Ranks
) -> None:
    settings_tree.save(settings, output / "settings.yaml")
    facts = {
        "shards": [manifest.path for manifest in manifests],
        "fingerprints": list(_fingerprints(manifests)),
        "num_ranks": ranks.num_ranks,
        "device": str(ranks.device),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "pyarrow")},
    }
    (output / "run.json").write_text(json.dumps(facts, indent=1))


def _announce(run: Run) -> None:
    settings = run.settings
    if run.ranks.is_first:
        log.info(
            "training %s: %s weights, steps %s to %s of %s tokens each, %s on %s x %s",
            settings.scale,
            f"{settings.model.num_parameters():,}",
            run.step,
            settings.last_step,
            f"{settings.tokens_per_step:,}",
            settings.precision,
            run.ranks.num_ranks,
            run.ranks.device.type,
        )
