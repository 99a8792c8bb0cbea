"""One training step: gradients over micro-batches, clipping, the update."""

import torch
from torch import Tensor

from dclm_spark.train.data import Batch, document_mask, loss_weights
from dclm_spark.train.distributed import reduce_gradients
from dclm_spark.train.measure import observe_domains
from dclm_spark.train.optimizer import clip_gradients, step_unless
from dclm_spark.train.run import Run
from dclm_spark.train.schedule import learning_rate


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
