"""Packing tokenized documents into sequences of fixed length, with where each token came from."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from udfs.documents.schema import OWN_COLUMNS
from udfs.tokens.copies import REPEAT
from udfs.tokens.id_types import Ids
from udfs.tokens.mixing import SOURCE

_PROVENANCE = (
    pa.field("doc_id", pa.binary()),
    pa.field("domain", pa.string()),
    pa.field("start", pa.int32()),
    pa.field("num_tokens", pa.int32()),
)


def provenance_fields(
    own_columns: bool, repeats: bool = False, sources: bool = False
) -> list[pa.Field]:
    """Return what is known of each document in a sequence; of copies, the how-manieth it is."""
    asked = {OWN_COLUMNS: own_columns, REPEAT: repeats, SOURCE: sources}
    return [*_PROVENANCE, *(one for one, wanted in asked.items() if wanted)]


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """`tokens_per_row` ids and, for each document in them, id, domain, start and token count."""

    tokens: Ids
    documents: list[dict[str, object]]
    num_padding_tokens: int = 0


@dataclass(kw_only=True)
class Packer:
    """Concatenates documents, each followed by end-of-text, and cuts sequences off the front.

    Documents run on from one sequence to the next (spec 5.1); the last sequence is filled up with
    `padding_id`. Sequences have the type of the documents' ids.
    """

    tokens_per_row: int
    end_of_text_id: int
    padding_id: int
    _parts: list[Ids] = field(default_factory=list)
    _documents: list[dict[str, object]] = field(default_factory=list)
    _filled: int = 0

    def add(
        self,
        doc_id: bytes,
        domain: str,
        tokens: Ids,
        own_columns: str | None = None,
        repeat: int | None = None,
        source: str | None = None,
    ) -> Iterator[Sequence]:
        """Append one document; yield the sequences that it completes."""
        rest = np.append(tokens, tokens.dtype.type(self.end_of_text_id))
        while len(rest):
            taken = rest[: self.tokens_per_row - self._filled]
            self._documents.append(
                {
                    "doc_id": doc_id,
                    "domain": domain,
                    "start": self._filled,
                    "num_tokens": len(taken),
                    OWN_COLUMNS.name: own_columns,
                    REPEAT.name: repeat,
                    SOURCE.name: source,
                }
            )
            self._parts.append(taken)
            self._filled += len(taken)
            rest = rest[len(taken) :]
            if self._filled == self.tokens_per_row:
                yield self._cut(0)

    def finish(self) -> Iterator[Sequence]:
        """Yield the padded last sequence, if any tokens are left."""
        if self._filled:
            padding = self.tokens_per_row - self._filled
            self._parts.append(np.full(padding, self.padding_id, self._parts[0].dtype))
            yield self._cut(padding)

    def _cut(self, padding: int) -> Sequence:
        sequence = Sequence(
            tokens=np.concatenate(self._parts),
            documents=self._documents,
            num_padding_tokens=padding,
        )
        self._parts, self._documents, self._filled = [], [], 0
        return sequence


def num_sequences(num_tokens: int, tokens_per_row: int) -> int:
    """Return how many sequences `num_tokens` tokens (end-of-text included) fill."""
    return -(-num_tokens // tokens_per_row)
