"""Making a run ready: all that can be refused is refused here, before the first step."""

import dataclasses
import importlib.metadata
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dclm_spark.shard_format import ShardManifest, fingerprints, read_manifest
from dclm_spark.train import checkpoint
from dclm_spark.train import settings as settings_tree
from dclm_spark.train.batches import Loader, check_fit, check_unseen, open_reader
from dclm_spark.train.checkpoint import Checkpointer, CheckpointError
from dclm_spark.train.distributed import Ranks, spread
from dclm_spark.train.heldout import Heldout, Provenance, heldout_rows
from dclm_spark.train.logs import RunLog
from dclm_spark.train.model import assign, build, check_weights, initialize, load
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import AveragedWeights, StepJudge, build_optimizer
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.state import Run

# Settings that may change between a run and its continuation, for they change no result.
_FREE = (
    "micro_batch_sequences", "compile", "recompute", "loss_chunk_tokens", "checkpoint", "observe",
    "stop_tokens",
)  # fmt: skip
_FREE_DATA = (
    # What the held-out sequences and the tokenizer hold is checked, wherever they lie.
    "heldout", "tokenizer", "passes", "prefetch_batches", "cache_directory", "cache_bytes",
    "verify_checksums",
)  # fmt: skip


def resumable(
    output: Path, settings: TrainSettings, manifests: Sequence[ShardManifest],
    heldout: Heldout | None, resume: bool,
) -> Path | None:  # fmt: skip
    """Return the checkpoint to go on from, after checking that it belongs to this run."""
    if not (output / "checkpoints" / checkpoint.LATEST).is_file():
        return None
    if not resume:
        raise CheckpointError(f"{output}: holds a run already; pass --resume or another --output")
    found = checkpoint.resolve(output)
    facts = checkpoint.read_facts(found)
    checkpoint.check_same_corpus(found, facts, fingerprints(manifests))
    checkpoint.check_same_heldout(found, facts, heldout.fingerprint if heldout else None)
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


def restore(run: Run, found: Path) -> None:
    """Take over the whole state of the checkpoint `found`."""
    extra = checkpoint.restore(
        found, run.model, run.optimizer, run.extra(), run.ranks.checkpoint_group
    )
    run.judge.load(extra["judge"])
    if run.average is not None:
        run.average.weights = extra["average"]
    run.step = checkpoint.read_facts(found).step


log = logging.getLogger(__name__)


def prepare(
    settings: TrainSettings,
    manifests: Sequence[ShardManifest],
    output: Path,
    ranks: Ranks,
    resume: bool,
) -> Run:
    """Check data and settings, and build all that steps need; ValueError says what does not fit."""
    _check_heldout_weights(settings)
    heldout = _heldout(settings, manifests, ranks)
    found = resumable(output, settings, manifests, heldout, resume)
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
    loader.check_cache()
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
        provenance=(Provenance(manifests) if settings.observe.domain_interval_steps else None),
        log=RunLog(
            output,
            settings.observe,
            is_first=ranks.is_first,
            first_step=0 if found is None else checkpoint.read_facts(found).step,
            last_step=settings.last_step,
        ),
    )
    if found is not None:
        restore(run, found)
    _announce(run)
    return run


def _check_micro_batches(settings: TrainSettings, share: int) -> None:
    micro = min(settings.micro_batch_sequences, share)
    if share % micro:
        raise ValueError(
            f"micro_batch_sequences = {micro}: must divide the {share} sequences that each rank "
            f"takes of batch_sequences = {settings.batch_sequences}"
        )


def _heldout(
    settings: TrainSettings, manifests: Sequence[ShardManifest], ranks: Ranks
) -> Heldout | None:
    if settings.data.heldout is not None:
        own = read_manifest(settings.data.heldout)
        check_fit([manifests[0], own], sequence_length=settings.model.sequence_length)
        check_unseen(own, manifests)
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


def _check_heldout_weights(settings: TrainSettings) -> None:
    chosen = settings.observe.heldout_weights
    check_weights("observe.heldout_weights", chosen)
    if chosen == "averaged" and settings.optimizer.average_decay is None:
        raise ValueError(
            "observe.heldout_weights = 'averaged': optimizer.average_decay = None keeps no "
            "average; pass --set optimizer.average_decay=0.999 too"
        )


def _write_facts(
    output: Path, settings: TrainSettings, manifests: Sequence[ShardManifest], ranks: Ranks
) -> None:
    settings_tree.save(settings, output / "settings.yaml")
    facts = {
        "shards": [manifest.path for manifest in manifests],
        "fingerprints": list(fingerprints(manifests)),
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
