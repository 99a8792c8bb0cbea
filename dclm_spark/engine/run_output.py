"""The output of a run: its stages in order, and what they decided together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dclm_spark.engine.manifests import StageOutput


@dataclass(kw_only=True)
class RunProgress:
    """What a run has committed so far; a stage that has not ended, or is not asked for, is None."""

    documents: StageOutput | None = None
    # What the classifier keeps before copies are looked for.
    filtered: StageOutput | None = None
    deduplicated: StageOutput | None = None
    decontaminated: StageOutput | None = None
    # Sampled pairs, precision and cluster sizes: see `dclm_spark.dedup.evidence`.
    dedup_evidence: dict[str, Any] | None = None
    scored: StageOutput | None = None
    # The stages of a recipe's own signals, by name.
    signals: Mapping[str, StageOutput] = field(default_factory=dict)
    # The lowest score of a document that is kept; None without a quality filter.
    minimum_score: float | None = None
    # Gives the fates, without reading texts.
    selected: StageOutput | None = None
    # Has the token ids of the documents that were selected.
    tokenized: StageOutput | None = None
    shards: StageOutput | None = None
    shard_manifest: dict[str, Any] | None = None

    @property
    def candidates(self) -> StageOutput | None:
        """The stage whose kept documents the select stage chooses from."""
        return self.decontaminated or self.deduplicated

    @property
    def judging(self) -> list[StageOutput]:
        """The stages that give fates, in order."""
        before = (self.documents, self.filtered, self.deduplicated, self.decontaminated)
        return [stage for stage in (*before, self.selected) if stage is not None]

    @property
    def in_order(self) -> list[StageOutput]:
        """The stages that ended, in order; those that score come before what decides by them."""
        signals = list(self.signals.values())
        first = [self.documents, *([self.scored, self.filtered] if self.filtered else [])]
        middle = [self.deduplicated, self.decontaminated]
        last = [*([] if self.filtered else [self.scored]), *signals, self.selected]
        every = [*first, *middle, *last, self.tokenized, self.shards]
        return [stage for stage in every if stage is not None]

    def finished(self) -> "RunOutput":
        """Return the output of a run whose stages have all ended."""
        needed = ("documents", "deduplicated", "selected", "tokenized", "shards", "shard_manifest")
        assert all(getattr(self, name) is not None for name in needed)
        return RunOutput(**vars(self))


@dataclass(frozen=True, kw_only=True)
class RunOutput:
    """The stages that a run committed, in order, the lowest score kept, the shard manifest."""

    documents: StageOutput
    filtered: StageOutput | None
    deduplicated: StageOutput
    decontaminated: StageOutput | None
    dedup_evidence: dict[str, Any]
    scored: StageOutput | None
    signals: Mapping[str, StageOutput]
    minimum_score: float | None
    selected: StageOutput
    tokenized: StageOutput
    shards: StageOutput
    shard_manifest: dict[str, Any]

    @property
    def candidates(self) -> StageOutput:
        """The stage whose kept documents the select stage chooses from."""
        return self.decontaminated or self.deduplicated

    @property
    def judging(self) -> list[StageOutput]:
        """The stages that give fates, in order."""
        return RunProgress(**vars(self)).judging

    @property
    def stages(self) -> list[StageOutput]:
        """The stages that ran, in order."""
        return RunProgress(**vars(self)).in_order
