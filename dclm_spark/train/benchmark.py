"""Steps of a scale on made-up tokens: tokens/s, utilization, memory and where the time goes."""

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from dclm_spark.train.distributed import Ranks, join, leave, reduce_gradients, spread
from dclm_spark.train.logs import peak_flops_per_second, utilization
from dclm_spark.train.model import build, initialize
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import StepJudge, build_optimizer, clip_gradients, step_unless
from dclm_spark.train.scales import TrainSettings

_NUM_WARMUP_STEPS, _NUM_STEPS, _NUM_PROFILE_ROWS = 3, 10, 15
_NEOX_VOCABULARY_SIZE = 50_432


def benchmark(settings: TrainSettings, *, num_steps: int = _NUM_STEPS) -> str:
    """Time whole steps (forward, backward, clipping, update) of one micro-batch per rank.

    Returns a report. The first steps, which compile and allocate, do not count. Nothing is
    accumulated, so the update weighs more than in a run of the scale's own batch.
    """
    if settings.model.vocabulary_size is None:
        model = dataclasses.replace(settings.model, vocabulary_size=_NEOX_VOCABULARY_SIZE)
        settings = dataclasses.replace(settings, model=model)
    ranks = join(settings)
    try:
        step = _prepared_step(settings, ranks)
        for _ in range(_NUM_WARMUP_STEPS):
            step()
        _wait(ranks)
        started = time.perf_counter()
        for _ in range(num_steps):
            step()
        _wait(ranks)
        seconds = (time.perf_counter() - started) / num_steps
        return _report(settings, ranks, seconds, _profile(step, ranks))
    finally:
        leave(ranks)


def product_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Return what one large matrix product reaches on `device`: the practical peak."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    ranks = Ranks(device=device)
    seconds = []
    for _ in range(6):
        _wait(ranks)
        started = time.perf_counter()
        left @ right
        _wait(ranks)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def _prepared_step(settings: TrainSettings, ranks: Ranks) -> Callable[[], Tensor]:
    model = build(settings.model, precision=settings.precision)
    spread(model, settings, ranks)
    model.to_empty(device=ranks.device)
    initialize(model, seed=settings.seed)
    optimizer = build_optimizer(settings.optimizer, model)
    judge = StepJudge(settings.optimizer, ranks.device)
    shape = (settings.micro_batch_sequences, settings.model.sequence_length + 1)
    tokens = torch.randint(settings.model.vocabulary_size or 0, shape, device=ranks.device)

    def step() -> Tensor:
        loss = _loss(model, tokens, settings.z_loss)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(model, settings.optimizer.clip_norm)
        step_unless(optimizer, judge.refuse(loss.detach(), norm, 0), 1e-5)
        return loss.detach()

    return step


def _loss(model: OpenLM, tokens: Tensor, z_loss: float) -> Tensor:
    reduce_gradients(model, True)
    cross_entropy, normalizer = model(tokens[:, :-1], tokens[:, 1:])
    return cross_entropy.mean() + z_loss * (normalizer**2).mean()  # type: ignore[no-any-return]


def _profile(step: Callable[[], Tensor], ranks: Ranks) -> str:
    on_gpu = ranks.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        step()
        _wait(ranks)
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    return profiler.key_averages().table(  # type: ignore[no-any-return]
        sort_by=key, row_limit=_NUM_PROFILE_ROWS, max_name_column_width=60
    )


def _report(settings: TrainSettings, ranks: Ranks, seconds: float, table: str) -> str:
    tokens = settings.micro_batch_sequences * settings.model.sequence_length * ranks.num_ranks
    speed, flops = tokens / seconds, settings.model.flops_per_token()
    dtype = torch.float32 if settings.precision == "fp32" else torch.bfloat16
    practical = product_flops_per_second(ranks.device, dtype)
    of_peak = utilization(
        speed, flops, ranks.num_ranks, peak_flops_per_second(settings.observe, ranks.device)
    )
    on_gpu = ranks.device.type == "cuda"
    lines = [
        f"scale {settings.scale}: {settings.model.num_parameters():,} weights, "
        f"{settings.precision}, compile {settings.compile}, recompute {settings.recompute}, "
        f"{settings.micro_batch_sequences} x {settings.model.sequence_length} tokens per rank",
        f"device: {ranks.num_ranks} x {torch.cuda.get_device_name() if on_gpu else 'cpu'}, "
        f"torch {torch.__version__}",
        f"step: {seconds * 1000:.1f} ms; {speed:,.0f} tokens/s",
        "MFU = tokens/s * FLOPs/token / (devices * peak); FLOPs/token = "
        f"6 * weights in products + 12 * layers * width * length = {flops:,}",
        f"MFU of the data sheet's peak: {'unknown' if of_peak is None else f'{of_peak:.3f}'}; "
        f"of one large product's speed ({practical / 1e12:.2f} TFLOP/s): "
        f"{utilization(speed, flops, ranks.num_ranks, practical):.3f}",
    ]
    if on_gpu:
        lines.append(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return "\n".join([*lines, table])


def _wait(ranks: Ranks) -> None:
    if ranks.device.type == "cuda":
        torch.cuda.synchronize(ranks.device)
