"""Describing a finished corpus: contents, datasheet, public summary, written beside the run."""

import json
from dataclasses import asdict
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.corpus.contents import FOLDER, contents
from dclm_spark.corpus.statements import Provenance, datasheet, public_summary
from dclm_spark.engine.run_record import finished_run
from dclm_spark.removal.tombstones import (
    RECORD_FILE,
    check_removals_ended,
    num_removals,
    removal_folder,
)
from dclm_spark.shard_format import FORMAT, MANIFEST, read_manifest
from dclm_spark.stages import STAGES
from dclm_spark.yaml_text import read_yaml
from udfs import storage


def describe_corpus(spark: SparkSession, output: str) -> str:
    """Write `contents.json`, `datasheet.md` and `public_summary.md`; return their folder.

    Raises InputError where `output` is no finished run, or a removal from it did not end.
    """
    record = finished_run(output)
    check_removals_ended(storage.join(output, "shards"))
    found, made = contents(spark, output), _provenance(output, record)
    folder = storage.join(output, FOLDER)
    facts = asdict(found) | {"provenance": asdict(made)}
    texts = {
        "contents.json": json.dumps(facts, indent=1, ensure_ascii=False),
        "datasheet.md": datasheet(found, made),
        "public_summary.md": public_summary(found, made),
    }
    for name, text in texts.items():
        storage.write_bytes(storage.join(folder, name), text.encode())
    return folder


def _provenance(output: str, record: dict[str, Any]) -> Provenance:
    shards = storage.join(output, "shards")
    recipe_uri = storage.join(output, "recipe.yaml")
    recipe = read_yaml(storage.read_bytes(recipe_uri).decode(), recipe_uri)
    return Provenance(
        recipe=record["recipe_name"],
        recipe_hash=record["recipe_hash"],
        commit=record["commit"],
        fingerprint=_fingerprint(shards),
        dropped=_dropped(output),
        removals=tuple(
            json.loads(storage.read_bytes(storage.join(removal_folder(shards, one), RECORD_FILE)))
            for one in range(1, num_removals(shards) + 1)
        ),
        policy=tuple(_policy_rules(recipe)),
    )


def _fingerprint(shards: str) -> str:
    """Return what the shards are told by; those of other trainers say it in their manifest."""
    facts = json.loads(storage.read_bytes(storage.join(shards, MANIFEST)))
    ours = facts["format"] == FORMAT
    return read_manifest(shards).fingerprint if ours else str(facts["fingerprint"])


def _policy_rules(recipe: dict[str, Any]) -> list[str]:
    policy: dict[str, Any] = recipe.get("extraction", {}).get("page_policy", {})
    return list(policy.get("drop", []))


def _dropped(output: str) -> tuple[tuple[str, str, int], ...]:
    """Return (stage, rule, documents) of all that was dropped, from the stages' summaries."""
    found = []
    for stage in STAGES[:-1]:
        uri = storage.join(output, "stages", stage, "stage.json")
        if storage.exists(uri):
            counts = json.loads(storage.read_bytes(uri))["counts"]
            found += [
                (stage, entry["rule"], entry["documents"])
                for entry in counts
                if entry["fate"] == "dropped" and entry["stage"] == stage
            ]
    return tuple(sorted(found, key=lambda one: (-one[2], one)))
