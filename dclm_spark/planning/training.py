"""Memory and time of a run before it is started, by formulas that a person can check.

Bytes per device, with P weights over G devices in R replicas (P R / G weights each), when most is
held: at the start of the last micro-batch's backward pass.
- weights and Adam's two moments: 12 bytes a weight in fp32 and bf16-mixed (4 each), 6 in bf16;
- gradients: while micro-batches are accumulated, FSDP2 keeps them whole on every device, for all P
  weights (4 bytes each, 2 in bf16); with one micro-batch a step there are none yet;
- the layers being computed, gathered whole, in the arithmetic's dtype (when G > R): two layers
  (one in use, one on its way) and the embedding and output matrix;
- activations kept for the backward pass of one micro-batch of T tokens: per layer and token
  `width * 11 + hidden * 3` numbers without recomputation, `width * 6 + hidden * 2` when all but
  products are recomputed, `width` when all is;
- logits: T (or the chunk of the loss) * vocabulary * 19 bytes (in low precision, fp32, and what
  their gradients pass through), 20 in fp32.
The factors 11, 3 and 19 are those of the four peaks measured in docs/training.md, which the sums
meet within 5 %.

Time: tokens * FLOPs per token / (devices * peak * assumed utilization); the utilization is the
reader's, so it is an argument.
"""

from dataclasses import dataclass

from dclm_spark.train.scales import TrainSettings

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What each device holds, in bytes, and how long the run takes."""

    num_devices: int
    state_bytes: int
    gradient_bytes: int
    gathered_bytes: int
    activation_bytes: int
    logit_bytes: int
    accumulation: int
    days: float

    @property
    def total_bytes(self) -> int:
        """Peak need of one device."""
        return sum(self.parts)

    @property
    def parts(self) -> tuple[int, ...]:
        """State, gradients, gathered layers, activations and logits."""
        return (
            self.state_bytes, self.gradient_bytes, self.gathered_bytes, self.activation_bytes,
            self.logit_bytes,
        )  # fmt: skip


def plan(
    settings: TrainSettings, *, num_devices: int, peak_flops_per_second: float = 989e12,
    utilization: float = 0.45,
) -> Plan:  # fmt: skip
    """Return the plan of a run on `num_devices` equal devices (default peak: H100, H200 bf16)."""
    share, rest = divmod(settings.batch_sequences, num_devices)
    if rest:
        raise ValueError(
            f"batch_sequences = {settings.batch_sequences}: must be a multiple of the "
            f"{num_devices} devices"
        )
    micro = min(share, settings.micro_batch_sequences)
    micro_tokens = micro * settings.model.sequence_length
    number_bytes = 4 if settings.precision == "fp32" else 2
    flops = settings.last_step * settings.tokens_per_step * settings.model.flops_per_token()
    seconds = flops / (num_devices * peak_flops_per_second * utilization)
    shards = max(1, num_devices // settings.replicas)
    accumulation = share // micro
    return Plan(
        num_devices=num_devices,
        state_bytes=_state_bytes(settings) // shards,
        gradient_bytes=_gradient_bytes(settings) if accumulation > 1 else 0,
        gathered_bytes=_gathered_bytes(settings, number_bytes) if shards > 1 else 0,
        activation_bytes=micro_tokens * _activations_per_token(settings) * number_bytes,
        logit_bytes=_logit_bytes(settings, micro_tokens),
        accumulation=accumulation,
        days=seconds / 86_400,
    )


def table(settings: TrainSettings, device_counts: tuple[int, ...] = (8, 64, 256)) -> str:
    """Return the plans for several numbers of devices as a Markdown table."""
    lines = [
        "| devices | state | gradients | gathered | activations | logits | total GiB "
        "| accumulation | days |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in device_counts:
        found = plan(settings, num_devices=count)
        parts = (*found.parts, found.total_bytes)
        sizes = " | ".join(f"{part / _GIB:.1f}" for part in parts)
        lines.append(f"| {count} | {sizes} | {found.accumulation} | {found.days:.1f} |")
    return "\n".join(lines)


def _state_bytes(settings: TrainSettings) -> int:
    each = 6 if settings.precision == "bf16" else 12
    if settings.optimizer.average_decay is not None:
        each += 4
    state = settings.model.num_parameters() * each
    spared = 2 - settings.optimizer.matrix_moments
    return state - spared * _layer_parameters(settings) * (2 if settings.precision == "bf16" else 4)


def _layer_parameters(settings: TrainSettings) -> int:
    model = settings.model
    return model.num_parameters() - 2 * (model.vocabulary_size or 0) * model.width


def _gradient_bytes(settings: TrainSettings) -> int:
    return settings.model.num_parameters() * (2 if settings.precision == "bf16" else 4)


def _gathered_bytes(settings: TrainSettings, number_bytes: int) -> int:
    model = settings.model
    ends = 2 * (model.vocabulary_size or 0) * model.width
    layer = _layer_parameters(settings) // model.num_layers
    return (2 * layer + ends) * number_bytes


def _activations_per_token(settings: TrainSettings) -> int:
    width, hidden = settings.model.width, settings.model.feed_forward_width
    per_layer = {
        "none": 11 * width + 3 * hidden,
        "selective": 6 * width + 2 * hidden,
        "full": width,
    }[settings.recompute]
    return settings.model.num_layers * per_layer


def _logit_bytes(settings: TrainSettings, micro_tokens: int) -> int:
    tokens = min(micro_tokens, settings.loss_chunk_tokens or micro_tokens)
    each = 20 if settings.precision == "fp32" else 19
    return tokens * (settings.model.vocabulary_size or 0) * each
