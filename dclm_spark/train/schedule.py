"""Learning-rate schedules: cosine as the reference has it (spec 7.4), and warm-up-stable-decay."""

import math
from dataclasses import dataclass

SHAPES = ("cosine", "wsd")
DECAYS = ("linear", "sqrt")


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
        if self.shape not in SHAPES:
            raise ValueError(f"schedule.shape = {self.shape!r}: must be one of {SHAPES}")
        if self.decay not in DECAYS:
            raise ValueError(f"schedule.decay = {self.decay!r}: must be one of {DECAYS}")
        if not 0 < self.decay_share <= 1:
            raise ValueError(f"schedule.decay_share = {self.decay_share}: must be in (0, 1]")


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
