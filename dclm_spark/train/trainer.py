"""The training run: check the data, make ready, step, measure, save, finish."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dclm_spark.train import metrics
from dclm_spark.train.checkpoints.checkpointer import run_state
from dclm_spark.train.checkpoints.folder import resolve
from dclm_spark.train.checkpoints.resume import Request
from dclm_spark.train.data.batches import Batch, document_mask, loss_weights
from dclm_spark.train.data.corpus_parts import read_sources
from dclm_spark.train.data.sources import check_sources
from dclm_spark.train.distributed import join, leave, on_device, reduce_gradients
from dclm_spark.train.heldout import HeldoutLoss
from dclm_spark.train.logs import read_log
from dclm_spark.train.loss_page import write_loss_page
from dclm_spark.train.model import with_vocabulary
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import clip_gradients, learning_rate, step_unless
from dclm_spark.train.prepare import prepare
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.signals import Preempted, Preemption
from dclm_spark.train.state import TrainState


class LossNotFinite(ArithmeticError):
    """The loss or a gradient became infinite or NaN; the last sound state is saved."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run ended with; losses in nats per token."""

    # Mean cross entropy of the last logged steps.
    final_loss: float
    # ln of the vocabulary's size: the loss of a model that has learned nothing.
    uniform_loss: float
    heldout_loss: float | None
    heldout_bits_per_byte: float | None
    checkpoint_path: Path
    curve_path: Path
    num_steps: int
    num_tokens: int
    num_skipped_steps: int
    tokens_per_second: float

    def meaning(self) -> str:
        """Return a sentence that says what the losses mean."""
        text = (
            f"final training loss {self.final_loss:.3f} nats per token (guessing evenly among all "
            f"token ids gives {self.uniform_loss:.3f}; a true next token gets "
            f"{math.exp(-self.final_loss):.2g} of the probability in the geometric mean)"
        )
        if self.heldout_loss is not None:
            text += f"; held-out {self.heldout_loss:.3f}"
        if self.heldout_bits_per_byte is not None:
            text += (
                f", which is {self.heldout_bits_per_byte:.3f} bits per byte of text and compares "
                "between tokenizers on the same held-out texts"
            )
        elif self.heldout_loss is not None:
            text += " (bits per byte: --set data.tokenizer=tokenizer.json)"
        return text


class Observer(Protocol):
    """What measures a model every so many steps; its numbers go into the log as lines of `kind`."""

    kind: str
    every_steps: int

    def observe(self, model: OpenLM) -> Mapping[str, Any]:
        """Return numbers by name; leaves the model as it was."""


