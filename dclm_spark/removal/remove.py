"""Removing documents from a finished run: the list, the tombstones, the record, compaction."""

import hashlib
import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark import shard_format
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.run_record import source_runs
from dclm_spark.errors import InputError
from dclm_spark.mixture.mix import STAGE as MIX
from dclm_spark.removal.compaction import compact
from dclm_spark.removal.lists import list_bytes
from dclm_spark.removal.record import write_record
from dclm_spark.removal.robots import Refusals, RobotsRequest, described, refused_documents
from dclm_spark.removal.tombstones import (
    LIST_FILE,
    RECORD_FILE,
    check_removals_ended,
    committed_output,
    documents_met,
    num_removals,
    removal_folder,
    tokens_by_shard,
    write_tombstones,
)
from dclm_spark.removal.unmatched import unmatched_entries
from dclm_spark.shard_format import ShardManifest, changed, read_manifest
from udfs import storage
from udfs.storage.stream import shown
from udfs.units.removals import GIVEN, TABLE

LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to go from the run in `output`, and why."""

    output: str
    # (kind, value) pairs, kinds as in `udfs.units.removals.GIVEN`.
    entries: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    signing_key: bytes | None = None
    # What robots.txt files refuse, as well.
    robots: RobotsRequest | None = None
    # Whether to rewrite the files, too, of this and of all earlier removals.
    compact: bool = False


def check_has_shards(output: str) -> None:
    """Raise InputError where no finished run is; needs no Spark."""
    if not storage.exists(storage.join(output, "shards", shard_format.MANIFEST)):
        raise InputError(
            f"--output {shown(output)}: no finished run is there, since it has no "
            f"shards/{shard_format.MANIFEST}"
        )


def remove_documents(spark: SparkSession, request: Request) -> dict[str, Any] | None:
    """Remove documents from a finished run; return the record, None for a mere compaction.

    From then on trainer and exporters read padding in the place of their tokens and count no loss
    there. A removal that was killed is taken up by the same call.
    """
    check_has_shards(request.output)
    shards = storage.join(request.output, "shards")
    with only_driver(request.output):
        manifest = read_manifest(shards)
        record, refusals = None, None
        if request.robots is not None:
            request, refusals = _with_refusals(spark, request, request.robots)
        if request.compact and not request.entries and num_removals(shards) == 0:
            raise InputError(
                f"--compact: nothing was removed from {shown(request.output)}; name --domains, "
                "--urls, --ids or --robots first"
            )
        if request.entries:
            manifest, record = _remove(spark, request, shards, manifest, refusals)
        if request.compact:
            # Texts without which its documents are not found would go, and their tokens stay.
            check_removals_ended(shards)
            manifest = changed(compact(spark, request.output, manifest), manifest)
            shard_format.write_manifest(manifest)
            LOGGER.info("compacted %d shards", len(manifest.removed))
    return record


def _with_refusals(
    spark: SparkSession, request: Request, robots: RobotsRequest
) -> tuple[Request, Refusals]:
    found = refused_documents(spark, request.output, robots)
    LOGGER.info("%s", described(found))
    entries = tuple((TABLE, part) for part in found.parts)
    return replace(request, entries=(*request.entries, *entries)), found


def _remove(
    spark: SparkSession,
    request: Request,
    shards: str,
    manifest: ShardManifest,
    refusals: Refusals | None,
) -> tuple[ShardManifest, dict[str, Any]]:
    content = list_bytes(request.entries)
    number = _number(shards, content)
    storage.write_bytes(storage.join(removal_folder(shards, number), LIST_FILE), content)
    # Of a run of several sources, what shards are made of.
    stage = MIX if source_runs(request.output) else "tokenize"
    tokenized = committed_output(stage, storage.join(request.output, "stages", stage))
    spans = write_tombstones(spark, tokenized, committed_output("shards", shards))
    after = changed(replace(manifest, removed=spans), manifest)
    shard_format.write_manifest(after)
    before, now = tokens_by_shard(manifest.removed), tokens_by_shard(spans)
    facts = {
        "reason": request.reason,
        "list_sha256": hashlib.sha256(content).hexdigest(),
        "entries": {kind: sum(one == kind for one, _ in set(request.entries)) for kind in GIVEN},
        "unmatched_entries": unmatched_entries(spark, shards, number, request.entries),
        "documents": sum(file["rows"] for file in documents_met(shards, number)),
        "tokens": sum(now.values()) - sum(before.values()),
        "shards": sorted(path for path in now if now[path] != before.get(path)),
        "fingerprint_before": manifest.fingerprint,
        "fingerprint": after.fingerprint,
    }
    if request.robots is not None and refusals is not None:
        facts["robots"] = {
            "files": len(request.robots.files),
            "until": request.robots.until and request.robots.until.isoformat(),
            "agents": request.robots.agents,
            **asdict(refusals),
        }
    return after, write_record(shards, number, facts, request.signing_key)


def _number(shards: str, content: bytes) -> int:
    """Return the number of a removal: the next one, or one of the same list that was not ended."""
    last = num_removals(shards)
    if last == 0 or storage.exists(storage.join(removal_folder(shards, last), RECORD_FILE)):
        return last + 1
    if storage.read_bytes(storage.join(removal_folder(shards, last), LIST_FILE)) != content:
        check_removals_ended(shards)
    return last
