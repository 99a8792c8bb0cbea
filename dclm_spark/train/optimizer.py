"""AdamW as the reference runs it (spec 7.3), or Muon, with clipping and skipped spikes.

Nothing here waits for the device: whether a step counts is decided by a 0/1 tensor.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from dclm_spark.train.optimizers.muon import MuonAdamW, muon_groups
from udfs.checks import above, at_least, between, check, one_of, share_above_zero

SHAPES = ("cosine", "wsd")
DECAYS = ("linear", "sqrt")
MATRICES = ("adamw", "muon")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """The learning rate as a function of the step."""

    shape: str = "cosine"
    warmup_steps: int
    end_rate: float = 3e-5
    # WSD only: the share of all steps over which the rate falls from its peak to end_rate.
    decay_share: float = 0.2
    decay: str = "linear"

    def __post_init__(self) -> None:
        check(self, shape=one_of(SHAPES), decay=one_of(DECAYS), decay_share=share_above_zero())
        check(self, warmup_steps=at_least(0), end_rate=at_least(0.0))


def learning_rate(
    settings: ScheduleSettings, *, peak_rate: float, step: int, num_steps: int
) -> float:
    """Return the rate at `step` (from 0) of `num_steps`.

    >>> shape = ScheduleSettings(warmup_steps=2, end_rate=0.0)
    >>> [round(learning_rate(shape, peak_rate=1.0, step=s, num_steps=6), 3) for s in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < settings.warmup_steps:
        return peak_rate * (step + 1) / settings.warmup_steps
    if settings.shape == "wsd":
        return _stable_then_decay(settings, peak_rate, step, num_steps)
    elapsed, span = step - settings.warmup_steps, num_steps - settings.warmup_steps
    height = 0.5 * (1 + math.cos(math.pi * elapsed / span))
    return settings.end_rate + height * (peak_rate - settings.end_rate)


def _stable_then_decay(
    settings: ScheduleSettings, peak_rate: float, step: int, num_steps: int
) -> float:
    decay_steps = max(1, round(settings.decay_share * num_steps))
    progress = (step - (num_steps - decay_steps)) / decay_steps
    if progress <= 0:
        return peak_rate
    fallen = progress if settings.decay == "linear" else math.sqrt(progress)
    return peak_rate + (settings.end_rate - peak_rate) * fallen


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW, clipping, skipping and averaging. Weight decay acts on every weight."""

    # What updates the matrices of the layers: adamw, as everything else, or muon.
    matrices: str = "adamw"
    # Of muon: the share of its momentum that a step keeps.
    momentum: float = 0.95
    peak_rate: float
    weight_decay: float
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    # Skip a step whose loss or gradient norm lies this many deviations above the mean of the
    # last skip_window_steps steps; None never skips, as the reference.
    skip_deviations: float | None = None
    skip_window_steps: int = 128
    # Decay of an exponential moving average of the weights; None keeps none.
    average_decay: float | None = None

    def __post_init__(self) -> None:
        check(self, peak_rate=at_least(0.0), weight_decay=at_least(0.0), clip_norm=above(0.0))
        check(self, beta1=between(0, 1), beta2=between(0, 1), average_decay=between(0, 1))
        check(self, matrices=one_of(MATRICES), momentum=between(0, 1))

    @property
    def matrix_moments(self) -> int:
        """How many moments each number of a layer's matrix has."""
        return 1 if self.matrices == "muon" else 2


def build_optimizer(settings: OptimizerSettings, model: nn.Module) -> torch.optim.AdamW:
    """Return the optimizer that `settings` ask for; weight decay acts on every weight.

    With AdamW alone that is one group: the reference's no-decay list is empty in effect.
    """
    options = {
        "lr": settings.peak_rate,
        "betas": (settings.beta1, settings.beta2),
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    if settings.matrices == "muon":
        return MuonAdamW(muon_groups(model, settings.momentum), **options)
    return torch.optim.AdamW(model.parameters(), fused=True, **options)  # type: ignore[arg-type]


@torch.no_grad()
def clip_gradients(model: nn.Module, clip_norm: float) -> Tensor:
    """Scale all gradients to a global norm of at most `clip_norm`; return the norm before."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
    nn.utils.clip_grads_with_norm_(model.parameters(), clip_norm, norm)
    return whole.float()


class StepJudge:
    """Decides on the device whether a step's update counts.

    A step is refused when its loss or gradient norm is not finite, and every later one with it,
    so that the weights stay those before the damage; or when it is a spike among recent steps.
    """

    def __init__(self, settings: OptimizerSettings, device: torch.device) -> None:
        self.deviations = settings.skip_deviations
        window = settings.skip_window_steps
        self.recent = torch.zeros(2, window, device=device)
        self.num_seen = torch.zeros((), dtype=torch.int64, device=device)
        self.num_skipped = torch.zeros((), dtype=torch.int64, device=device)
        # The first step with a loss or norm that is not finite; -1 when there was none.
        self.broken_step = torch.full((), -1, dtype=torch.int64, device=device)

    def refuse(self, loss: Tensor, gradient_norm: Tensor, step: int) -> Tensor:
        """Return 1.0 when the update of `step` must not be applied, else 0.0."""
        observed = torch.stack((loss.float(), gradient_norm.float()))
        broken = ~observed.isfinite().all()
        self.broken_step = torch.where(broken & (self.broken_step < 0), step, self.broken_step)
        spike = self._is_spike(observed)
        sound = ~(spike | broken)
        slot = (self.num_seen % self.recent.shape[1]).reshape(1)
        kept = torch.where(sound, observed[:, None], self.recent.index_select(1, slot))
        self.recent.index_copy_(1, slot, kept)
        self.num_seen += sound
        self.num_skipped += spike
        return (spike | (self.broken_step >= 0)).float()

    def _is_spike(self, observed: Tensor) -> Tensor:
        if self.deviations is None:
            return torch.zeros((), dtype=torch.bool, device=observed.device)
        window = self.recent.shape[1]
        filled = torch.arange(window, device=observed.device) < self.num_seen
        count = self.num_seen.clamp(1, window)
        mean = (self.recent * filled).sum(1) / count
        variance = ((self.recent - mean[:, None]) ** 2 * filled).sum(1) / count
        high = observed > mean + self.deviations * variance.sqrt()
        return high.any() & (self.num_seen >= window // 2)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint must hold."""
        return {
            "recent": self.recent,
            "num_seen": self.num_seen,
            "num_skipped": self.num_skipped,
            "broken_step": self.broken_step,
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` returned; an earlier break is forgotten."""
        self.recent, self.num_seen = state["recent"], state["num_seen"]
        self.num_skipped = state["num_skipped"]


def step_unless(optimizer: torch.optim.AdamW, refused: Tensor, rate: float) -> None:
    """Apply the update at learning `rate` unless `refused` is 1; clear the gradients."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    # The fused kernel leaves weights, moments and step count alone where this is 1.
    optimizer.found_inf = refused  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
