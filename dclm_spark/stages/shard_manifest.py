"""The manifest of token shards, from the committed units of the shard stage."""

from typing import Any

from dclm_spark import shard_format
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.shard_format import MANIFEST, REMAINDER, TRAIN, Shard, ShardManifest
from dclm_spark.stages.shards import PROVENANCE_SUFFIX
from dclm_spark.stages.tokenize import TokenSettings
from udfs import storage


def write_manifest(
    output: StageOutput,
    settings: TokenSettings,
    *,
    vocabulary_size: int,
    tokenizer_sha256: str,
    recipe_hash: str,
) -> dict[str, Any]:
    """Write `manifest.json`, the trainer's contract, beside the shards, and return it."""
    # `with_special_ids` has found both in the tokenizer.
    assert settings.end_of_text_id is not None
    assert settings.padding_id is not None
    facts = dict(output.facts())
    whole = max(unit["num_sequences"] for unit in facts.values())
    return shard_format.write_manifest(
        ShardManifest(
            path=storage.join(output.directory, MANIFEST),
            sequence_length=settings.sequence_length,
            tokens_per_row=settings.sequence_length + 1,
            vocabulary_size=vocabulary_size,
            tokenizer_sha256=tokenizer_sha256,
            end_of_text_id=settings.end_of_text_id,
            padding_id=settings.padding_id,
            num_padding_tokens=sum(unit["num_padding_tokens"] for unit in facts.values()),
            sequences_per_shard=whole,
            seed=settings.seed,
            recipe_hash=recipe_hash,
            shards=tuple(
                _shard(file, facts[file["unit"]]["num_sequences"], whole)
                for file in output.files("")
                if not file["path"].endswith(PROVENANCE_SUFFIX)
            ),
        )
    )


def _shard(file: dict[str, Any], num_sequences: int, whole: int) -> Shard:
    return Shard(
        path=file["path"],
        num_sequences=num_sequences,
        size_bytes=file["size_bytes"],
        sha256=file["sha256"],
        role=TRAIN if num_sequences == whole else REMAINDER,
    )