class Trainer:
    """Takes the steps of a prepared run."""

    def __init__(self, state: TrainState, observers: Sequence[Observer] = ()) -> None:
        self.state, self.observers = state, observers

    def train(self) -> TrainResult:
        """Take all steps that are left, then measure, save and close.

        Raises LossNotFinite and Preempted with the state saved.
        """
        state, settings = self.state, self.state.settings
        started, first_step, last_step = time.perf_counter(), state.step, settings.last_step
        with Preemption() as preemption:
            for batch in state.loader.batches(state.step, last_step):
                self.step(batch)
                self._post_step(at_end=state.step == last_step)
                if state.ranks.any(preemption.requested) and state.step < last_step:
                    self._leave_early()
        seconds = time.perf_counter() - started
        return self._finish(num_steps_here=state.step - first_step, seconds=seconds)

    def step(self, batch: Batch) -> None:
        """Update the weights from one batch, unless the step is refused.

        The host waits for nothing.
        """
        state, settings = self.state, self.state.settings
        losses = self.backward(batch)
        norm = clip_gradients(state.model, settings.optimizer.clip_norm)
        # Each rank's sums become everyone's; the count of positions is global already.
        cross_entropy, squared = state.ranks.add_up(losses[:2].clone()) / losses[2]
        loss = cross_entropy + settings.z_loss * squared
        refused = state.judge.refuse(loss, norm, state.step)
        rate = learning_rate(
            settings.schedule,
            peak_rate=settings.optimizer.peak_rate,
            step=state.step,
            num_steps=settings.num_steps,
        )
        step_unless(state.optimizer, refused, rate)
        if state.average is not None:
            state.average.update(state.model, refused)
        means = torch.stack((cross_entropy, squared, norm))
        state.interval.add(torch.cat((means, losses[3:])))
        state.step += 1

    def backward(self, batch: Batch) -> Tensor:
        """Accumulate gradients over micro-batches.

        Returns this rank's summed cross entropy and squared normalizer, the global count of
        positions, then cross entropy and count of each source.
        """
        state, settings, ranks = self.state, self.state.settings, self.state.ranks
        tokens = on_device(batch.tokens, ranks.device).long()
        weights, count = self._weights(tokens, batch)
        micro = min(settings.micro_batch_sequences, len(tokens))
        found: list[Tensor] = []
        sums = torch.zeros(2, device=ranks.device)
        for start in range(0, len(tokens), micro):
            part, weight = tokens[start : start + micro], weights[start : start + micro]
            reduce_gradients(state.model, start + micro >= len(tokens))
            cross_entropy, normalizer = state.model(part[:, :-1], part[:, 1:], self._mask(part))
            losses = torch.stack(((cross_entropy * weight).sum(), (normalizer**2 * weight).sum()))
            # Sharded gradients are averaged over ranks: each rank's share counts num_ranks times.
            total = losses[0] + settings.z_loss * losses[1]
            (total * (ranks.num_ranks / count)).backward()  # type: ignore[no-untyped-call]
            sums += losses.detach()
            found.append(cross_entropy.detach())
        position_losses = torch.cat(found)
        metrics.observe_domains(state, batch, position_losses)
        metrics.observe_sources(state, batch, position_losses)
        by_source = metrics.losses_by_source(state, batch, position_losses, weights)
        return torch.cat((sums, count.reshape(1), by_source.flatten()))

    def evaluate(self) -> HeldoutLoss | None:
        """Measure and log the held-out loss; None without held-out sequences."""
        return metrics.evaluate(self.state)

    def save(self) -> Path:
        """Start writing a checkpoint of the present state and return its path."""
        if (broken := int(self.state.judge.broken_step)) >= 0:
            self._stop_broken(broken)
        return self._write_checkpoint(self.state.step)

    def _weights(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each target's weight [B, S], and their sum over all ranks."""
        settings, ranks = self.state.settings, self.state.ranks
        weights = torch.ones_like(tokens[:, 1:], dtype=torch.float32)
        if settings.data.mask_padding:
            weights = loss_weights(tokens, self.state.manifests[0].padding_id)
        if batch.removed is not None:
            weights = weights * ~on_device(batch.removed, ranks.device)[:, 1:]
        # All ranks agree on this, whatever their own batches hold.
        if settings.data.mask_padding or any(one.removed for one in self.state.manifests):
            return weights, ranks.add_up(weights.sum())
        return weights, torch.full((), float(settings.tokens_per_step), device=tokens.device)

    def _mask(self, tokens: Tensor) -> Tensor | None:
        if not self.state.settings.data.reset_at_document_ends:
            return None
        return document_mask(tokens[:, :-1], self.state.manifests[0].end_of_text_id)

    def _post_step(self, *, at_end: bool) -> None:
        state, settings = self.state, self.state.settings
        state.log.advance(state.step)
        state.checkpointer.poll()
        if at_end or state.step % settings.observe.interval_steps == 0:
            metrics.log_interval(state)
            if (broken := int(state.judge.broken_step)) >= 0:
                self._stop_broken(broken)
        heldout_every = settings.observe.heldout_interval_steps
        if heldout_every and state.step % heldout_every == 0 and not at_end:
            self.evaluate()
        for observer in self.observers:
            if at_end or state.step % observer.every_steps == 0:
                metrics.observe(state, observer.kind, observer.observe)
        if at_end or state.step % settings.checkpoint.interval_steps == 0:
            self.save()

    def _stop_broken(self, broken_step: int) -> None:
        """Save the weights as they were before `broken_step` and stop."""
        # The judge has refused every update since, so the present weights are those.
        path = self._write_checkpoint(broken_step)
        self._close()
        raise LossNotFinite(
            f"the loss or gradient norm of step {broken_step} is not finite; the state before it "
            f"is saved in {path}; resume with a lower optimizer.peak_rate, with "
            "optimizer.skip_deviations=6, or past the data with data.skip_steps, and --reason"
        )

    def _leave_early(self) -> None:
        path = self.save()
        self._close()
        raise Preempted(f"told to leave after step {self.state.step}; saved in {path}")

    def _write_checkpoint(self, step: int) -> Path:
        state = self.state
        tensors = run_state(state.model, state.optimizer, state.extra())
        return state.checkpointer.save(tensors, state.facts(step), state.settings)

    def _close(self) -> None:
        self.state.checkpointer.close()
        self.state.log.close()

    def _finish(self, *, num_steps_here: int, seconds: float) -> TrainResult:
        state = self.state
        heldout = self.evaluate()
        self._close()
        curve = state.output / "loss.html"
        last: dict[str, Any] = {}
        if state.ranks.is_first:
            lines = read_log(state.log.path)
            last = [{}, *(line for line in lines if line["kind"] == "train")][-1]
            write_loss_page(curve, lines, title=f"{state.settings.scale}, {state.step} steps")
        return TrainResult(
            final_loss=last.get("cross_entropy", float("nan")),
            uniform_loss=math.log(state.manifests[0].vocabulary_size),
            heldout_loss=heldout.loss if heldout else None,
            heldout_bits_per_byte=heldout.bits_per_byte if heldout else None,
            checkpoint_path=resolve(state.output),
            curve_path=curve,
            num_steps=state.step,
            num_tokens=state.step * state.settings.tokens_per_step,
            num_skipped_steps=int(state.judge.num_skipped),
            tokens_per_second=num_steps_here * state.settings.tokens_per_step / seconds,
        )


def train(
    settings: TrainSettings, *, shards: str | Path | Sequence[str | Path], output: str | Path,
    resume: bool = False, reason: str = "", observers: Sequence[Observer] = (),
) -> TrainResult:  # fmt: skip
    """Train on the manifests `shards` and leave checkpoints, log and curve in `output`.

    With `resume`, continue from the newest checkpoint there, if any; `reason` says why settings
    that change the run differ from before. `observers` need a model that one rank has whole. Raises
    ValueError before the first step for data or settings that do not fit, LossNotFinite and
    Preempted with the state saved.
    """
    if "://" in str(output):
        raise ValueError(
            f"output = {str(output)!r}: must be a folder on a file system that all ranks share; "
            "--set checkpoint.mirror=URI copies finished checkpoints to an object store"
        )
    paths = [shards] if isinstance(shards, str | Path) else list(shards)
    manifests = read_sources([str(path) for path in paths])
    check_sources(manifests, sequence_length=settings.model.sequence_length)
    settings = with_vocabulary(settings, manifests[0].vocabulary_size)
    ranks = join(settings)
    try:
        if observers and ranks.num_ranks > 1:
            raise ValueError(
                f"{ranks.num_ranks} ranks: tasks are scored during training by one rank alone; "
                "leave --tasks out, and score checkpoints with jobs/evaluate_model.py"
            )
        request = Request(output=Path(output), resume=resume, reason=reason)
        return Trainer(prepare(settings, manifests, ranks, request), observers).train()
    finally:
        leave(ranks)
