"""The reports of runs of several sources or languages: what the reports of these say, added up."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dclm_spark.report.summarize import shard_summary
from dclm_spark.report.summary import (
    FunnelStep,
    LanguageCount,
    RunSummary,
    SourceSummary,
)
from dclm_spark.stages.language_texts import LanguageCorpus


def summarize_sources(
    summaries: Mapping[str, RunSummary],
    manifest: Mapping[str, Any] | None,
    whole: RunSummary,
) -> RunSummary:
    """Return `whole`, the summary of a run without documents of its own, with all that is known.

    `summaries` are those of the sources that were begun. Without a `manifest` the corpus is not
    there yet.
    """
    given = summaries.values()
    rows = () if manifest is None else tuple(_row(one, summaries) for one in manifest["sources"])
    return replace(
        whole,
        documents_in=sum(one.documents_in for one in given),
        kept=sum(one.kept for one in given),
        dropped=sum(one.dropped for one in given),
        quarantined=sum(one.quarantined for one in given),
        stages=tuple(
            replace(stage, name=f"{name}: {stage.name}")
            for name, one in summaries.items()
            for stage in one.stages
        ),
        funnel=tuple(_funnel(summaries, rows)),
        rules=tuple(
            replace(rule, stage=f"{name}: {rule.stage}")
            for name, one in summaries.items()
            for rule in one.rules
        ),
        languages=_languages(summaries),
        record_types=_added(summaries),
        sources=rows,
        shards=None if manifest is None else shard_summary(manifest),
        lost_files=tuple(file for one in given for file in one.lost_files),
        skipped_files=tuple(file for one in given for file in one.skipped_files),
        left_out={
            f"sources.{name}: {key}": meaning
            for name, one in summaries.items()
            for key, meaning in one.left_out.items()
        },
    )


def _funnel(
    summaries: Mapping[str, RunSummary], rows: Sequence[SourceSummary]
) -> Iterator[FunnelStep]:
    given = summaries.values()
    if given:
        yield FunnelStep(label="records read", documents=sum(one.documents_in for one in given))
        kept = sum(one.kept for one in given)
        yield FunnelStep(label="kept by the recipes of the sources", documents=kept)
    if rows:
        documents, tokens = (
            sum(getattr(one, name) for one in rows) for name in ("documents", "tokens")
        )
        yield FunnelStep(label="in the corpus", documents=documents, tokens=tokens)


def _row(share: Mapping[str, Any], summaries: Mapping[str, RunSummary]) -> SourceSummary:
    names = ("name", "available_documents", "available_tokens", "repeats", "documents", "copies",
             "tokens", "share")  # fmt: skip
    given: dict[str, Any] = {name: share[name] for name in names}
    return SourceSummary(documents_in=summaries[share["name"]].documents_in, **given)


def _languages(summaries: Mapping[str, RunSummary]) -> tuple[LanguageCount, ...]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in summaries.values():
        for entry in one.languages:
            totals[entry.language][0] += entry.documents
            totals[entry.language][1] += entry.kept
    return tuple(
        LanguageCount(language=language, documents=documents, kept=kept)
        for language, (documents, kept) in sorted(totals.items(), key=lambda item: -item[1][0])
    )


def _added(summaries: Mapping[str, RunSummary]) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for one in summaries.values():
        for name, count in one.record_types.items():
            totals[name] += count
    return dict(totals)


def summarize_languages(
    whole: RunSummary, summaries: Mapping[str, RunSummary], documents: Mapping[str, int]
) -> RunSummary:
    """Return the summary of the run: `whole`, that of reading and labelling, with its languages'.

    `summaries` are those of the languages that have ended, by code; `documents` are the texts of
    every language that was found, "" for those without one.
    """
    given = summaries.values()
    corpora = tuple(_corpus(code, count, summaries) for code, count in documents.items())
    return replace(
        whole,
        kept=sum(one.kept for one in given) if given else whole.kept,
        dropped=whole.dropped + sum(one.dropped for one in given),
        quarantined=whole.quarantined + sum(one.quarantined for one in given),
        stages=(
            *whole.stages,
            *(
                replace(stage, name=f"{name}: {stage.name}")
                for name, one in summaries.items()
                for stage in one.stages
            ),
        ),
        funnel=(*whole.funnel, *_last_step(summaries)),
        rules=(
            *whole.rules,
            *(
                replace(rule, stage=f"{name}: {rule.stage}")
                for name, one in summaries.items()
                for rule in one.rules
            ),
        ),
        language_corpora=corpora,
    )


def _last_step(summaries: Mapping[str, RunSummary]) -> list[FunnelStep]:
    if not summaries:
        return []
    kept = sum(one.kept for one in summaries.values())
    tokens = sum(one.shards.tokens for one in summaries.values() if one.shards)
    return [FunnelStep(label="in the corpora of the languages", documents=kept, tokens=tokens)]


def _corpus(code: str, documents: int, summaries: Mapping[str, RunSummary]) -> LanguageCorpus:
    own = summaries.get(code)
    if own is None:
        return LanguageCorpus(language=code, documents=documents)
    judged = next(stage.kept for stage in own.stages if stage.name == "documents")
    return LanguageCorpus(
        language=code,
        documents=documents,
        passed_rules=judged,
        kept=own.kept,
        tokens=own.shards.tokens if own.shards else 0,
        has_corpus=True,
    )
