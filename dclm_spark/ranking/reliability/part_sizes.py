"""Whether the part of a corpus that stands for it is large enough: else its pairs are not judged.

A part that is read as often as the target reads the corpus loses more by it, the smaller it is: a
model learns few texts by heart sooner, and a handful of documents says little of the others.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dclm_spark.ranking.budgets.document_pieces import Pieces
from dclm_spark.ranking.model_runs import RankedRun
from dclm_spark.shard_format import read_manifest

# With fewer tokens the wrong corpus was proven in planted worlds; with fewer documents none was
# tried (docs/ranking.md).
LEAST_DOCUMENTS, LEAST_TOKENS = 6, 8_000
TOO_SMALL = "too small to be matched"


@dataclass(frozen=True, kw_only=True)
class PartSize:
    """The mean size of the parts, one for each seed, that a cell's proxies read of a corpus."""

    cell: str
    corpus: str
    documents: int
    tokens: int

    @property
    def is_enough(self) -> bool:
        """Say whether the part can stand for its corpus."""
        return self.documents >= LEAST_DOCUMENTS and self.tokens >= LEAST_TOKENS


def part_sizes(runs: Sequence[RankedRun], whole: Collection[str]) -> tuple[PartSize, ...]:
    """Return the sizes of the parts that stand for a target's corpora.

    Runs on one of the manifests `whole` read no part.
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for run in runs:
        if run.cell.target_tokens is not None and run.corpus.manifest not in whole:
            size = _size(run.corpus.manifest)
            found.setdefault((run.cell.label, run.corpus.name), []).append(size)
    return tuple(
        PartSize(
            cell=cell,
            corpus=corpus,
            documents=round(sum(documents for documents, _ in sizes) / len(sizes)),
            tokens=round(sum(tokens for _, tokens in sizes) / len(sizes)),
        )
        for (cell, corpus), sizes in found.items()
    )


def _size(manifest: str) -> tuple[int, int]:
    pieces = Pieces.of(read_manifest(manifest), seed=0)
    return len(np.unique(pieces.keys)), pieces.num_tokens


def judged(comparison: dict[str, Any], sizes: Sequence[PartSize]) -> dict[str, Any]:
    """Return a comparison without the verdicts of pairs whose corpus has too small a part."""
    small = {one.corpus for one in sizes if one.cell == comparison["cell"] and not one.is_enough}
    pairs = [
        pair | {"verdict": TOO_SMALL} if small & {pair["first"], pair["second"]} else pair
        for pair in comparison["verdicts"]
    ]
    return comparison | {"verdicts": pairs}


def size_conclusions(sizes: Sequence[PartSize], tokens: Mapping[str, int]) -> list[str]:
    """Say which parts are too small; `tokens` are what a proxy of each cell reads now."""
    return [
        f"{one.corpus}, {one.cell}: {TOO_SMALL}. Its proxies read {one.documents} documents, "
        f"{one.tokens:,} tokens, as often as the target reads the corpus; a part stands for its "
        f"corpus from {LEAST_DOCUMENTS} documents and {LEAST_TOKENS:,} tokens on, so its pairs are "
        f"not judged. About --tokens {_needed(one, tokens[one.cell])} would do."
        for one in sizes
        if not one.is_enough
    ]


def _needed(one: PartSize, tokens: int) -> int:
    """Return about how many tokens a proxy reads whose part is large enough."""
    factor = max(LEAST_DOCUMENTS / one.documents, LEAST_TOKENS / one.tokens)
    return math.ceil(tokens * factor)
