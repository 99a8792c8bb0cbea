"""The row of each stage in the report: documents, wall time, and the time of its tasks."""

from collections.abc import Mapping
from typing import Any

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.report.summary import StageSummary
from udfs.units.statistics import documents_by_fate, kept_text_bytes

# What the pipeline times together with the stage of the same name.
SCORE, EVIDENCE = "score", "dedup_evidence"


def stage_rows(
    run: RunProgress, facts: Mapping[str, Any], wall: Mapping[str, float]
) -> list[StageSummary]:
    """Return a row for each stage that ended, in order; `wall` has wall seconds by stage."""
    rows = []
    for stage in run.in_order:
        judged = stage.stage in facts and stage in run.judging
        row = _judging_row(stage, run, facts) if judged else _other_row(stage, run)
        times: dict[str, Any] = {
            "seconds": wall.get(stage.stage),
            "task_seconds": stage.total("seconds"),
            "cpu_seconds": stage.total("cpu_seconds"),
        }
        rows.append(StageSummary(name=stage.stage, **row, **times))
    if run.dedup_evidence is not None and run.deduplicated is not None:
        place = [row.name for row in rows].index(run.deduplicated.stage) + 1
        rows.insert(place, _evidence_row(run.deduplicated, wall))
    return rows


def _judging_row(stage: StageOutput, run: RunProgress, facts: Mapping[str, Any]) -> dict[str, Any]:
    counted = facts[stage.stage]
    fates = documents_by_fate(counted)
    return {
        "documents_in": sum(fates.values()),
        "kept": fates.get("kept", 0),
        "dropped": fates.get("dropped", 0),
        "quarantined": fates.get("quarantined", 0),
        "text_bytes_kept": kept_text_bytes(counted),
        "bytes_in": _bytes_in(stage, run),
        "rules": {one["rule"]: one["documents"] for one in counted["counts"] if one["rule"]},
    }


def _bytes_in(stage: StageOutput, run: RunProgress) -> int | None:
    """Return the text bytes that a stage read; documents reads HTML instead, select no text."""
    if stage in (run.documents, run.selected):
        return None
    return run.judging[run.judging.index(stage) - 1].text_bytes()


def _other_row(stage: StageOutput, run: RunProgress) -> dict[str, Any]:
    """Return the row of a stage that takes nothing out: what it read goes on."""
    selected = stage in (run.tokenized, run.shards)
    scored = run.documents if run.filtered is not None and stage is run.scored else run.candidates
    source = run.selected if selected else scored
    kept = source.documents()["kept"] if source is not None else 0
    text = _text_bytes_of_corpus(run) if selected else source.text_bytes() if source else 0
    read = scored.text_bytes() if scored is not None and stage is not run.shards else None
    return {
        "documents_in": kept, "kept": kept, "dropped": 0, "quarantined": 0,
        "text_bytes_kept": text, "bytes_in": read,
    }  # fmt: skip


def _text_bytes_of_corpus(run: RunProgress) -> int:
    return kept_text_bytes(run.tokenized.totals) if run.tokenized is not None else 0


def _evidence_row(deduplicated: StageOutput, wall: Mapping[str, float]) -> StageSummary:
    """Return the row of what looks into the copies that were removed; it writes no documents."""
    kept = deduplicated.documents()["kept"]
    return StageSummary(
        name=EVIDENCE, documents_in=kept, kept=kept, dropped=0, quarantined=0,
        text_bytes_kept=deduplicated.text_bytes(), seconds=wall.get(EVIDENCE),
    )  # fmt: skip
