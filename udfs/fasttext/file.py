"""Reads fastText's model files (.bin dense, .ftz pruned and quantised), format version 12."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

# Kernels take plain arrays and numbers; numba, not mypy, types them.
from numba import njit, types

from udfs.fasttext.word_hashes import hash_spelled, slot_of

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s = types.Array(types.uint64, 1, "C")


@njit(types.int64(_read_bytes, types.int64, types.int64), cache=True, nogil=True)
def dictionary_end(raw, position, entries):
    """Return where the dictionary that begins at `position` ends, or -1 when the file is short."""
    for _ in range(entries):
        while position < raw.size and raw[position] != 0:
            position += 1
        position += 10
    return position if position <= raw.size else -1


@njit(types.void(_read_bytes, _uint64s, _int32s, _int64s, _int64s), cache=True, nogil=True)
def index_dictionary(raw, keys, ids, label_starts, label_counts):
    """Fill the open-addressing table word hash -> word id, and where each label's text begins."""
    mask = np.uint64(keys.size - 1)
    ordinary = np.zeros(256, np.uint8)
    position, entry, label = np.int64(0), np.int32(0), 0
    while position < raw.size:
        start = position
        while raw[position] != 0:
            position += 1
        hash64 = hash_spelled(raw, start, position, ordinary)
        count = np.int64(0)
        for byte in range(8):
            count |= np.int64(raw[position + 1 + byte]) << (8 * byte)
        if raw[position + 9] == 1:
            label_starts[label] = start
            label_counts[label] = count
            label += 1
        else:
            slot = slot_of(hash64, mask)
            while ids[slot] >= 0:
                slot = np.int64(np.uint64(slot + 1) & mask)
            keys[slot] = hash64
            ids[slot] = entry
        entry += np.int32(1)
        position += 10


@njit(cache=True, nogil=True)
def find(keys, ids, hash64):
    """Return the id of the word with this hash, -1 where the dictionary lacks it."""
    mask = np.uint64(keys.size - 1)
    slot = slot_of(hash64, mask)
    while ids[slot] >= 0:
        if keys[slot] == hash64:
            return np.int64(ids[slot])
        slot = np.int64(np.uint64(slot + 1) & mask)
    return np.int64(-1)


Floats = npt.NDArray[np.float32]
CodeBytes = npt.NDArray[np.uint8]

