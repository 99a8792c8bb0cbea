"""Cells of a ranking: one scale at one budget, standing for one target run."""

import math
from dataclasses import dataclass, replace

from dclm_spark.errors import SettingError
from dclm_spark.ranking.options import ModelSettings, named_values
from dclm_spark.ranking.prepared import Corpus
from dclm_spark.settings import override
from dclm_spark.train.scales import TrainSettings, scale


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Models that are compared with one another: equal but for corpus and seed.

    `target_tokens` is the budget of the run that they stand for; None where none is named.
    """

    settings: TrainSettings
    target_tokens: int | None = None

    @property
    def scale(self) -> str:
        """Return the name of the scale."""
        return self.settings.scale

    @property
    def tokens(self) -> int:
        """Return the tokens that each model of the cell is trained on."""
        return self.settings.last_step * self.settings.tokens_per_step

    @property
    def label(self) -> str:
        """Return what rows of this cell are told by: 80m, or 80m-for-130000000000."""
        target = self.target_tokens
        return self.scale if target is None else f"{self.scale}-for-{target}"


def cells_of(
    settings: ModelSettings, sequence_length: int, defaults: tuple[str, ...] = ()
) -> list[Cell]:
    """Return a cell for each scale and target, scales first; `defaults` change the scale `tiny`."""
    budgets = (
        settings.tokens if len(settings.tokens) > 1 else settings.tokens * len(settings.scales)
    )
    models = [
        _model(name, settings, budgets[place] if budgets else None, defaults)
        for place, name in enumerate(settings.scales)
    ]
    return [
        Cell(settings=fitted(model, sequence_length), target_tokens=target)
        for model in models
        for target in settings.targets
    ]


def fitted(settings: TrainSettings, sequence_length: int) -> TrainSettings:
    """Return a scale for sequences of another length, with the same tokens in a step.

    Nothing is held out of the corpus: all corpora are measured on the same outside texts.
    """
    sequences = max(1, settings.tokens_per_step // sequence_length)
    micro = max(1, settings.micro_batch_sequences * settings.model.sequence_length)
    return replace(
        settings,
        model=replace(settings.model, sequence_length=sequence_length),
        data=replace(settings.data, heldout_sequences=0),
        batch_sequences=sequences,
        micro_batch_sequences=min(sequences, max(1, micro // sequence_length)),
    )


def _model(
    name: str, settings: ModelSettings, tokens: int | None, defaults: tuple[str, ...]
) -> TrainSettings:
    assignments = (*(defaults if name == "tiny" else ()), *settings.training)
    model = override(scale(name), assignments)
    if tokens is None or tokens == model.tokens:
        return model
    short = replace(model, tokens=tokens)
    if any(one.startswith("schedule.warmup_steps") for one in assignments):
        return short
    # The warm-up is a share of the run: a short run would else be warm-up alone.
    warmup = max(1, round(model.schedule.warmup_steps * short.num_steps / model.num_steps))
    return replace(short, schedule=replace(model.schedule, warmup_steps=warmup))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How often a corpus is read in a cell and at its target, and what a proxy may read of it.

    `unique_tokens` is what a proxy reads by turns; None: the whole corpus.
    """

    corpus: str
    proxy_passes: float
    target_passes: float | None = None
    unique_tokens: int | None = None


def whole_sizes(settings: ModelSettings, corpora: tuple[Corpus, ...]) -> dict[str, int]:
    """Return the tokens that each corpus has at the target: what was declared, else its shards'.

    Raises SettingError for a corpus that is not there, no number, or less than the shards hold.
    """
    sizes = {corpus.name: corpus.num_tokens * corpus.part for corpus in corpora}
    for name, value in named_values("--corpus-tokens", settings.corpus_tokens).items():
        if name not in sizes:
            raise SettingError(f"--corpus-tokens {name}: known corpora are {', '.join(sizes)}")
        try:
            given = int(float(value))
        except (ValueError, OverflowError) as error:
            raise SettingError(
                f"--corpus-tokens {name}={value}: expected a number, such as 3.8e12"
            ) from error
        if given < sizes[name]:
            raise SettingError(
                f"--corpus-tokens {name}={value}: its shards alone hold {sizes[name]:,} tokens; "
                "expected what the whole corpus has, of which they are a sample"
            )
        sizes[name] = given
    return sizes


def reading(cell: Cell, corpus: Corpus, whole: int, most_passes: float) -> Reading:
    """Return how a proxy reads a corpus so that it repeats as often as the target run would.

    The target reads `whole` tokens target_tokens / whole times; a proxy of fewer tokens reads in
    the same proportion fewer unique ones. Raises SettingError for a proxy that repeats more than
    `most_passes` times what the target would not, or that the shards at hand cannot serve.
    """
    here = corpus.num_tokens * corpus.part
    if cell.target_tokens is None:
        passes = cell.tokens / here
        # A part is read again on purpose: it is the control of repetition.
        if passes > most_passes and corpus.part == 1:
            raise SettingError(_too_often(cell, corpus, passes, most_passes))
        return Reading(corpus=corpus.name, proxy_passes=max(1.0, passes))
    _check_target(cell)
    at_target = cell.target_tokens / whole
    passes = max(1.0, at_target)
    unique = int(cell.tokens / passes)
    if unique > here:
        raise SettingError(
            f"{corpus.name}: a proxy of {cell.tokens:,} tokens needs {unique:,} unique ones to "
            f"repeat as often as the target ({passes:.3g} times), its shards hold {here:,}; give "
            "more shards, or lower --tokens"
        )
    return Reading(
        corpus=corpus.name,
        proxy_passes=passes,
        target_passes=at_target,
        unique_tokens=unique if at_target > 1.0 else None,
    )


def _check_target(cell: Cell) -> None:
    assert cell.target_tokens is not None
    if cell.target_tokens < cell.tokens:
        raise SettingError(
            f"--target-tokens {cell.target_tokens}: less than the {cell.tokens} that each proxy of "
            f"{cell.scale} reads; a proxy is smaller than its target: lower --tokens"
        )


def _too_often(cell: Cell, corpus: Corpus, passes: float, most_passes: float) -> str:
    return (
        f"{corpus.name}: {cell.tokens:,} tokens ({cell.scale}) read its {corpus.num_tokens:,} "
        f"{passes:.3g} times, so it may lose by repetition alone. Lower --tokens, or name the run "
        "that the ranking is for by --target-tokens or --target-scale (proxies then repeat as "
        f"often as it), or allow it: --max-passes {math.ceil(passes)} (now {most_passes:g})"
    )
