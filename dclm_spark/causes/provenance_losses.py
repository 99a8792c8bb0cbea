"""Losses of trained models by the groups of documents that tokens come from, without Spark."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from dclm_spark.ranking.budgets.document_pieces import provenance_uri
from dclm_spark.shard_format import Shard, ShardManifest
from dclm_spark.train.data.batches import cut_rows, open_reader
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.network import OpenLM
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.tokens.order import document_keys

# Documents that both corpora have, with the same text.
SAME = "in both"
# Rows of a corpus that are read for a group: 64 rows of 2,048 tokens are 131,072.
ROWS_PER_GROUP_OF_DOCUMENTS = 64
_SEED = 1234
_BATCH_ROWS = 8
Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class MeasuredRows:
    """Rows of one corpus for one group: ids [R, W], and which tokens are the group's [R, W]."""

    group: str
    held_out: bool
    tokens: NDArray[np.int64]
    mask: NDArray[np.bool_]


def rows_of_groups(
    manifest: ShardManifest, groups: Mapping[str, Keys], most_rows: int
) -> list[MeasuredRows]:
    """Return for each group, and for SAME, the first rows that hold tokens of it.

    `groups` has the sorted keys of documents (`group_keys`). Rows are those of the remainder
    shards, which training never reads, where these have some of the group, else of training.
    Tokens of removed documents are nobody's.
    """
    found = []
    for name in (*groups, SAME):
        for held_out, shards in ((True, manifest.remainder), (False, manifest.train_shards)):
            rows = _rows(manifest, shards, groups, name, most_rows)
            if rows is not None:
                found.append(MeasuredRows(name, held_out, *rows))
                break
    return found


def group_keys(doc_ids: Sequence[bytes]) -> Keys:
    """Return the sorted keys of documents by which `rows_of_groups` tells them."""
    import pyarrow as pa

    return np.unique(document_keys(pa.array(doc_ids, pa.binary()), _SEED))


def _rows(
    manifest: ShardManifest,
    shards: Sequence[Shard],
    groups: Mapping[str, Keys],
    name: str,
    most_rows: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    reader = open_reader(DataSettings(), manifest)
    tokens, masks, left = [], [], most_rows
    for shard in shards:
        if left <= 0:
            break
        whole = _mask(manifest, shard, groups, name)
        wanted = np.flatnonzero(whole.any(axis=1))[:left]
        for row in wanted:
            group, place = divmod(int(row), ROWS_PER_GROUP)
            mask = whole[row]
            removed = reader.removed(shard, group)
            tokens.append(reader.rows(shard, group)[place].astype(np.int64))
            masks.append(mask if removed is None else mask & ~removed[place])
        left -= len(wanted)
    return (np.stack(tokens), np.stack(masks)) if tokens else None


def _mask(
    manifest: ShardManifest, shard: Shard, groups: Mapping[str, Keys], name: str
) -> NDArray[np.bool_]:
    """Return which tokens [rows, W] of a shard are of documents of a group."""
    content = storage.read_bytes(provenance_uri(manifest, shard))
    table = pq.ParquetFile(io.BytesIO(content)).read(
        columns=["doc_id", "row", "start", "num_tokens"]
    )
    keys = document_keys(table["doc_id"].combine_chunks(), _SEED)
    if name == SAME:
        chosen = ~np.isin(keys, np.concatenate([*groups.values(), np.zeros(0, np.uint64)]))
    else:
        chosen = np.isin(keys, groups[name])
    mask = np.zeros((shard.num_sequences, manifest.tokens_per_row), np.bool_)
    columns = (table[one].to_numpy()[chosen] for one in ("row", "start", "num_tokens"))
    for row, start, length in zip(*columns, strict=True):
        mask[row, start : start + length] = True
    return mask


@torch.inference_mode()
def mean_loss(model: OpenLM, rows: MeasuredRows, sequence_length: int) -> tuple[float, int]:
    """Return the mean loss in nats over the group's tokens, and how many these are."""
    tokens, mask = (cut_rows(one, sequence_length) for one in (rows.tokens, rows.mask))
    device = model.tok_embeddings.weight.device
    total, count = 0.0, 0
    for start in range(0, len(tokens), _BATCH_ROWS):
        part = torch.from_numpy(np.ascontiguousarray(tokens[start : start + _BATCH_ROWS]))
        part = part.to(device)
        losses, _ = model(part[:, :-1], part[:, 1:])
        wanted = torch.from_numpy(np.ascontiguousarray(mask[start : start + _BATCH_ROWS, 1:]))
        total += float(losses.double()[wanted.to(device)].sum())
        count += int(wanted.sum())
    return total / max(count, 1), count
