"""Loss and bits per byte on sequences that training never reads."""

import hashlib
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from dclm_spark.shard_format import Rows, ShardError, ShardManifest
from dclm_spark.train.data.batches import Batch, loss_weights
from dclm_spark.train.data.shard_reader import ShardReader
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.distributed import Ranks
from dclm_spark.train.network import OpenLM
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP

# Domain -> (summed cross entropy in nats, tokens).
DomainLosses = dict[str, tuple[float, int]]
# How SentencePiece writes a byte that no piece has.
_BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")


class Provenance:
    """Finds the documents in training rows, from the file beside each shard."""

    def __init__(self, manifests: Sequence[ShardManifest]) -> None:
        self.manifests = manifests
        self._table = lru_cache(4)(self._read)

    def losses(
        self, batch: Batch, cross_entropy: NDArray[np.float32], by: str = "domain"
    ) -> DomainLosses:
        """Sum the losses [B, S] of `batch` by domain; position p predicts the row's token p+1.

        `by` is domain or source; rows of corpora of one input have no source. Removed documents
        have no losses.
        """
        sums: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for index in range(len(batch.rows)):
            table = self._table(int(batch.sources[index]), int(batch.shards[index]))
            spans = table.filter(pc.equal(table["row"], int(batch.rows[index])))
            if by not in spans.column_names:
                continue
            for domain, start, length in zip(
                *(spans[name].to_pylist() for name in (by, "start", "num_tokens")), strict=True
            ):
                if batch.removed is not None and batch.removed[index, start]:
                    continue
                losses = cross_entropy[index, max(0, start - 1) : start - 1 + length]
                total, count = sums[domain]
                sums[domain] = (total + float(losses.sum()), count + losses.size)
        return dict(sums)

    def _read(self, source: int, shard: int) -> pa.Table:
        manifest = self.manifests[source]
        tokens = manifest.uri(manifest.train_shards[shard])
        path = tokens.removesuffix(".parquet") + ".provenance.parquet"
        try:
            content = storage.read_bytes(path)
        except storage.StorageError as error:
            raise ShardError(
                f"{path}: cannot be read ({error}), so losses by domain and source are not to be "
                "had; copy it beside the shard, or pass --set observe.domain_interval_steps=0 "
                "--set observe.source_losses=false"
            ) from error
        file = pq.ParquetFile(io.BytesIO(content))
        wanted = ["row", "domain", "start", "num_tokens", *(["source"] if manifest.sources else [])]
        return file.read(columns=wanted)


def merge(parts: Sequence[DomainLosses]) -> DomainLosses:
    """Add up what several ranks or steps found."""
    merged: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for part in parts:
        for domain, (total, count) in part.items():
            merged[domain] = (merged[domain][0] + total, merged[domain][1] + count)
    return dict(merged)


def largest(
    losses: Mapping[str, tuple[float, int]], num_domains: int = 20
) -> list[dict[str, object]]:
    """Return the domains with the most tokens: name, tokens and mean loss in nats."""
    order = sorted(losses.items(), key=lambda item: (-item[1][1], item[0]))
    return [
        {"domain": domain, "num_tokens": count, "loss": total / max(count, 1)}
        for domain, (total, count) in order[:num_domains]
    ]


@dataclass(frozen=True, kw_only=True)
class HeldoutLoss:
    """Mean loss in nats over all tokens but padding, and bits per byte of text if known."""

    loss: float
    bits_per_byte: float | None
    num_tokens: int


