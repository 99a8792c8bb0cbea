"""A corpus at a date: the manifests of the crawls that it is made of, with what they were then."""

import json
import time
from collections.abc import Sequence

from dclm_spark.shard_format import ShardError, ShardManifest, read_manifest
from udfs import storage
from udfs.storage.stream import shown

FORMAT, VERSION = "dclm-spark-corpus", 1


def write_corpus_parts(uri: str, shards: Sequence[str]) -> list[ShardManifest]:
    """Write a corpus of the token shards `shards` to `uri`, and return their manifests.

    Raises ShardError where `uri` exists: a corpus of a date does not change.
    """
    if storage.exists(uri):
        raise ShardError(f"{shown(uri)}: is there already, and a corpus at a date does not change")
    found = [read_manifest(storage.absolute(one)) for one in shards]
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "parts": [
            {
                "manifest": one.path,
                "fingerprint": one.fingerprint,
                "num_sequences": one.num_sequences,
            }
            for one in found
        ],
    }
    storage.write_bytes(uri, json.dumps(facts, indent=1).encode())
    return found


def read_sources(paths: Sequence[str]) -> list[ShardManifest]:
    """Return the manifests that `paths` name, in their order.

    Each is a manifest, its folder, or a corpus of several. Raises ShardError for a corpus of which
    a part is not what it was; documents that were removed since stay removed.
    """
    return [manifest for path in paths for manifest in _read(path)]


def _read(path: str) -> list[ShardManifest]:
    if not path.endswith(".json"):
        return [read_manifest(path)]
    try:
        facts = json.loads(storage.read_bytes(path))
    except (storage.MissingObjectError, ValueError):
        # The reader of manifests says what is wrong.
        facts = {}
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return [read_manifest(path)]
    if facts["version"] != VERSION:
        raise ShardError(
            f"{shown(path)}: version = {facts['version']!r}, this version reads {VERSION}"
        )
    return [_part(path, **part) for part in facts["parts"]]


def _part(path: str, manifest: str, fingerprint: str, num_sequences: int) -> ShardManifest:
    found = read_manifest(manifest)
    if fingerprint not in (found.fingerprint, *found.earlier_fingerprints):
        raise ShardError(
            f"{shown(path)}: its part {shown(manifest)} had {num_sequences:,} sequences "
            f"({fingerprint[:12]}) and is another corpus now ({found.fingerprint[:12]})"
        )
    return found
