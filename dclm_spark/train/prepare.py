"""Making a run ready: all that can be refused is refused here, before the first step."""

import importlib.metadata
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from dclm_spark import settings as settings_tree
from dclm_spark.shard_format import ShardManifest, fingerprints, read_manifest
from dclm_spark.train.checkpoints.checkpointer import Checkpointer, restore
from dclm_spark.train.checkpoints.folder import read_facts
from dclm_spark.train.checkpoints.mirror import Mirror
from dclm_spark.train.checkpoints.resume import Request, beginning
from dclm_spark.train.data.batches import BatchShape, Loader, cut_rows, open_reader
from dclm_spark.train.data.sources import check_fit, check_unseen
from dclm_spark.train.distributed import Ranks, spread
from dclm_spark.train.heldout import Heldout, Provenance, heldout_rows
from dclm_spark.train.logs import RunLog
from dclm_spark.train.model import build, check_weights, initialize, take_weights
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import StepJudge, build_optimizer
from dclm_spark.train.optimizers.averages import AveragedWeights
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.state import TrainState

LOGGER = logging.getLogger("dclm_spark")


def prepare(
    settings: TrainSettings, manifests: Sequence[ShardManifest], ranks: Ranks, request: Request
) -> TrainState:
    """Check data and settings, and build all that steps need; ValueError says what does not fit."""
    _check_heldout_weights(settings)
    heldout = _heldout(settings, manifests, ranks)
    found = beginning(request, settings, manifests, heldout, ranks)
    step = 0 if found is None else read_facts(found).step
    loader = _loader(settings, manifests, ranks)
    model = _build_model(settings, ranks, fresh=found is None)
    if ranks.is_first:
        request.output.mkdir(parents=True, exist_ok=True)
        _write_facts(request.output, settings, manifests, ranks)
    state = TrainState(
        settings=settings,
        manifests=manifests,
        output=request.output,
        ranks=ranks,
        loader=loader,
        model=model,
        optimizer=build_optimizer(settings.optimizer, model),
        judge=StepJudge(settings.optimizer, ranks.device),
        average=_average(settings, model),
        checkpointer=_checkpointer(request.output, settings, ranks),
        heldout=heldout,
        provenance=_provenance(settings, manifests),
        log=RunLog(
            request.output,
            settings.observe,
            is_first=ranks.is_first,
            first_step=step,
            last_step=settings.last_step,
            facts=lambda: settings_tree.to_dict(settings),
        ),
        step=step,
    )
    if found is not None:
        _restore(state, found)
    _announce(state)
    return state


def _provenance(settings: TrainSettings, manifests: Sequence[ShardManifest]) -> Provenance | None:
    observe = settings.observe
    # Spans of the provenance are places in whole rows, which a shorter model reads in parts.
    whole = manifests[0].sequence_length == settings.model.sequence_length
    by_source = observe.source_losses and whole and any(one.sources for one in manifests)
    return Provenance(manifests) if by_source or observe.domain_interval_steps else None


def _restore(state: TrainState, found: Path) -> None:
    """Take over the whole state of the checkpoint `found`."""
    extra = restore(
        found, state.model, state.optimizer, state.extra(), state.ranks.checkpoint_group
    )
    state.judge.load(extra["judge"])
    if state.average is not None:
        state.average.weights = extra["average"]


def _loader(settings: TrainSettings, manifests: Sequence[ShardManifest], ranks: Ranks) -> Loader:
    loader = Loader(
        settings.data,
        manifests,
        BatchShape(
            sequences=settings.batch_sequences,
            sequence_length=settings.model.sequence_length,
            seed=settings.seed,
        ),
        rank=ranks.rank,
        num_ranks=ranks.num_ranks,
    )
    _check_micro_batches(settings, loader.share * loader.sequences_per_row)
    loader.check_budget(settings.last_step)
    loader.check_cache()
    return loader


def _checkpointer(output: Path, settings: TrainSettings, ranks: Ranks) -> Checkpointer:
    saving = settings.checkpoint
    mirror = None
    if saving.mirror is not None and ranks.is_first:
        mirror = Mirror(saving.mirror, keep=saving.keep, permanent_steps=saving.permanent_steps)
    return Checkpointer(output / "checkpoints", saving, ranks.checkpoint_group, mirror)


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
    _check_domains(settings, manifests[0])
    rows = heldout_rows(settings.data, manifests, readers)
    if rows is None:
        LOGGER.warning("no remainder shard and no data.heldout: no held-out loss will be measured")
        return None
    return Heldout(
        cut_rows(rows, settings.model.sequence_length),
        manifests[0],
        ranks,
        tokenizer=settings.data.tokenizer,
        micro_batch_sequences=settings.micro_batch_sequences,
    )


def _check_domains(settings: TrainSettings, manifest: ShardManifest) -> None:
    if settings.observe.domain_interval_steps and (
        manifest.sequence_length != settings.model.sequence_length
    ):
        raise ValueError(
            f"observe.domain_interval_steps = {settings.observe.domain_interval_steps}: domains "
            f"are known for whole rows of {manifest.sequence_length} tokens only; pass 0, or "
            f"model.sequence_length={manifest.sequence_length}"
        )


def _build_model(settings: TrainSettings, ranks: Ranks, *, fresh: bool) -> OpenLM:
    model = build(settings.model, precision=settings.precision)
    spread(model, settings, ranks)
    model.to_empty(device=ranks.device)
    if fresh and settings.initial_weights is not None:
        take_weights(model, settings, ranks)
    else:
        initialize(model, seed=settings.seed)
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


def _announce(state: TrainState) -> None:
    settings = state.settings
    if state.ranks.is_first:
        LOGGER.info(
            "training %s: %s weights, steps %s to %s of %s tokens each, %s on %s x %s",
            settings.scale,
            f"{settings.model.num_parameters():,}",
            state.step,
            settings.last_step,
            f"{settings.tokens_per_step:,}",
            settings.precision,
            state.ranks.num_ranks,
            state.ranks.device.type,
        )
