"""Scales: one name sets a whole run (spec section 6). A scale is a function, so it can be read."""

import dataclasses
import difflib
from collections.abc import Callable

from dclm_spark.train.checkpoints.checkpointer import CheckpointSettings
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.logs import ObserveSettings
from dclm_spark.train.network import ModelSettings
from dclm_spark.train.optimizer import OptimizerSettings, ScheduleSettings

# `as`: other modules take it from here.
from dclm_spark.train.run_settings import TrainSettings as TrainSettings


def _published(
    name: str, model: ModelSettings, optimizer: OptimizerSettings, *, tokens: int,
    warmup_steps: int = 5_000, batch: tuple[int, int] = (256, 8),
) -> TrainSettings:  # fmt: skip
    """Return a scale; `batch` is sequences per step, and per forward pass of one rank."""
    return TrainSettings(
        scale=name,
        model=model,
        optimizer=optimizer,
        schedule=ScheduleSettings(warmup_steps=warmup_steps, end_rate=3e-5),
        tokens=tokens,
        batch_sequences=batch[0],
        micro_batch_sequences=batch[1],
        z_loss=1e-4,
    )


# Of all published scales up to 3B.
_SMALL_OPTIMIZER = OptimizerSettings(peak_rate=3e-3, weight_decay=0.033)
# The padded GPT-NeoX vocabulary of every published scale.
_VOCABULARY_SIZE = 50_432
_MODEL_400M = ModelSettings(
    width=1024, num_layers=24, num_heads=8, vocabulary_size=_VOCABULARY_SIZE
)
_MODEL_1B = ModelSettings(width=2048, num_layers=24, num_heads=16, vocabulary_size=_VOCABULARY_SIZE)
_MODEL_3B = ModelSettings(width=2560, num_layers=32, num_heads=32, vocabulary_size=_VOCABULARY_SIZE)
_MODEL_7B = ModelSettings(width=4096, num_layers=32, num_heads=32, vocabulary_size=_VOCABULARY_SIZE)


def scale_400m_1x() -> TrainSettings:
    """Competition scale 400M-1x: 411.6 M weights, 8.2 G tokens."""
    return _published(
        "400m-1x", _MODEL_400M, _SMALL_OPTIMIZER, tokens=8_232_325_120, warmup_steps=2_000,
        batch=(512, 16),
    )  # fmt: skip


def scale_1b_1x() -> TrainSettings:
    """Competition scale 1B-1x: 1.44 G weights, 28.8 G tokens."""
    return _published("1b-1x", _MODEL_1B, _SMALL_OPTIMIZER, tokens=28_795_904_000)


def scale_3b_1x() -> TrainSettings:
    """Competition scale 3B-1x: 2.80 G weights, 55.9 G tokens, pure bf16."""
    scale = _published("3b-1x", _MODEL_3B, _SMALL_OPTIMIZER, tokens=55_918_643_200, batch=(256, 4))
    return dataclasses.replace(scale, precision="bf16")


def scale_7b_1x() -> TrainSettings:
    """Competition scale 7B-1x: 6.89 G weights, 137.8 G tokens, pure bf16."""
    optimizer = OptimizerSettings(peak_rate=2e-3, weight_decay=0.05)
    scale = _published("7b-1x", _MODEL_7B, optimizer, tokens=137_788_211_200, batch=(2048, 4))
    return dataclasses.replace(scale, z_loss=5e-6, precision="bf16")


def scale_7b_2x() -> TrainSettings:
    """Competition scale 7B-2x: as 7B-1x with twice the tokens."""
    return dataclasses.replace(scale_7b_1x(), scale="7b-2x", tokens=275_576_422_400)


def scale_7b_long() -> TrainSettings:
    """DCLM-7B's main run (spec 6.3): a 4.4 T token schedule, stopped at 2 T."""
    short = scale_7b_1x()
    return dataclasses.replace(
        short,
        scale="7b-long",
        tokens=4_409_222_758_400,
        stop_tokens=2_000_000_000_000,
        schedule=dataclasses.replace(short.schedule, warmup_steps=10_000),
    )


