"""Which differing groups carry the difference between models: ablations, losses by provenance.

Small models are trained, as in a ranking, on both corpora and, for each of the largest differing
groups, on each corpus with the group as the other has it. Nothing here needs Spark.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.causes.difference import (
    DIMENSIONS,
    DOCUMENTS,
    REST,
    Difference,
    read_difference,
    write_difference,
)
from dclm_spark.causes.effects import FIRST, SECOND, Effects, effects, first_with, second_with
from dclm_spark.causes.provenance_losses import (
    ROWS_PER_GROUP_OF_DOCUMENTS,
    group_keys,
    mean_loss,
    rows_of_groups,
)
from dclm_spark.errors import InputError, SettingError
from dclm_spark.ranking.bootstrap import RecipeRun, metrics_of
from dclm_spark.ranking.budgets.exchange import exchanged
from dclm_spark.ranking.model_runs import RankedRun
from dclm_spark.ranking.options import ModelSettings
from dclm_spark.ranking.reliability.policy import primary_metric
from dclm_spark.ranking.train_models import RankedModels, ranked_models
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.model import load
from dclm_spark.train.scales import scale
from udfs import storage
from udfs.storage.parquet import read_table

LOGGER = logging.getLogger("dclm_spark")
# A group of fewer of the corpora's tokens moves no small model.
SMALLEST_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class DocumentGroup:
    """Documents that are exchanged together: what they are called, and which they are."""

    label: str
    doc_ids: tuple[bytes, ...]


def explain_difference(settings: ModelSettings, dimension: str, number: int) -> list[str]:
    """Train models on the largest groups of the comparison in `settings.output`, for its page.

    Returns what they say, and where the page is. Raises InputError where nothing was compared.
    """
    folder = storage.absolute(settings.output)
    found = read_difference(folder)
    groups = chosen_groups(found, storage.join(folder, DOCUMENTS), dimension, number)
    settings = replace(settings, output=storage.join(folder, "models"))
    told = models_of_groups(found.manifests, groups, settings)
    page = write_difference(found, folder, told)
    return [*told["conclusions"], f"open {page}"]


def chosen_groups(
    found: Difference, documents: str, dimension: str, number: int
) -> list[DocumentGroup]:
    """Return the groups of a dimension with the most differing tokens, at most `number`.

    `documents` is the table of differing documents. Of rules, what one run took and what the other
    took are groups of their own; of other dimensions all kinds are one. Raises SettingError for a
    dimension that there is not, InputError where no group is large enough.
    """
    if dimension not in DIMENSIONS:
        raise SettingError(f"--by {dimension}: expected one of {', '.join(DIMENSIONS)}")
    sizes: dict[tuple[str, str], int] = {}
    for one in found.groups[dimension]:
        key = (one.name, one.kind if dimension == "rule" else "")
        sizes[key] = sizes.get(key, 0) + one.differing_tokens
    least = SMALLEST_SHARE * min(total.tokens for total in found.totals)
    large = [key for key, size in sizes.items() if size >= least and key[0] != REST]
    if not large:
        raise InputError(
            f"--by {dimension}: no group differs by {least:,.0f} tokens ({SMALLEST_SHARE:.0%} of "
            "the smaller corpus), so there is nothing for models to tell"
        )
    large.sort(key=lambda key: (-sizes[key], key))
    ids = _ids(documents, DIMENSIONS[dimension], large[:number])
    return [
        DocumentGroup(label=", ".join(filter(None, (key[0] or "(none)", key[1]))), doc_ids=of_key)
        for key, of_key in zip(large[:number], ids, strict=True)
    ]


def _ids(documents: str, column: str, keys: Sequence[tuple[str, str]]) -> list[tuple[bytes, ...]]:
    found: list[list[bytes]] = [[] for _ in keys]
    for uri in sorted(storage.list_files(documents)):
        if not uri.endswith(".parquet"):
            continue
        for batch in read_table(uri, ["doc_id", column, "kind"]):
            names = pc.fill_null(batch.column(column), "")
            for place, (name, kind) in enumerate(keys):
                mask = pc.equal(names, name)
                if kind:
                    mask = pc.and_(mask, pc.equal(batch.column("kind"), kind))
                found[place] += batch.column("doc_id").filter(mask).to_pylist()
    return [tuple(ids) for ids in found]


def models_of_groups(
    manifests: tuple[str, str], groups: Sequence[DocumentGroup], settings: ModelSettings
) -> dict[str, Any]:
    """Train and measure models below `settings.output`; return conclusions, effects and losses.

    Every model reads the same number of tokens, without `settings.tokens` as many as the smallest
    of the corpora has, so that none repeats. The deciding metric is that of a ranking.
    """
    settings = replace(settings, output=storage.absolute(settings.output))
    corpora = _corpora(manifests, groups, Path(settings.output) / "exchanged")
    settings = _with_corpora(settings, corpora)
    ranked = ranked_models(settings)
    labels = [group.label for group in groups]
    found = [
        _effects(list(runs), labels, cell)
        for cell, runs in groupby(ranked.recorded, lambda run: run.cell)
    ]
    return {
        "conclusions": [line for one in found for line in conclusions(one)],
        "effects": [asdict(one) for one in found],
        "losses": _losses(manifests, groups, ranked),
        "leaderboard": storage.join(settings.output, "leaderboard.html"),
    }


def _corpora(
    manifests: tuple[str, str], groups: Sequence[DocumentGroup], folder: Path
) -> dict[str, str]:
    """Return the manifests of both corpora and of each with one group as the other has it."""
    first, second = manifests
    none = pa.array([], pa.binary())
    found = {
        FIRST: exchanged(first, second, none, folder),
        SECOND: exchanged(second, first, none, folder),
    }
    for number, group in enumerate(groups, 1):
        ids = pa.array(group.doc_ids, pa.binary())
        found[first_with(number)] = exchanged(first, second, ids, folder)
        found[second_with(number)] = exchanged(second, first, ids, folder)
    return {name: str(manifest) for name, manifest in found.items()}


def _with_corpora(settings: ModelSettings, corpora: Mapping[str, str]) -> ModelSettings:
    given = tuple(f"{name}={manifest}" for name, manifest in corpora.items())
    tokens = settings.tokens
    if not tokens and settings.targets == (None,):
        sizes = [read_manifest(manifest) for manifest in corpora.values()]
        smallest = min(one.num_sequences * one.sequence_length for one in sizes)
        tokens = tuple(min(scale(name).tokens, smallest) for name in settings.scales)
        LOGGER.info("every model reads %s tokens", " or ".join(f"{one:,}" for one in tokens))
    return replace(settings, corpora=given, tokens=tokens)


def _effects(runs: list[RecipeRun], labels: Sequence[str], cell: str) -> Effects:
    metrics = {metric.name: metric for metric in metrics_of(runs)}
    chosen = metrics[primary_metric(list(metrics))]
    recipes, seeds = [run.recipe for run in runs], [run.seed for run in runs]
    return effects(chosen, recipes, seeds, labels, cell)


def conclusions(found: Effects) -> list[str]:
    """Say in sentences who leads, and which groups carry the lead."""
    leader, other = (FIRST, SECOND) if found.lead > 0 else (SECOND, FIRST)
    where = f"{found.cell}, {found.metric}"
    if found.low <= 0 <= found.high:
        return [
            f"{where}: {leader} leads by {abs(found.lead):.4f}, not distinguishable from none "
            f"({found.low:+.4f} to {found.high:+.4f}); parts of it mean little."
        ]
    lines = [f"{where}: {leader} is better than {other} by {abs(found.lead):.4f}."]
    carried = [part for part in found.parts if part.group in found.causes]
    if not carried:
        return [*lines, f"{where}: none of the groups is distinguishable as a cause."]
    names = "; ".join(
        f"{part.group} ({part.share:.0%})" for part in carried if part.share is not None
    )
    return [*lines, f"{where}: {leader}'s lead is carried by {names}."]


def _losses(
    manifests: tuple[str, str], groups: Sequence[DocumentGroup], ranked: RankedModels
) -> list[dict[str, Any]]:
    """Return the mean losses of both corpora's models on the documents of each group."""
    keys = {group.label: group_keys(group.doc_ids) for group in groups}
    sources = [read_manifest(path) for path in manifests]
    rows = [rows_of_groups(one, keys, ROWS_PER_GROUP_OF_DOCUMENTS) for one in sources]
    sums: dict[tuple[str, int, int], list[float]] = {}
    counts: dict[tuple[str, int, int], int] = {}
    for run in _last_cell(ranked.runs):
        model, settings = load(run.folder / "model", device=_device())
        for corpus, name in enumerate((FIRST, SECOND)):
            for place, one in enumerate(rows[corpus]):
                key = (run.corpus.name, corpus, place)
                loss, counts[name, corpus, place] = mean_loss(
                    model, one, settings.model.sequence_length
                )
                sums.setdefault(key, []).append(loss)
    return [
        {
            "group": one.group,
            "corpus": name,
            "held_out": one.held_out,
            "num_tokens": counts[name, corpus, place],
            "first": _mean(sums[FIRST, corpus, place]),
            "second": _mean(sums[SECOND, corpus, place]),
        }
        for corpus, name in enumerate((FIRST, SECOND))
        for place, one in enumerate(rows[corpus])
    ]


def _last_cell(runs: Sequence[RankedRun]) -> list[RankedRun]:
    """Return the runs on the whole corpora of the largest scale."""
    last = runs[-1].cell.label
    return [run for run in runs if run.cell.label == last and run.corpus.name in (FIRST, SECOND)]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
