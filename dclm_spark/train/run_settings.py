"""The settings of a whole training run."""

from dataclasses import dataclass, field

from dclm_spark.train.checkpoints.checkpointer import CheckpointSettings
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.logs import ObserveSettings
from dclm_spark.train.network import RECOMPUTE, ModelSettings
from dclm_spark.train.optimizer import OptimizerSettings, ScheduleSettings
from udfs.checks import above, at_least, check, one_of
from udfs.quirks import QUIRKS

PRECISIONS = ("fp32", "bf16-mixed", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The whole of a training run; `settings.yaml` beside its output holds the resolved values."""

    scale: str
    model: ModelSettings
    optimizer: OptimizerSettings
    schedule: ScheduleSettings
    data: DataSettings = field(default_factory=DataSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    observe: ObserveSettings = field(default_factory=ObserveSettings)
    # Tokens predicted over the schedule's whole length.
    tokens: int
    # Stop here although the schedule is laid out for `tokens`; None: at the schedule's end.
    stop_tokens: int | None = None
    # Sequences per step over all ranks, and per forward pass of one rank.
    batch_sequences: int
    micro_batch_sequences: int
    # Weight of mean(logsumexp(logits)^2) in the loss.
    z_loss: float
    seed: int = 124
    # fp32; bf16-mixed: fp32 weights and reduction, bf16 arithmetic; bf16: everything in bf16.
    precision: str = "bf16-mixed"
    compile: bool = True
    # Activations recomputed in the backward pass: none, selective (all but products), full.
    recompute: str = "none"
    # Positions whose logits exist at one time; costs computing them twice. None: all.
    loss_chunk_tokens: int | None = None
    # A checkpoint, export or OpenLM file to start from, with fresh optimizer state.
    initial_weights: str | None = None
    # A run or checkpoint to branch from: weights, moments and step, under new settings.
    initial_state: str | None = None
    # Whole copies of the model, each sharded over ranks / replicas ranks (HSDP); 1: one copy.
    replicas: int = 1
    # How long ranks wait for one another before they give up.
    timeout_minutes: float = 30.0

    def __post_init__(self) -> None:
        check(self, precision=one_of(PRECISIONS), recompute=one_of(RECOMPUTE))
        check(self, batch_sequences=at_least(1), micro_batch_sequences=at_least(1))
        check(self, replicas=at_least(1), timeout_minutes=above(0.0))
        if self.model.quirks not in QUIRKS:
            raise ValueError(
                f"model.quirks = {self.model.quirks!r}: expected one of {', '.join(QUIRKS)}"
            )
        if self.initial_weights is not None and self.initial_state is not None:
            raise ValueError(
                "initial_weights and initial_state are both given: take the weights alone, or "
                "weights, moments and step"
            )
        if self.num_steps < 1:
            raise ValueError(
                f"tokens = {self.tokens}: less than one step of {self.tokens_per_step} tokens; "
                "raise tokens or lower batch_sequences"
            )

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step over all ranks."""
        return self.batch_sequences * self.model.sequence_length

    @property
    def num_steps(self) -> int:
        """Length of the schedule in steps."""
        return self.tokens // self.tokens_per_step

    @property
    def last_step(self) -> int:
        """Number of steps after which this run ends."""
        if self.stop_tokens is None:
            return self.num_steps
        return min(self.num_steps, self.stop_tokens // self.tokens_per_step)
