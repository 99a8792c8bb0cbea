"""The corpora of a ranking as a folder that a machine without Spark goes on from."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.errors import InputError
from dclm_spark.evaluate.runner import heldout_name
from dclm_spark.sample.facts import Fact
from dclm_spark.settings import from_dict, to_dict
from dclm_spark.shard_format import TRAIN, VERSION
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.storage.cache import fetch


def part_of(manifest: Path, part: int) -> Path:
    """Write a manifest of one sequence in `part`, of shards cut short, and return it.

    It lies beside `manifest`, since shards are named relative to theirs. The trainer wants shards
    of one size, so as many as are needed give the same number of their first sequences; shards
    are random samples of the corpus. Raises InputError for fewer than `part` sequences.
    """
    facts = json.loads(manifest.read_text())
    target = manifest.with_name(f"manifest-part-{part}.json")
    source = hashlib.sha256(manifest.read_bytes()).hexdigest()
    if target.exists() and json.loads(target.read_text())["part_of"] == source:
        return target
    shards = [shard for shard in facts["shards"] if shard["role"] == "train"]
    wanted = sum(shard["num_sequences"] for shard in shards) // part
    if wanted == 0:
        raise InputError(
            f"{manifest}: {len(shards)} training shards hold fewer than {part} sequences, so there "
            "is no such part of them; lower tokens.sequences_per_shard or give more documents"
        )
    used = shards[: -(-len(shards) // part)]
    each = wanted // len(used)
    facts["shards"] = [_first(manifest.parent, shard, each, part) for shard in used]
    if "removed" in facts:
        names = {old["path"]: new["path"] for old, new in zip(used, facts["shards"], strict=True)}
        facts["removed"] = [
            spans | {"shard": names[spans["shard"]]}
            for spans in facts["removed"]
            if spans["shard"] in names
        ]
    facts["num_sequences"] = each * len(used)
    facts["num_tokens"] = facts["num_sequences"] * facts["sequence_length"]
    facts["part_of"] = source
    storage.write_bytes(str(target), json.dumps(facts, indent=1).encode())
    return target


def _first(folder: Path, shard: dict[str, Any], num_sequences: int, part: int) -> dict[str, Any]:
    """Return the entry of `shard` itself, or of a file with its first `num_sequences`."""
    if num_sequences == shard["num_sequences"]:
        return shard
    rows = pq.read_table(folder / shard["path"]).slice(0, num_sequences)
    return shard | write_shard(folder / f"part-{part}-{shard['path']}", rows)


def write_shard(path: Path, rows: pa.Table) -> dict[str, Any]:
    """Write a shard's rows, whole or not at all, and return its entry in a manifest."""
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", row_group_size=ROWS_PER_GROUP)
    content = buffer.getvalue().to_pybytes()
    storage.write_bytes(str(path), content)
    return {
        "path": path.name,
        "num_sequences": len(rows),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "role": TRAIN,
    }


def without_removals(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest's JSON for other shards, none of which lost a document."""
    rest = {name: facts[name] for name in facts if name not in ("removed", "earlier_fingerprints")}
    return rest | {"version": VERSION}


PREPARED = "prepared.json"
# What the control of a quality filter controls for.
SHUFFLED = "shuffled scores"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What one row group of the leaderboard is trained on; `manifest` is the trainer's contract.

    `tokenizer` says where the tokenizer came from, `tokenizer_file` is a copy of it. `control` is
    empty for a recipe; `part` above 1 keeps one sequence in so many.
    """

    name: str
    recipe_hash: str
    manifest: str
    num_tokens: int
    tokenizer: str
    tokenizer_file: str
    control: str = ""
    part: int = 1


@dataclass(frozen=True, kw_only=True)
class CleanTexts:
    """A file of held-out texts without those that the pool holds, `num_left_out` of `num_texts`.

    `lost` says what of the file could not be read; "" for nothing.
    """

    uri: str
    num_texts: int
    num_left_out: int
    ngram_words: int
    # What an n-gram counts: words of texts, or tokens of shards.
    unit: str = "word"
    lost: str = ""

    @property
    def conclusion(self) -> str:
        """Return what the leaderboard says of it."""
        return (
            f"held-out {heldout_name(self.uri)}: {self.num_left_out} of {self.num_texts} texts "
            f"left out for standing in the pool (a fifth of their "
            f"{self.ngram_words}-{self.unit} runs or more)."
            + (f" Of the file, {self.lost}." if self.lost else "")
        )


@dataclass(frozen=True, kw_only=True)
class PreparedRanking:
    """All that models are trained and measured on; `facts` are those of the embedded sample."""

    corpora: tuple[Corpus, ...]
    heldout: tuple[CleanTexts, ...] = ()
    facts: tuple[Fact, ...] = ()


def keep_tokenizer(output: str, uri: str, sha256: str | None) -> str:
    """Copy the tokenizer of `uri` below `output`, so that the folder is complete; return it."""
    text = fetch(uri, sha256).read_text("utf-8")
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    copy = Path(output) / "tokenizers" / f"{name}.json"
    storage.write_bytes(str(copy), text.encode())
    return str(copy)


def write_prepared(prepared: PreparedRanking, output: str) -> None:
    """Write `output`/prepared.json; places below `output` are relative, so it may be moved."""
    facts = to_dict(prepared)
    for one in facts["corpora"]:
        one["manifest"] = os.path.relpath(one["manifest"], output)
        one["tokenizer_file"] = os.path.relpath(one["tokenizer_file"], output)
    for one in facts["heldout"]:
        one["uri"] = os.path.relpath(one["uri"], output)
    storage.write_bytes(storage.join(output, PREPARED), json.dumps(facts, indent=1).encode())


def read_prepared(output: str) -> PreparedRanking:
    """Read what `write_prepared` wrote, wherever the folder lies now.

    Raises InputError when it is not there.
    """
    path = Path(output) / PREPARED
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; give the --output of jobs/rank_recipes.py, which "
            "writes it once all corpora are there (with --corpora-only, and then stops), or "
            "--corpora NAME=MANIFEST for shards of any origin"
        )
    facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for one in facts["corpora"]:
        one |= {name: str(path.parent / one[name]) for name in ("manifest", "tokenizer_file")}
    for one in facts["heldout"]:
        one["uri"] = str(path.parent / one["uri"])
    return from_dict(PreparedRanking, facts)
