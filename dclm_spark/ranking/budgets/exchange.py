"""A corpus that has some documents as another corpus has them, packed again for an ablation."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from dclm_spark.errors import InputError
from dclm_spark.ranking.budgets.document_pieces import Pieces, write_pieces
from dclm_spark.settings import settings_hash
from dclm_spark.shard_format import read_manifest
from udfs.tokens.order import document_keys

LOGGER = logging.getLogger("dclm_spark")
# Documents are told by a key of 64 bits under this seed, and packed in its order.
_SEED = 1234
_VERSION = 1


def exchanged(manifest: str, other: str, doc_ids: pa.Array, folder: Path) -> Path:
    """Write the corpus of `manifest` with the documents `doc_ids` as `other` has them.

    So those that only `other` has come in, those that it lacks go, and those whose text differs
    are replaced. With no ids it is the corpus itself, packed as the others are. Returns the
    manifest below `folder`; what is there already is not written again. Raises InputError where
    shards have no provenance or less than a sequence is left.
    """
    base, donor = read_manifest(manifest), read_manifest(other)
    wanted = np.unique(document_keys(doc_ids, _SEED))
    facts = [base.fingerprint, donor.fingerprint if len(wanted) else "", wanted.tolist(), _VERSION]
    target = folder / settings_hash(facts)[:16] / "manifest.json"
    if not target.exists():
        pieces = Pieces.of(base, _SEED)
        parts = [pieces.chosen(~np.isin(pieces.keys, wanted))]
        if len(wanted):
            pieces = Pieces.of(donor, _SEED)
            parts.append(pieces.chosen(np.isin(pieces.keys, wanted)))
        left = sum(part.num_tokens for part in parts)
        if left < base.tokens_per_row:
            raise InputError(
                f"{manifest}: of its documents {left:,} tokens are left without the group, less "
                f"than one sequence of {base.tokens_per_row}: there is no such corpus to train on"
            )
        write_pieces(parts, target)
        LOGGER.info("%s: %s tokens", target.parent, f"{left:,}")
    return target
