"""The token-shard formats by name: the only place that knows the names."""

from udfs.shards.flat_files import MegatronShards, OlmoShards
from udfs.shards.format import ShardFormat
from udfs.shards.packed_rows import HuggingFaceRows, OwnShards

FORMATS: dict[str, type[ShardFormat]] = {
    "dclm": OwnShards,
    "megatron": MegatronShards,
    "olmo": OlmoShards,
    "huggingface": HuggingFaceRows,
}


def shard_suffixes() -> tuple[str, ...]:
    """Return the endings of the files that shards of any format have."""
    return tuple(sorted({suffix for kind in FORMATS.values() for suffix in kind.suffixes}))