def scale_7b_cooldown_200b() -> TrainSettings:
    """DCLM-7B's first cool-down; `initial_weights` is the stopped run's checkpoint."""
    return _cooldown("7b-cooldown-200b", tokens=200_619_635_507, seed=62)


def scale_7b_cooldown_270b() -> TrainSettings:
    """DCLM-7B's second cool-down; the released weights are 0.2 of the first and 0.8 of this."""
    return _cooldown("7b-cooldown-270b", tokens=270_064_893_952, seed=64)


def _cooldown(name: str, *, tokens: int, seed: int) -> TrainSettings:
    short = scale_7b_1x()
    return dataclasses.replace(
        short,
        scale=name,
        tokens=tokens,
        seed=seed,
        # The long run's rate where it stopped; no warm-up, optimizer state starts anew.
        optimizer=dataclasses.replace(short.optimizer, peak_rate=0.001170118158),
        schedule=dataclasses.replace(short.schedule, warmup_steps=0),
    )


def scale_7b_8k() -> TrainSettings:
    """DCLM-7B's context extension (spec 6.3): `initial_weights` is the 2k model.

    Sequences of 8192 tokens and a rotary base of 100,000. The published run took lengths by turns;
    shards of rows of 8,192 tokens serve the shorter ones too, cut (`model.sequence_length`).
    """
    short = scale_7b_1x()
    return dataclasses.replace(
        short,
        scale="7b-8k",
        model=dataclasses.replace(_MODEL_7B, sequence_length=8192, rotary_base=100_000.0),
        optimizer=dataclasses.replace(short.optimizer, peak_rate=1e-4),
        schedule=ScheduleSettings(warmup_steps=2_000, end_rate=1e-5),
        tokens=120_259_084_288,
        batch_sequences=512,
        micro_batch_sequences=1,
    )


def scale_1b_long() -> TrainSettings:
    """DCLM-1B (spec 6.3): the 1B model on a 4.3 T token schedule."""
    optimizer = OptimizerSettings(peak_rate=1e-2, weight_decay=0.01)
    scale = _published("1b-long", _MODEL_1B, optimizer, tokens=4_319_385_600_000, batch=(2048, 8))
    return dataclasses.replace(scale, z_loss=1e-6)


def scale_gpt2_1_5b() -> TrainSettings:
    """GPT-2 XL's shape (48 layers of 1,600) in this architecture: 1.66 G weights, 33.1 G tokens."""
    model = ModelSettings(width=1600, num_layers=48, num_heads=25, vocabulary_size=_VOCABULARY_SIZE)
    return _published(
        "gpt2-1.5b", model, _SMALL_OPTIMIZER, tokens=33_135_001_600, warmup_steps=3_000,
        batch=(512, 8),
    )  # fmt: skip


def scale_20m() -> TrainSettings:
    """The smallest of a series of scales for rankings: 22 M weights and 20 tokens for each."""
    return _ranking("20m", width=192, num_layers=6, num_heads=6, tokens=440_401_920)


def scale_80m() -> TrainSettings:
    """For ranking recipes on one GPU: 79 M weights and 20 tokens for each, as 400M-1x has."""
    return _ranking("80m", width=512, num_layers=8, num_heads=8, tokens=1_572_864_000)


def scale_125m() -> TrainSettings:
    """As 80m with 125 M weights: 2.5 G tokens."""
    return _ranking("125m", width=640, num_layers=12, num_heads=10, tokens=2_516_582_400)


def _ranking(
    name: str, *, width: int, num_layers: int, num_heads: int, tokens: int
) -> TrainSettings:
    """Return 400M-1x at a smaller size; steps of 131,072 tokens, a tenth of them warm-up."""
    model = ModelSettings(
        width=width, num_layers=num_layers, num_heads=num_heads, vocabulary_size=_VOCABULARY_SIZE
    )
    steps = tokens // (64 * model.sequence_length)
    return _published(
        name, model, _SMALL_OPTIMIZER, tokens=tokens, warmup_steps=steps // 10, batch=(64, 16)
    )


def scale_probe_20m() -> TrainSettings:
    """20m as a probe: Muon, a stable rate and its decay, 0.6 of the tokens."""
    return _probe(scale_20m())


def scale_probe_80m() -> TrainSettings:
    """80m as a probe."""
    return _probe(scale_80m())


