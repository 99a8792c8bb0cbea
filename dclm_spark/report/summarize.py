"""From committed manifests to the summary that the report is written from."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import RunIdentity
from dclm_spark.html_pages.charts import Histogram
from dclm_spark.recipes.deciding import has_expressions
from dclm_spark.recipes.recipe import Recipe, left_out
from dclm_spark.report.column_charts import column_histograms, rule_steps, value_counts
from dclm_spark.report.dedup_summary import (
    TOP_DOMAINS,
    corpus_tokens,
    deduplication,
    duplicate_pairs,
)
from dclm_spark.report.measured import measured_decontamination
from dclm_spark.report.summary import (
    DomainCount,
    FunnelStep,
    LanguageCount,
    RuleCount,
    RunSummary,
    SamplePage,
    ShardSummary,
    StageSummary,
)
from dclm_spark.settings import to_yaml
from dclm_spark.shard_format import INDEX
from dclm_spark.stages.decontaminate import documents_by_task
from dclm_spark.stages.documents import failed_views, missed_domains, prescreened
from dclm_spark.stages.run_output import RunProgress
from udfs.rules.families import rules_of
from udfs.units.statistics import HISTOGRAM_EDGES, documents_by_fate, kept_text_bytes

# Signals whose threshold is an upper bound: kept documents lie below it.
_KEPT_BELOW = {"word_removal_fraction", "contained_ngram_fraction"}
_RULE_OF_SIGNAL = {
    "language_score": "language",
    "num_words": "page_length",
    "word_removal_fraction": "word_removal",
    "contained_ngram_fraction": "contained_ngrams",
    "quality_score": "quality_score",
}


def summarize(
    run: RunProgress, recipe: Recipe, identity: RunIdentity, started: float, failure: str = ""
) -> RunSummary:
    """Return the summary of a run, from its committed manifests alone.

    `failure` says why it ended before its last stage; what it had committed is summed up.
    """
    facts = _statistics(run)
    fates = [documents_by_fate(stage_facts) for stage_facts in facts.values()]
    return RunSummary(
        title="Curation run",
        recipe_name=recipe.name,
        recipe_hash=identity.recipe_hash,
        recipe_yaml=to_yaml(recipe),
        versions=identity.versions,
        commit=identity.commit,
        started=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started)),
        seconds=time.time() - started,
        documents_in=sum(fates[0].values()) if fates else 0,
        kept=fates[-1].get("kept", 0) if fates else 0,
        dropped=sum(stage.get("dropped", 0) for stage in fates),
        quarantined=sum(stage.get("quarantined", 0) for stage in fates),
        stages=tuple(_stage_summaries(run, facts)),
        funnel=tuple(_funnel(run, facts, recipe)),
        rules=tuple(_rules(facts)),
        languages=tuple(_languages(facts["documents"])) if fates else (),
        domains=tuple(
            DomainCount(domain=name, documents=seen, kept=kept, text_bytes_kept=size)
            for name, seen, kept, size in facts["documents"]["domains"][:TOP_DOMAINS]
        )
        if fates
        else (),
        histograms=(*_histograms(facts, run), *column_histograms(run.signals)),
        values=value_counts(run.signals),
        samples=tuple(_samples(facts)),
        duplicates=tuple(duplicate_pairs(run)),
        deduplication=deduplication(run, recipe, facts),
        record_types=_record_types(run.documents) if run.documents else {},
        shards=None if run.shard_manifest is None else shard_summary(run.shard_manifest),
        facts=_further_facts(run) | measured_decontamination(recipe.decontamination),
        failure=failure,
        left_out=left_out(recipe),
    )


def _statistics(run: RunProgress) -> dict[str, Any]:
    """Return the statistics of each stage that gives fates.

    Those of select are counted by tokenize, which has the texts of what select decided on.
    """
    facts = {stage.stage: stage.totals for stage in run.judging}
    if run.selected and run.tokenized:
        facts[run.selected.stage] = run.tokenized.totals
    return facts


def _further_facts(run: RunProgress) -> dict[str, str]:
    """Return what the headline table says beside counts, by label."""
    further = {}
    if run.decontaminated is not None:
        by_task = documents_by_task(run.decontaminated)
        found = ", ".join(f"{task} {count:,}" for task, count in by_task.items())
        further["Documents that quote evaluation sets"] = found or "none"
        sources = sum(
            facts.get("source_material_documents", 0) for _, facts in run.decontaminated.facts()
        )
        if sources:
            further["Documents with passages of evaluation sets alone, kept"] = f"{sources:,}"
    if run.documents is None:
        return further
    cut = run.documents.totals.get("domains_cut", 0)
    if cut:
        further["Documents of a domain, beyond those counted"] = f"at most {cut:,}"
    missed = missed_domains(run.documents)
    if missed:
        further["Pages of banned domains that quirks=dclm-2024 lets through"] = f"{missed:,}"
    if looks := prescreened(run.documents):
        audit = f"{looks['audited']:,} more were parsed, {looks['audited_kept']:,} of them kept"
        further["Pages dropped unparsed for their language"] = f"{looks['dropped']:,}; {audit}"
    for view, count in failed_views(run.documents).items():
        further[f"Pages without a text by {view}"] = f"{count:,}"
    return further


def _stage_summaries(run: RunProgress, facts: Mapping[str, Any]) -> list[StageSummary]:
    judging = [_stage_summary(stage, run, facts[stage.stage]) for stage in run.judging]
    if run.tokenized is None or run.candidates is None:
        return judging
    tokenized = replace(
        judging[-1],
        name=run.tokenized.stage,
        documents_in=judging[-1].kept,
        dropped=0,
        rules={},
        bytes_in=run.candidates.text_bytes(),
        seconds=run.tokenized.total("seconds"),
        cpu_seconds=run.tokenized.total("cpu_seconds"),
    )
    return [*judging, tokenized]


def _stage_summary(stage: StageOutput, run: RunProgress, facts: Mapping[str, Any]) -> StageSummary:
    fates = documents_by_fate(facts)
    return StageSummary(
        name=stage.stage,
        documents_in=sum(fates.values()),
        kept=fates.get("kept", 0),
        dropped=fates.get("dropped", 0),
        quarantined=fates.get("quarantined", 0),
        text_bytes_kept=kept_text_bytes(facts),
        seconds=stage.total("seconds"),
        cpu_seconds=stage.total("cpu_seconds"),
        bytes_in=_bytes_in(stage, run),
        rules={entry["rule"]: entry["documents"] for entry in facts["counts"] if entry["rule"]},
    )


def _bytes_in(stage: StageOutput, run: RunProgress) -> int | None:
    """Return the text bytes that a stage read; documents reads HTML instead, select no text."""
    if stage in (run.documents, run.selected):
        return None
    return run.judging[run.judging.index(stage) - 1].text_bytes()


def _funnel(run: RunProgress, facts: Mapping[str, Any], recipe: Recipe) -> list[FunnelStep]:
    """Return what is left after each step, in the order in which the recipe applies them."""
    rules = rules_of(recipe.heuristics.rules)
    if run.documents is None:
        return []
    counts = facts["documents"]["counts"]
    left = sum(entry["documents"] for entry in counts)
    size = sum(entry["text_bytes"] for entry in counts)
    steps = [FunnelStep(label="records read", documents=left, text_bytes=size)]
    grouped: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for entry in counts:
        if entry["fate"] == "kept":
            continue
        step = rules.index(entry["rule"]) if entry["rule"] in rules else -1
        label = entry["rule"] if step >= 0 else "reading and extraction"
        grouped[step, label][0] += entry["documents"]
        grouped[step, label][1] += entry["text_bytes"]
    for (_, label), (documents, text_bytes) in sorted(grouped.items()):
        left, size = left - documents, size - text_bytes
        steps.append(FunnelStep(label=label, documents=left, text_bytes=size))
    for stage in run.judging[1:]:
        stage_facts = facts[stage.stage]
        if stage is run.selected and has_expressions(recipe):
            steps += rule_steps(stage_facts["counts"], recipe)
            continue
        steps.append(
            FunnelStep(
                label=stage.stage,
                documents=documents_by_fate(stage_facts).get("kept", 0),
                text_bytes=kept_text_bytes(stage_facts),
            )
        )
    if run.shard_manifest is not None:
        steps[-1] = replace(steps[-1], tokens=corpus_tokens(run.shard_manifest))
    return steps


def _rules(facts: Mapping[str, Any]) -> list[RuleCount]:
    return [
        RuleCount(
            stage=entry["stage"],
            rule=entry["rule"],
            documents=entry["documents"],
            threshold=stage_facts["thresholds"].get(entry["rule"]),
            fate=entry["fate"],
        )
        for stage_facts in facts.values()
        for entry in stage_facts["counts"]
        if entry["rule"]
    ]


def _languages(facts: Mapping[str, Any]) -> list[LanguageCount]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for language, kept, count in facts["languages"]:
        totals[language][0] += count
        totals[language][1] += count if kept else 0
    return [
        LanguageCount(language=language, documents=documents, kept=kept)
        for language, (documents, kept) in sorted(totals.items(), key=lambda item: -item[1][0])
    ]


def _histograms(facts: Mapping[str, Any], run: RunProgress) -> list[Histogram]:
    histograms = []
    for stage_facts in facts.values():
        for name, counts in stage_facts["histograms"].items():
            threshold = stage_facts["thresholds"].get(_RULE_OF_SIGNAL.get(name, ""))
            if name == "quality_score":
                threshold = run.minimum_score
            side = "below" if name in _KEPT_BELOW else "above"
            histograms.append(
                Histogram(
                    name=name,
                    edges=tuple(float(edge) for edge in HISTOGRAM_EDGES[name]),
                    counts=tuple(counts),
                    threshold=threshold,
                    kept_side=side if threshold is not None else "",
                )
            )
    return histograms


def _samples(facts: Mapping[str, Any]) -> list[SamplePage]:
    # Pages that stayed to the end, or to where the run ended.
    last = list(facts.values())[-1] if facts else None
    return [
        SamplePage(
            rule=sample["rule"],
            url=sample["url"] or "",
            value=sample["value"],
            threshold=sample["threshold"],
            text=sample["text"],
            error=sample["error"] or "",
            stage=sample["stage"] or "",
        )
        for stage_facts in facts.values()
        for sample in stage_facts["samples"]
        if sample["fate"] != "kept" or stage_facts is last
    ]


def _record_types(documents: StageOutput) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for _, unit in documents.facts():
        for name, count in unit["records"].items():
            totals[name] += count
    return {name: count for name, count in totals.items() if count}


def shard_summary(manifest: Mapping[str, Any]) -> ShardSummary:
    """Return what a manifest of shards says in short."""
    unit = "num_sequences" if "num_sequences" in manifest else "num_documents"
    return ShardSummary(
        shards=sum(shard["role"] != INDEX for shard in manifest["shards"]),
        sequences=manifest[unit],
        sequence_length=manifest.get("sequence_length"),
        tokens=corpus_tokens(manifest),
        padding_tokens=manifest["num_padding_tokens"],
        bytes=sum(shard["size_bytes"] for shard in manifest["shards"]),
        tokenizer=manifest["tokenizer_sha256"][:16],
        fingerprint=manifest["fingerprint"][:16],
    )
