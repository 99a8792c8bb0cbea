"""The output of a run: its stages in order, and what they decided together."""

from dataclasses import dataclass
from typing import Any

from dclm_spark.engine.manifests import StageOutput


@dataclass(kw_only=True)
class RunProgress:
    """What a run has committed so far; a stage that has not ended, or is not asked for, is None."""

    documents: StageOutput | None = None
    deduplicated: StageOutput | None = None
    decontaminated: StageOutput | None = None
    # Sampled pairs, precision and cluster sizes: see `dclm_spark.dedup.evidence`.
    dedup_evidence: dict[str, Any] | None = None
    scores: StageOutput | None = None
    threshold: float | None = None
    encoded: StageOutput | None = None
    shards: StageOutput | None = None
    shard_manifest: dict[str, Any] | None = None

    @property
    def judging(self) -> list[StageOutput]:
        """The stages that give fates, in order."""
        every = (self.documents, self.deduplicated, self.decontaminated, self.encoded)
        return [stage for stage in every if stage is not None]

    def finished(self) -> "RunOutput":
        """Return the output of a run whose stages have all ended."""
        needed = ("documents", "deduplicated", "encoded", "shards", "shard_manifest")
        assert all(getattr(self, name) is not None for name in needed)
        return RunOutput(**vars(self))


@dataclass(frozen=True, kw_only=True)
class RunOutput:
    """The stages that a run committed, in order, the quality threshold used, the shard manifest."""

    documents: StageOutput
    deduplicated: StageOutput
    decontaminated: StageOutput | None
    dedup_evidence: dict[str, Any]
    scores: StageOutput | None
    threshold: float | None
    encoded: StageOutput
    shards: StageOutput
    shard_manifest: dict[str, Any]

    @property
    def candidates(self) -> StageOutput:
        """The stage whose kept documents the quality filter chooses from."""
        return self.decontaminated or self.deduplicated

    @property
    def judging(self) -> list[StageOutput]:
        """The stages that give fates, in order."""
        return RunProgress(**vars(self)).judging

    @property
    def stages(self) -> list[StageOutput]:
        """The stages that ran, in order."""
        *before, encoded = self.judging
        return [*before, *([self.scores] if self.scores else []), encoded, self.shards]