def scale_probe_125m() -> TrainSettings:
    """125m as a probe."""
    return _probe(scale_125m())


def scale_probe_400m() -> TrainSettings:
    """400m-1x as a probe: 4.9 G tokens."""
    return _probe(scale_400m_1x())


def _probe(base: TrainSettings) -> TrainSettings:
    """Return a scale that is to reach the loss of `base` with 0.6 of its tokens.

    The network is the same (its QK norm included), so checkpoints and exports are; Muon updates
    the layers' matrices, and the rate, twice that of `base`, stays at its peak before it falls to
    0. Tuned at a hundredth of 20m only (docs/training.md).
    """
    tokens = base.tokens * 3 // 5
    steps = tokens // base.tokens_per_step
    return dataclasses.replace(
        base,
        scale=f"probe-{base.scale.removesuffix('-1x')}",
        optimizer=dataclasses.replace(
            base.optimizer, matrices="muon", peak_rate=2 * base.optimizer.peak_rate
        ),
        schedule=ScheduleSettings(
            shape="wsd", warmup_steps=steps // 50, decay_share=0.4, end_rate=0.0
        ),
        tokens=tokens,
    )


def scale_tiny() -> TrainSettings:
    """About a minute on a laptop's CPU; for first runs and for ranking recipes on one."""
    return TrainSettings(
        scale="tiny",
        model=ModelSettings(width=64, num_layers=4, num_heads=2),
        optimizer=OptimizerSettings(peak_rate=1e-2, weight_decay=0.033),
        schedule=ScheduleSettings(warmup_steps=10, end_rate=1e-4),
        data=DataSettings(heldout_sequences=4),
        checkpoint=CheckpointSettings(interval_steps=50),
        observe=ObserveSettings(interval_steps=5, heldout_interval_steps=25),
        tokens=75 * 2048,
        batch_sequences=1,
        micro_batch_sequences=1,
        z_loss=1e-4,
        precision="fp32",
        loss_chunk_tokens=128,
        compile=False,
    )


def scale_test() -> TrainSettings:
    """Seconds on a CPU, on sequences of 32 tokens; for tests."""
    return TrainSettings(
        scale="test",
        model=ModelSettings(width=32, num_layers=2, num_heads=2, sequence_length=32),
        optimizer=OptimizerSettings(peak_rate=1e-2, weight_decay=0.033),
        schedule=ScheduleSettings(warmup_steps=2, end_rate=1e-4),
        data=DataSettings(heldout_sequences=8),
        checkpoint=CheckpointSettings(interval_steps=5),
        observe=ObserveSettings(interval_steps=1, heldout_interval_steps=10, tensorboard=False),
        tokens=20 * 4 * 32,
        batch_sequences=4,
        micro_batch_sequences=2,
        z_loss=1e-4,
        precision="fp32",
        compile=False,
    )


SCALES: dict[str, Callable[[], TrainSettings]] = {
    "400m-1x": scale_400m_1x,
    "1b-1x": scale_1b_1x,
    "3b-1x": scale_3b_1x,
    "7b-1x": scale_7b_1x,
    "7b-2x": scale_7b_2x,
    "7b-long": scale_7b_long,
    "7b-cooldown-200b": scale_7b_cooldown_200b,
    "7b-cooldown-270b": scale_7b_cooldown_270b,
    "7b-8k": scale_7b_8k,
    "1b-long": scale_1b_long,
    "gpt2-1.5b": scale_gpt2_1_5b,
    "20m": scale_20m,
    "80m": scale_80m,
    "125m": scale_125m,
    "probe-20m": scale_probe_20m,
    "probe-80m": scale_probe_80m,
    "probe-125m": scale_probe_125m,
    "probe-400m": scale_probe_400m,
    "tiny": scale_tiny,
    "test": scale_test,
}


def scale(name: str) -> TrainSettings:
    """Return the whole configuration of the named scale; ValueError names the nearest one."""
    if name not in SCALES:
        near = difflib.get_close_matches(name, SCALES, n=1, cutoff=0.0)[0]
        raise ValueError(f"scale {name!r}: did you mean {near}? Known: {', '.join(SCALES)}")
    return SCALES[name]()
