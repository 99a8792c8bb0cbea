"""A thinned corpus: a keyed choice of documents, packed again, for a proxy to repeat.

The choice is a function of document id and seed alone, and grows with the number of tokens, so a
smaller thinned corpus is part of a larger one.
"""

import logging
from pathlib import Path

import numpy as np

from dclm_spark.errors import InputError
from dclm_spark.ranking.budgets.document_pieces import Index, Keys, Pieces, write_pieces
from dclm_spark.settings import settings_hash
from dclm_spark.shard_format import read_manifest

LOGGER = logging.getLogger("dclm_spark")
# What a change of this module's choice raises, so that older parts are not taken for it.
_VERSION = 1


def thinned(manifest: str, num_tokens: int, seed: int, folder: Path) -> Path:
    """Write about `num_tokens` of the corpus below `folder` and return their manifest.

    Whole documents are chosen by a key of their id and `seed`. What is there already is not
    written again. Raises InputError where shards have no provenance or the part no sequence.
    """
    source = read_manifest(manifest)
    key = settings_hash([source.fingerprint, num_tokens, seed, _VERSION])
    target = folder / key / "manifest.json"
    if not target.exists():
        pieces = Pieces.of(source, seed)
        pieces = pieces.chosen(pieces.keys <= _largest_key(pieces.keys, pieces.lengths, num_tokens))
        if min(num_tokens, pieces.num_tokens) < source.tokens_per_row:
            raise InputError(
                f"{manifest}: {num_tokens:,} tokens of it, which a proxy would read as often as "
                f"the target reads the corpus, are not one sequence of {source.tokens_per_row}; "
                "raise --tokens, or name a smaller target"
            )
        write_pieces([pieces], target)
        LOGGER.info("%s: %s tokens, seed %d", target.parent, f"{pieces.num_tokens:,}", seed)
    return target


def _largest_key(keys: Keys, lengths: Index, num_tokens: int) -> np.uint64:
    """Return the key of the last document that is chosen, whose total is nearest."""
    distinct, owner = np.unique(keys, return_inverse=True)
    total = np.cumsum(np.bincount(owner, weights=lengths))
    return np.uint64(distinct[np.abs(total - num_tokens).argmin()])
