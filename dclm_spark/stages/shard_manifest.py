"""The manifest of token shards, from the committed units of the shard stage."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dclm_spark import shard_format
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.shard_format import (
    INDEX,
    MANIFEST,
    REMAINDER,
    TRAIN,
    VERSION,
    RemovedSpans,
    Shard,
    ShardManifest,
)
from dclm_spark.stages.tokenize import TokenSettings
from udfs import storage
from udfs.shards.shard_output import PROVENANCE_SUFFIX
from udfs.tokens.tokenizer import load_encoder, tokenizer_fingerprint


def write_manifest(
    output: StageOutput,
    settings: TokenSettings,
    *,
    recipe_hash: str,
    removed: tuple[RemovedSpans, ...] = (),
    sources: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Write `manifest.json`, the trainer's contract, beside the shards, and return it.

    `sources` is what it says of the sources of a corpus of several.
    """
    # `with_special_ids` has found both in the tokenizer.
    assert settings.end_of_text_id is not None
    assert settings.padding_id is not None
    if settings.format.whole_documents:
        return _write_documents(output, settings, recipe_hash, sources)
    encoder = load_encoder(settings.tokenizer)
    facts = dict(output.facts())
    whole = max(unit["num_sequences"] for unit in facts.values())
    manifest = ShardManifest(
        path=storage.join(output.directory, MANIFEST),
        format=settings.format.manifest_name,
        sequence_length=settings.sequence_length,
        tokens_per_row=settings.format.row_tokens(settings.sequence_length),
        dtype=encoder.id_type.name,
        vocabulary_size=encoder.vocabulary_size,
        tokenizer_sha256=tokenizer_fingerprint(settings.tokenizer),
        end_of_text_id=settings.end_of_text_id,
        padding_id=settings.padding_id,
        num_padding_tokens=sum(unit["num_padding_tokens"] for unit in facts.values()),
        sequences_per_shard=whole,
        seed=settings.seed,
        recipe_hash=recipe_hash,
        shards=tuple(
            _shard(file, facts[file["unit"]], whole)
            for file in output.files("")
            if not file["path"].endswith(PROVENANCE_SUFFIX)
        ),
        removed=removed,
        sources=tuple(sources),
    )
    return shard_format.write_manifest(_with_history(manifest) if removed else manifest)


def _with_history(manifest: ShardManifest) -> ShardManifest:
    # The same corpus as before keeps what it was called before documents were removed.
    if not storage.exists(manifest.path):
        return manifest
    before = shard_format.read_manifest(manifest.path)
    same = before.fingerprint == manifest.fingerprint
    return replace(manifest, earlier_fingerprints=before.earlier_fingerprints) if same else manifest


def _shard(file: dict[str, Any], facts: dict[str, Any], whole: int) -> Shard:
    # A file that lost documents has other bytes than when it was written (`dclm_spark.removal`).
    present = file | facts.get("compacted", {}).get(file["path"], {})
    return Shard(
        path=file["path"],
        num_sequences=facts["num_sequences"],
        size_bytes=present["size_bytes"],
        sha256=present["sha256"],
        role=TRAIN if facts["num_sequences"] == whole else REMAINDER,
    )


def _write_documents(
    output: StageOutput,
    settings: TokenSettings,
    recipe_hash: str,
    sources: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Write the manifest of shards of whole documents, for trainers that pack by themselves."""
    encoder = load_encoder(settings.tokenizer)
    units = dict(output.facts())
    shards = [
        {
            "path": file["path"],
            "num_documents": units[file["unit"]]["num_documents"],
            "num_tokens": units[file["unit"]]["num_tokens"],
            "size_bytes": file["size_bytes"],
            "sha256": file["sha256"],
            "role": TRAIN if file["path"].endswith(settings.format.suffixes[0]) else INDEX,
        }
        for file in output.files("")
        if not file["path"].endswith(PROVENANCE_SUFFIX)
    ]
    facts = {
        "format": settings.format.manifest_name,
        "version": VERSION,
        "dtype": encoder.id_type.name,
        "vocabulary_size": encoder.vocabulary_size,
        "tokenizer_sha256": tokenizer_fingerprint(settings.tokenizer),
        "end_of_text_id": settings.end_of_text_id,
        "num_documents": sum(unit["num_documents"] for unit in units.values()),
        "num_tokens": sum(unit["num_tokens"] for unit in units.values()),
        "num_padding_tokens": 0,
        "seed": settings.seed,
        "recipe_hash": recipe_hash,
        "fingerprint": hashlib.sha256(json.dumps(shards, sort_keys=True).encode()).hexdigest(),
        "shards": shards,
    } | ({"sources": list(sources)} if sources else {})
    path = storage.join(output.directory, MANIFEST)
    storage.write_bytes(path, json.dumps(facts, indent=1).encode())
    return facts