FORMAT_MAGIC = 793712314
FORMAT_VERSION = 12
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
READ_LOSSES = (1, 3)
SUPERVISED = 3
LABEL_PREFIX = "__label__"
CENTROIDS_PER_QUANTISER = 256
CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class DenseMatrix:
    """A float32 matrix that stays in the file at byte `position` until somebody reads it."""

    path: Path
    position: int
    rows: int
    columns: int

    def chunks(self) -> Iterator[Floats]:
        """Yield the matrix from top to bottom in blocks of about 16 MiB, read, not mapped."""
        step = max(1, CHUNK_BYTES // (self.columns * 4))
        with self.path.open("rb") as stream:
            stream.seek(self.position)
            for start in range(0, self.rows, step):
                rows = min(step, self.rows - start)
                block = np.fromfile(stream, "<f4", rows * self.columns)
                yield block.reshape(rows, self.columns)

    def mapped(self) -> Floats:
        """Return the matrix as a read-only map of the file, whose pages all processes share."""
        with self.path.open("rb") as stream:
            pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        flat = np.frombuffer(pages, "<f4", self.rows * self.columns, self.position)
        return flat.reshape(self.rows, self.columns)


@dataclass(frozen=True)
class Quantiser:
    """A product quantiser: each block of `block` columns is one of 256 centroids."""

    columns: int
    block: int
    centroids: Floats

    def decode(self, codes: CodeBytes) -> Floats:
        """Return the (rows, columns) values of `codes`, one code per row and block."""
        values = np.empty((codes.shape[0], self.columns), np.float32)
        for index in range(codes.shape[1]):
            first = index * self.block
            width = min(self.block, self.columns - first)
            start = index * CENTROIDS_PER_QUANTISER * self.block
            table = self.centroids[start : start + CENTROIDS_PER_QUANTISER * width]
            values[:, first : first + width] = table.reshape(-1, width)[codes[:, index]]
        return values


@dataclass(frozen=True)
class QuantisedMatrix:
    """A product-quantised matrix; `norms` scales each row where the model stores norms apart."""

    codes: CodeBytes
    quantiser: Quantiser
    norms: Floats | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.codes.shape[0])

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.quantiser.columns

    def chunks(self) -> Iterator[Floats]:
        """Yield the decoded matrix from top to bottom in blocks of about 16 MiB."""
        step = max(1, CHUNK_BYTES // (self.columns * 4))
        for start in range(0, self.rows, step):
            block = self.quantiser.decode(self.codes[start : start + step])
            if self.norms is not None:
                block *= self.norms[start : start + step, None]
            yield block


@dataclass(frozen=True)
class FastTextFile:
    """What a model file says; the matrices are lazy, the dictionary lies raw in `dictionary`."""

    path: Path
    dim: int
    word_ngrams: int
    loss: str
    bucket: int
    minn: int
    maxn: int
    entries: int
    n_words: int
    # Entries as stored: the bytes, NUL, int64 count, int8 type (0 word, 1 label).
    dictionary: CodeBytes
    # Row of each n-gram bucket after pruning, as (bucket, row) pairs; None when not pruned.
    kept_buckets: npt.NDArray[np.int32] | None
    input: DenseMatrix | QuantisedMatrix
    output: Floats


def read_fasttext_file(path: Path) -> FastTextFile:
    """Read the header, dictionary and output layer of `path`; ValueError when it is no such file.

    A file of a word-vector model (not supervised), or of another version, is refused as well.
    """
    with path.open("rb") as stream:
        try:
            return _read(path, stream)
        except struct.error:
            raise ValueError(f"{path}: fastText model ends too early; fetch it again") from None


def _read(path: Path, stream: BinaryIO) -> FastTextFile:
    magic, version = _unpack(stream, "<ii") if path.stat().st_size >= 8 else (0, 0)
    if magic != FORMAT_MAGIC:
        raise ValueError(f"{path}: not a fastText model (.bin or .ftz); check the model's URI")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: fastText format version {version}; only {FORMAT_VERSION} is read, "
            "save the model again with fastText 0.9 or newer"
        )
    arguments = _unpack(stream, "<12id")
    dim, _, _, _, _, word_ngrams, loss, model, bucket, minn, maxn = arguments[:11]
    if model != SUPERVISED:
        raise ValueError(f"{path}: not a supervised fastText model; only classifiers are read")
    if loss not in READ_LOSSES:
        # The library rounds their sigmoid to a table of 512 steps, which 1e-5 cannot follow.
        raise ValueError(
            f"{path}: the model's loss is {LOSSES.get(loss, loss)!r}; allowed are 'softmax' and "
            "'hs', train it again with one of them"
        )
    entries, n_words, _, _, pruned = _unpack(stream, "<iiiqq")
    dictionary = _read_dictionary(stream, entries)
    kept = None
    if pruned >= 0:
        kept = _array(stream, "<i4", 2 * pruned).reshape(-1, 2)
    (quantised,) = _unpack(stream, "<?")
    source = _read_quantised(stream) if quantised else _read_dense(path, stream)
    (quantised_output,) = _unpack(stream, "<?")
    output = (
        _read_quantised(stream) if quantised and quantised_output else _read_dense(path, stream)
    )
    return FastTextFile(
        path=path, dim=dim, word_ngrams=word_ngrams, loss=LOSSES[loss], bucket=bucket,
        minn=minn, maxn=maxn, entries=entries, n_words=n_words, dictionary=dictionary,
        kept_buckets=kept, input=source, output=np.concatenate(list(output.chunks())),
    )  # fmt: skip


def _read_dictionary(stream: BinaryIO, entries: int) -> CodeBytes:
    from udfs.fasttext.file import dictionary_end

    start = stream.tell()
    pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    raw = np.frombuffer(pages, np.uint8)
    end = dictionary_end(raw, start, entries)
    if end < 0:
        raise struct.error
    stream.seek(end)
    return raw[start:end]


def _read_dense(path: Path, stream: BinaryIO) -> DenseMatrix:
    rows, columns = _unpack(stream, "<qq")
    matrix = DenseMatrix(path, stream.tell(), rows, columns)
    end = matrix.position + rows * columns * 4
    if end > path.stat().st_size:
        raise struct.error
    stream.seek(end)
    return matrix


def _read_quantised(stream: BinaryIO) -> QuantisedMatrix:
    has_norms, rows, _, code_count = _unpack(stream, "<?qqi")
    codes = _array(stream, "u1", code_count).reshape(rows, -1)
    quantiser = _read_quantiser(stream)
    norms = None
    if has_norms:
        norm_codes = _array(stream, "u1", rows).reshape(rows, 1)
        norms = _read_quantiser(stream).decode(norm_codes)[:, 0]
    return QuantisedMatrix(codes, quantiser, norms)


def _read_quantiser(stream: BinaryIO) -> Quantiser:
    columns, _, block, _ = _unpack(stream, "<4i")
    return Quantiser(columns, block, _array(stream, "<f4", columns * CENTROIDS_PER_QUANTISER))


def _unpack(stream: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _array(stream: BinaryIO, dtype: str, count: int) -> npt.NDArray[Any]:
    values = np.frombuffer(stream.read(count * np.dtype(dtype).itemsize), dtype)
    if len(values) != count:
        raise struct.error
    return values
