"""Token ids as they are stored: 16 bits where the vocabulary fits into them, 32 bits elsewhere."""

from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.unsignedinteger[Any]]
IdType = np.dtype[np.unsignedinteger[Any]]

# By the name that manifests say; little-endian on every machine.
ID_TYPES: dict[str, IdType] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}


def id_type(vocabulary_size: int) -> IdType:
    """Return the narrowest type for the ids 0..vocabulary_size-1."""
    return next(kind for kind in ID_TYPES.values() if vocabulary_size - 1 <= np.iinfo(kind).max)
