"""Steps of a scale on made-up shards: tokens/s, utilization, memory and where the time goes.

The steps are those of a run: its loader, its accumulation, its trainer.
"""

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.profiler import ProfilerActivity, profile

from dclm_spark.shard_format import MANIFEST, TRAIN, Shard, ShardManifest
from dclm_spark.train.checkpoints.resume import Request
from dclm_spark.train.distributed import Ranks, join, leave
from dclm_spark.train.logs import ObserveSettings, peak_flops_per_second, utilization
from dclm_spark.train.prepare import prepare
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.trainer import Trainer
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.tokens.id_types import id_type

_NUM_WARMUP_STEPS, _NUM_STEPS, _NUM_PROFILE_ROWS = 3, 10, 15
_NEOX_VOCABULARY_SIZE = 50_432
# Micro-batches of a step at most: more of them change the rate little and the time much.
_MAX_ACCUMULATION = 4


def benchmark(settings: TrainSettings, *, num_steps: int = _NUM_STEPS) -> str:
    """Time whole steps of a run on made-up shards and return a report.

    The first steps, which compile and allocate, do not count. A step has as many micro-batches as
    the scale's, but no more than 4.
    """
    ranks = join(settings)
    try:
        settings = _shortened(settings, ranks, _NUM_WARMUP_STEPS + num_steps + 1)
        with tempfile.TemporaryDirectory() as folder:
            manifest = _made_up_shards(settings, Path(folder))
            request = Request(output=Path(folder) / f"rank-{ranks.rank}")
            return _measured(Trainer(prepare(settings, [manifest], ranks, request)), num_steps)
    finally:
        leave(ranks)


def _measured(trainer: Trainer, num_steps: int) -> str:
    state = trainer.state
    batches = state.loader.batches(0, state.settings.last_step)

    def step() -> None:
        trainer.step(next(batches))

    for _ in range(_NUM_WARMUP_STEPS):
        step()
    _wait(state.ranks)
    waited, started = state.loader.wait_seconds, time.perf_counter()
    for _ in range(num_steps):
        step()
    _wait(state.ranks)
    seconds = (time.perf_counter() - started) / num_steps
    waited = (state.loader.wait_seconds - waited) / num_steps
    table = _profile(step, state.ranks)
    batches.close()  # type: ignore[attr-defined]
    state.checkpointer.close()
    state.log.close()
    return _report(state.settings, state.ranks, (seconds, waited), table)


def _shortened(settings: TrainSettings, ranks: Ranks, num_steps: int) -> TrainSettings:
    """Return the settings of a run of `num_steps` steps that measures and saves nothing."""
    vocabulary_size = settings.model.vocabulary_size or _NEOX_VOCABULARY_SIZE
    each = settings.micro_batch_sequences * ranks.num_ranks
    accumulation = max(1, min(settings.batch_sequences // each, _MAX_ACCUMULATION))
    tokens = num_steps * accumulation * each * settings.model.sequence_length
    return dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, vocabulary_size=vocabulary_size),
        data=dataclasses.replace(settings.data, heldout=None, tokenizer=None, weights=None),
        observe=ObserveSettings(
            tensorboard=False, peak_flops_per_second=settings.observe.peak_flops_per_second
        ),
        checkpoint=dataclasses.replace(settings.checkpoint, mirror=None),
        schedule=dataclasses.replace(settings.schedule, warmup_steps=num_steps),
        initial_weights=None,
        initial_state=None,
        tokens=tokens,
        stop_tokens=None,
        batch_sequences=accumulation * each,
    )


def _made_up_shards(settings: TrainSettings, folder: Path) -> ShardManifest:
    """Write one shard of random ids that serves all steps, the same on every rank."""
    vocabulary_size, length = settings.model.vocabulary_size or 0, settings.model.sequence_length
    count, kind = settings.last_step * settings.batch_sequences, id_type(vocabulary_size)
    rows = np.random.default_rng(0).integers(vocabulary_size, size=(count, length + 1), dtype=kind)
    path = folder / "shard-00000.parquet"
    table = pa.table({"tokens": pa.array([row.tobytes() for row in rows], pa.binary())})
    pq.write_table(table, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    content = path.read_bytes()
    shard = Shard(
        path=path.name,
        num_sequences=count,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        role=TRAIN,
    )
    return ShardManifest(
        path=str(folder / MANIFEST),
        sequence_length=length,
        tokens_per_row=length + 1,
        dtype=np.dtype(kind).name,
        vocabulary_size=vocabulary_size,
        tokenizer_sha256="",
        end_of_text_id=0,
        padding_id=0,
        num_padding_tokens=0,
        sequences_per_shard=count,
        seed=0,
        recipe_hash="",
        shards=(shard,),
    )


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


def _profile(step: Callable[[], None], ranks: Ranks) -> str:
    on_gpu = ranks.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        step()
        _wait(ranks)
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    return profiler.key_averages().table(  # type: ignore[no-any-return]
        sort_by=key, row_limit=_NUM_PROFILE_ROWS, max_name_column_width=60
    )


def _report(settings: TrainSettings, ranks: Ranks, seconds: tuple[float, float], table: str) -> str:
    """Return the report of steps that took `seconds` each, the second of them for the loader."""
    whole, waited = seconds
    speed, flops = settings.tokens_per_step / whole, settings.model.flops_per_token()
    dtype = torch.float32 if settings.precision == "fp32" else torch.bfloat16
    practical = product_flops_per_second(ranks.device, dtype)
    of_peak = utilization(
        speed, flops, ranks.num_ranks, peak_flops_per_second(settings.observe, ranks.device)
    )
    on_gpu = ranks.device.type == "cuda"
    micro = settings.micro_batch_sequences
    lines = [
        f"scale {settings.scale}: {settings.model.num_parameters():,} weights, "
        f"{settings.precision}, compile {settings.compile}, recompute {settings.recompute}, "
        f"{settings.batch_sequences // ranks.num_ranks // micro} x {micro} x "
        f"{settings.model.sequence_length} tokens per rank",
        f"device: {ranks.num_ranks} x {torch.cuda.get_device_name() if on_gpu else 'cpu'}, "
        f"torch {torch.__version__}",
        f"step: {whole * 1000:.1f} ms ({waited * 1000:.2f} waiting for the loader); "
        f"{speed:,.0f} tokens/s",
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
