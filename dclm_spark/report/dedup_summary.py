"""What the summary of a run says of deduplication: figures, precision, domains, pairs."""

from collections.abc import Mapping
from typing import Any

from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.report.corpus_counts import TOP_DOMAINS
from dclm_spark.report.summary import (
    BandSummary,
    DedupPrecision,
    DedupSummary,
    DomainCount,
    DuplicatePair,
    InformationLoss,
)
from udfs.dedup.minhash import candidate_probability
from udfs.units.statistics import kept_text_bytes

_CURVE_POINTS = 50


def corpus_tokens(manifest: Mapping[str, Any]) -> int:
    """Return the tokens of a shard manifest without the padding."""
    return int(manifest["num_tokens"] - manifest["num_padding_tokens"])


def duplicate_pairs(run: RunProgress) -> list[DuplicatePair]:
    """Return the sampled pairs of a removed document and its partner."""
    return [
        DuplicatePair(
            kind=f"{pair['rule']}, value {pair['value']:.3g} against {pair['threshold']:.3g}",
            similarity=pair["containment" if pair["rule"] == "contained_ngrams" else "jaccard"],
            left_url=pair["partner_url"],
            left_text=pair["partner_text"],
            right_url=pair["url"],
            right_text=pair["text"],
        )
        for pair in (run.dedup_evidence or {"pairs": ()})["pairs"]
    ]


def deduplication(
    run: RunProgress, recipe: Recipe, facts: Mapping[str, Any]
) -> DedupSummary | None:
    """Return the figures of deduplication, None where the run ended before its evidence."""
    found = run.dedup_evidence
    if found is None:
        return None
    stage = facts["deduplicate"]
    domains = [
        DomainCount(domain=name, documents=documents, kept=kept)
        for name, documents, kept, _ in stage["domains"]
        if kept < documents
    ]
    domains.sort(key=lambda one: ((one.kept or 0) - one.documents, one.domain))
    dropped = [entry for entry in stage["counts"] if entry["fate"] == "dropped"]
    size = sum(entry["text_bytes"] for entry in dropped)
    if recipe.deduplication.mode == "remove":
        size += found["paragraphs"]["text_bytes"]
    tokens = corpus_tokens(run.shard_manifest) if run.shard_manifest else 0
    selected = kept_text_bytes(facts["select"]) if run.tokenized else 0
    return DedupSummary(
        method=recipe.deduplication.method_name,
        mode=recipe.deduplication.mode,
        documents_removed=sum(entry["documents"] for entry in dropped),
        documents_shortened=found["paragraphs"]["documents"],
        paragraphs_removed=found["paragraphs"]["paragraphs"],
        text_bytes_removed=size,
        tokens_removed=round(size * tokens / max(selected, 1)),
        tokens_new=tokens,
        earlier=recipe.deduplication.earlier,
        precision=tuple(DedupPrecision(**entry) for entry in found["precision"]),
        clusters=tuple((rule, size, clusters) for rule, size, clusters in found["clusters"]),
        domains=tuple(domains[:TOP_DOMAINS]),
        losses=tuple(InformationLoss(**group) for group in found["lost"]["groups"]),
        losses_sampled_one_in=found["lost"]["one_in"],
        bands=_bands(recipe.deduplication.method),
    )


def _bands(method: DedupMethod) -> BandSummary | None:
    if not isinstance(method, NearDuplicateSettings):
        return None
    shape = method.signatures
    points = (place / _CURVE_POINTS for place in range(_CURVE_POINTS + 1))
    return BandSummary(
        bands=shape.bands,
        rows=shape.rows,
        threshold=method.threshold,
        recall=candidate_probability(method.threshold, shape),
        curve=tuple((point, candidate_probability(point, shape)) for point in points),
    )
