"""What a token-shard format is: which rows it takes, and which files it makes of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import pyarrow as pa

from udfs.tokens.id_types import IdType
from udfs.units.parquet_output import FileEntry


@dataclass(frozen=True, kw_only=True)
class ShardTarget:
    """Where the files of a shard go, and the type of the ids in its rows."""

    directory: str
    # Files are named after it.
    unit: str
    id_type: IdType


class ShardWriter(Protocol):
    """Writes the files of one shard; what is not closed is not published."""

    def write(self, tokens: pa.Array) -> None:
        """Append rows: a binary column of ids of the target's type."""
        ...

    def close(self) -> Sequence[FileEntry]:
        """Publish the files, that with the ids last, and return their entries."""
        ...

    def abandon(self) -> None:
        """Drop what was written; nothing happens once it is closed."""
        ...


class ShardFormat(ABC):
    """A token-shard format; its fields are its settings, its bytes depend on the rows alone.

    Rows are sequences of a fixed length, packed and shuffled over the whole corpus. With
    `whole_documents` they are documents in shuffled order, each with its end of text, for trainers
    that pack by themselves; a shard is then what falls into one cell (`tokens.cell_size_bytes`).
    """

    whole_documents: ClassVar[bool] = False
    # What the manifest calls the format.
    manifest_name: ClassVar[str]
    # Endings of the files of a shard; the first is that of the file with the ids.
    suffixes: ClassVar[tuple[str, ...]]
    # Whether dclm_spark/train reads it.
    trained_here: ClassVar[bool] = False

    def row_tokens(self, sequence_length: int) -> int:
        """Return how many ids a packed row has."""
        return sequence_length

    @abstractmethod
    def writer(self, target: ShardTarget) -> ShardWriter:
        """Return the writer of one shard."""