def token_byte_lengths(
    tokenizer: str, manifest: ShardManifest
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return how many bytes of text each token id stands for; end of text and padding stand for 0.

    Reads a `tokenizer.json`: of byte-level BPE, in which one character of a token is one byte, or
    of SentencePiece, in which "▁" is a space (the one that it puts before a text counts too).
    Raises ShardError for another tokenizer than the shards were made with.
    """
    content = storage.read_bytes(tokenizer)
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.tokenizer_sha256:
        raise ShardError(
            f"data.tokenizer = {tokenizer}: its SHA-256 is {found}, but {manifest.path} was made "
            f"with {manifest.tokenizer_sha256}; pass that tokenizer.json, or none"
        )
    facts = json.loads(content)
    vocabulary = facts.get("model", {}).get("vocab")
    spelled_length = _spelled_length(facts)
    if vocabulary is None or spelled_length is None:
        raise ShardError(
            f"data.tokenizer = {tokenizer}: neither byte-level BPE nor SentencePiece, so how many "
            "bytes its tokens stand for is not known; leave data.tokenizer out"
        )
    if isinstance(vocabulary, list):
        # Unigram: pieces with their scores, by id.
        vocabulary = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    lengths = np.zeros(manifest.padded_vocabulary_size, dtype=np.int64)
    for token, index in vocabulary.items():
        lengths[index] = spelled_length(token)
    for token in facts.get("added_tokens", []):
        lengths[token["id"]] = 0 if token["special"] else len(token["content"].encode())
    lengths[[manifest.end_of_text_id, manifest.padding_id]] = 0
    return lengths


def _spelled_length(tokenizer: dict[str, Any]) -> Callable[[str], int] | None:
    """Return what gives the bytes of a token of a tokenizer.json, None where it is not known."""
    parts = [tokenizer.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    text = json.dumps(parts, ensure_ascii=False)
    if '"ByteLevel"' in text:
        return len
    if "▁" in text:
        return _sentencepiece_length
    return None


def _sentencepiece_length(token: str) -> int:
    if _BYTE_TOKEN.fullmatch(token):
        return 1
    return len(token.replace("▁", " ").encode())


def heldout_rows(
    settings: DataSettings, manifests: Sequence[ShardManifest], readers: Sequence[ShardReader]
) -> Rows | None:
    """Return up to `heldout_sequences` rows that training never reads; None if there are none."""
    found: list[Rows] = []
    wanted = settings.heldout_sequences
    for manifest, reader in zip(manifests, readers, strict=True):
        shards = manifest.shards if settings.heldout else manifest.remainder
        for shard in shards:
            for group in range(-(-shard.num_sequences // ROWS_PER_GROUP)):
                if wanted <= 0:
                    break
                rows, removed = reader.rows(shard, group), reader.removed(shard, group)
                # A row that lost a document is left out: the next one stands in for it.
                rows = rows if removed is None else rows[~removed.any(axis=1)]
                found.append(rows[:wanted])
                wanted -= len(found[-1])
    return np.concatenate(found) if found else None


class Heldout:
    """Evaluates a model on fixed rows, split over the ranks."""

    def __init__(
        self, rows: Rows, manifest: ShardManifest, ranks: Ranks, *, tokenizer: str | None,
        micro_batch_sequences: int,
    ) -> None:  # fmt: skip
        self.fingerprint = hashlib.sha256(rows.tobytes()).hexdigest()
        # Sharded models need the same number of passes on every rank: absent rows weigh nothing.
        share = -(-len(rows) // ranks.num_ranks)
        padded = np.full((share * ranks.num_ranks, rows.shape[1]), manifest.padding_id, np.int32)
        padded[: len(rows)] = rows
        self.rows = padded[ranks.rank * share : (ranks.rank + 1) * share]
        self.ranks, self.padding_id = ranks, manifest.padding_id
        self.micro_batch_sequences = micro_batch_sequences
        self.byte_lengths: Tensor | None = None
        if tokenizer is not None:
            lengths = token_byte_lengths(tokenizer, manifest)
            self.byte_lengths = torch.from_numpy(lengths).to(ranks.device)

    @torch.no_grad()
    def evaluate(self, model: OpenLM) -> HeldoutLoss:
        """Return the loss of all ranks' rows."""
        sums = torch.zeros(4, dtype=torch.float64, device=self.ranks.device)
        for tokens in self._batches():
            cross_entropy, _ = model(tokens[:, :-1], tokens[:, 1:])
            weights = loss_weights(tokens, self.padding_id)
            sums[0] += (cross_entropy * weights).sum()
            sums[1] += weights.sum()
            if self.byte_lengths is not None:
                lengths = self.byte_lengths[tokens[:, 1:]] * weights
                sums[2] += (cross_entropy * (lengths > 0)).sum()
                sums[3] += lengths.sum()
        loss, count, spelled, num_bytes = self.ranks.add_up(sums).tolist()
        return HeldoutLoss(
            loss=loss / count,
            bits_per_byte=spelled / num_bytes / math.log(2) if num_bytes else None,
            num_tokens=int(count),
        )

    def _batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self.rows), self.micro_batch_sequences):
            part = torch.from_numpy(self.rows[start : start + self.micro_batch_sequences])
            yield part.to(self.ranks.device).long()
