"""From committed manifests to the summary that the report is written from."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.monitoring.lost_files import lost_files
from dclm_spark.engine.monitoring.run_clock import RunClock
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.engine.run_record import RunIdentity
from dclm_spark.html_pages.charts import Histogram, Limit
from dclm_spark.recipes.deciding import has_expressions
from dclm_spark.recipes.recipe import Recipe, left_out
from dclm_spark.report.column_charts import column_histograms, rule_steps, value_counts
from dclm_spark.report.corpus_counts import domain_counts, language_counts
from dclm_spark.report.dedup_summary import corpus_tokens, deduplication, duplicate_pairs
from dclm_spark.report.measured import measured_decontamination
from dclm_spark.report.rule_facts import (
    describe_rule,
    limit_of_value,
    rule_limits,
    signal_limits,
    what_to_do,
)
from dclm_spark.report.stage_rows import stage_rows
from dclm_spark.report.summary import FunnelStep, RuleCount, RunSummary, SamplePage, ShardSummary
from dclm_spark.settings import to_yaml
from dclm_spark.shard_format import INDEX
from dclm_spark.stages.decontaminate import documents_by_task
from dclm_spark.stages.documents import failed_views, missed_domains, prescreened
from udfs.rules.families import rules_of
from udfs.units.statistics import HISTOGRAM_EDGES, documents_by_fate, kept_text_bytes


def summarize(
    run: RunProgress, recipe: Recipe, identity: RunIdentity, clock: RunClock, failure: str = ""
) -> RunSummary:
    """Return the summary of a run: counts from its committed manifests alone, times by `clock`.

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
        started=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(clock.first_started)),
        seconds=clock.seconds,
        drivers=clock.drivers,
        documents_in=sum(fates[0].values()) if fates else 0,
        kept=fates[-1].get("kept", 0) if fates else 0,
        dropped=sum(stage.get("dropped", 0) for stage in fates),
        quarantined=sum(stage.get("quarantined", 0) for stage in fates),
        stages=tuple(stage_rows(run, facts, clock.wall())),
        funnel=tuple(_funnel(run, facts, recipe)),
        rules=tuple(_rules(facts, recipe)),
        languages=tuple(language_counts(facts)) if fates else (),
        domains=tuple(domain_counts(facts)) if fates else (),
        histograms=(*_histograms(facts, run, recipe), *column_histograms(run.signals)),
        values=value_counts(run.signals),
        samples=tuple(_samples(facts, recipe)),
        duplicates=tuple(duplicate_pairs(run)),
        deduplication=deduplication(run, recipe, facts),
        record_types=_record_types(run.documents) if run.documents else {},
        shards=None if run.shard_manifest is None else shard_summary(run.shard_manifest),
        facts=_further_facts(run) | measured_decontamination(recipe.decontamination),
        failure=failure,
        left_out=left_out(recipe),
        lost_files=tuple(lost_files(run.documents)) if run.documents else (),
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
        told = describe_rule(recipe, "documents", label)
        steps.append(FunnelStep(label=label, documents=left, text_bytes=size, description=told))
    for stage in run.judging[1:]:
        stage_facts = facts[stage.stage]
        if stage.stage == "select" and has_expressions(recipe):
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


def _rules(facts: Mapping[str, Any], recipe: Recipe) -> list[RuleCount]:
    return [
        RuleCount(
            stage=entry["stage"],
            rule=entry["rule"],
            documents=entry["documents"],
            threshold=(threshold := stage_facts["thresholds"].get(entry["rule"])),
            fate=entry["fate"],
            description=describe_rule(recipe, entry["stage"], entry["rule"], entry["fate"]),
            limits=rule_limits(recipe, entry["rule"], threshold),
            advice=what_to_do(entry["rule"], entry["fate"]),
        )
        for stage_facts in facts.values()
        for entry in stage_facts["counts"]
        if entry["rule"]
    ]


def _histograms(facts: Mapping[str, Any], run: RunProgress, recipe: Recipe) -> list[Histogram]:
    """Return each signal at the first stage that has it, of the documents that came there."""
    found: dict[str, Histogram] = {}
    for stage, stage_facts in facts.items():
        for name, counts in stage_facts["histograms"].items():
            # A stage that did not run has counted nothing.
            if name in found or not any(counts):
                continue
            limits = signal_limits(recipe, name)
            if name == "quality_score" and run.minimum_score is not None:
                limits = (Limit(side="minimum", value=run.minimum_score),)
            found[name] = Histogram(
                name=name,
                stage=stage,
                edges=tuple(float(edge) for edge in HISTOGRAM_EDGES[name]),
                counts=tuple(counts),
                kept=tuple(stage_facts["kept_histograms"][name]),
                limits=limits,
            )
    return list(found.values())


def _samples(facts: Mapping[str, Any], recipe: Recipe) -> list[SamplePage]:
    # Pages that stayed to the end, or to where the run ended.
    last = list(facts.values())[-1] if facts else None
    return [
        _sample(sample, recipe)
        for stage_facts in facts.values()
        for sample in stage_facts["samples"]
        if sample["fate"] != "kept" or stage_facts is last
    ]


def _sample(sample: Mapping[str, Any], recipe: Recipe) -> SamplePage:
    limits = rule_limits(recipe, sample["rule"], sample["threshold"])
    texts = ("url", "error", "stage", "warc_path", "language", "charset", "charset_source")
    return SamplePage(
        rule=sample["rule"],
        fate=sample["fate"],
        doc_id=sample["doc_id"],
        warc_offset=sample.get("warc_offset"),
        value=sample["value"],
        threshold=sample["threshold"],
        limit_side=limit_of_value(limits, sample["value"]),
        text=sample["text"],
        **{name: sample.get(name) or "" for name in texts},
    )


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
        format=manifest["format"],
    )
