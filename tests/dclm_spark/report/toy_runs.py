"""Finished runs of a few documents, written as the stages and the pipeline write them."""

from dataclasses import replace

import pyarrow as pa

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.run_record import RunIdentity, write_run_record
from dclm_spark.recipes import load_recipe
from dclm_spark.report.machine import write_json
from dclm_spark.report.summary import DomainCount, FunnelStep, LanguageCount, RuleCount, RunSummary
from udfs.documents.schema import EXTRACTED, document_id
from udfs.units.output import UnitOutput

PATH = "a.warc.gz"
STAGES = ("documents", "deduplicate", "select")


def toy_run(folder, fates, settings=(), path=PATH):
    """Write a run whose document at offset n has `fates[n]`: "kept" or "STAGE: RULE"."""
    recipe = load_recipe("dclm_baseline", list(settings))
    files = [InputFile(crawl="C", path=path, uri=f"/in/{path}", kind="warc")]
    identity = RunIdentity(
        recipe_name=recipe.name, recipe_hash="h", input_hash=path, code_version="v", commit="c",
        versions={},
    )  # fmt: skip
    write_run_record(str(folder), recipe, files, identity)
    left = list(enumerate(fates))
    for stage in STAGES:
        rows = [_row(offset, stage, fate, path) for offset, fate in left]
        _write_stage(folder / "stages" / stage, rows)
        left = [(offset, fate) for offset, fate in left if not fate.startswith(stage)]
    write_json(_summary(fates), str(folder / "report.json"))
    return str(folder)


def _row(offset, stage, fate, path):
    taken = fate.startswith(stage)
    return {
        "doc_id": document_id("C", path, offset),
        "url": f"https://a.example/{offset}",
        "text": "x",
        "fate": "dropped" if taken else "kept",
        "stage": stage if taken else None,
        "rule": fate.split(": ")[1] if taken else None,
    }


def _write_stage(folder, rows):
    with UnitOutput(str(folder), "unit", EXTRACTED) as output:
        output.write(pa.RecordBatch.from_pylist(rows, EXTRACTED))
        output.commit("key")


def _summary(fates):
    kept = fates.count("kept")
    empty = RunSummary(
        title="t", recipe_name="r", recipe_hash="h", recipe_yaml="", versions={}, commit="c",
        started="", seconds=1.0, documents_in=len(fates), kept=kept, dropped=len(fates) - kept,
        quarantined=0, stages=(), funnel=(FunnelStep(label="select", documents=kept),),
    )  # fmt: skip
    return replace(
        empty,
        rules=tuple(
            RuleCount(stage=rule.split(": ")[0], rule=rule.split(": ")[1],
                      documents=fates.count(rule))
            for rule in sorted(set(fates) - {"kept"})
        ),
        languages=(LanguageCount(language="en", documents=len(fates), kept=kept),),
        domains=(DomainCount(domain="a.example", documents=len(fates), kept=kept),),
    )  # fmt: skip
