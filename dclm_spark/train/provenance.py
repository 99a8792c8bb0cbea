"""Losses by domain: joins each position's loss with the document that its token came from."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dclm_spark.train.data import Batch
from dclm_spark.train.shards import Manifest, ShardError, read_bytes

# Domain -> (summed cross entropy in nats, tokens).
DomainLosses = dict[str, tuple[float, int]]


class Provenance:
    """Finds the documents in training rows, from the file beside each shard."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests
        self._table = lru_cache(4)(self._read)

    def losses(self, batch: Batch, cross_entropy: NDArray[np.float32]) -> DomainLosses:
        """Sum the losses [B, S] of `batch` by domain; position p predicts the row's token p+1."""
        sums: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for index in range(len(batch.rows)):
            table = self._table(int(batch.sources[index]), int(batch.shards[index]))
            spans = table.filter(pc.equal(table["row"], int(batch.rows[index])))
            for domain, start, length in zip(
                *(spans[name].to_pylist() for name in ("domain", "start", "num_tokens")),
                strict=True,
            ):
                losses = cross_entropy[index, max(0, start - 1) : start - 1 + length]
                total, count = sums[domain]
                sums[domain] = (total + float(losses.sum()), count + losses.size)
        return dict(sums)

    def _read(self, source: int, shard: int) -> pa.Table:
        manifest = self.manifests[source]
        name = manifest.train_shards[shard].path.removesuffix(".parquet") + ".provenance.parquet"
        path = f"{manifest.path.rsplit('/', 1)[0]}/{name}"
        try:
            content = read_bytes(path)
        except OSError as error:
            raise ShardError(
                f"{path}: cannot be read ({error}), so losses by domain are not to be had; "
                "pass --set observe.domain_interval_steps=0"
            ) from error
        return pq.read_table(io.BytesIO(content), columns=["row", "domain", "start", "num_tokens"])


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
